/** `acnet skeleton`: where the kernels of a network are strong, before and after merging. */
import path from 'node:path';
import { type Arguments, expectPositionals } from './arguments.js';
import type { Command, Output } from './command.js';
import { CommandError, UsageError } from './errors.js';
import { writeWhole } from './files.js';
import { type KernelMagnitudes, kernelMagnitudes, type MagnitudeMatrix, partsOf } from './kernelMagnitudes.js';
import { type Matrix, matrixChart } from './matrixChart.js';
import { matrixImage } from './matrixImage.js';
import { describeSelection, formatOfName, readModelFile } from './model.js';
import { type PrunedAccuracy, prunedAccuracies, pruningChart, pruningTable } from './skeletonAccuracy.js';
import { formatTable, plural } from './table.js';
import { paint, printable, shorten, type Terminal } from './terminal.js';
import { parseArchitecture } from './trainArguments.js';
import { ARCHITECTURES } from './trainModel.js';

const EPS = 1e-5;

/** Options for the accuracy while kernels are pruned. */
const PRUNING_OPTIONS = ['data', 'arch', 'channels', 'blocks', 'mean', 'std', 'seed'] as const;

const HELP = `Usage: acnet skeleton FILE [OPTIONS]

Prints the average kernel magnitude matrix of a network (section 4.4 of the
ACNet paper): for each place in a kernel, the sum of magnitudes, divided by the
largest of its layer, averaged over all layers with kernels of that size. FILE
is a checkpoint (.pth, .safetensors), - is standard input.

A checkpoint in train form shows the square branches alone and all branches
merged, BatchNorms folded in both; other kernels count as they are.

With --data and --arch it also tells how accurate the merged network is while
more and more of the weights of these kernels are set to zero, at random, in
the corners, in the skeleton (the row and the column in the middle), and
anywhere.

Options:
  -o, --output FILE  Draw the matrices too, as FILE.svg or, without any text,
                     FILE.png; where there are kernels of several sizes, as
                     FILE-3x3.svg, FILE-5x5.svg, ...; and the accuracies as
                     FILE-pruning.svg
  --select KEY       Which state of a checkpoint to take where it holds several,
                     such as ema
  --eps X            What the BatchNorms add to their variances (default ${EPS})
  --data DIR         Images to test: MNIST and the like (IDX files), CIFAR-10 or
                     -100 (binary files), or a folder for each class
  --arch NAME        The network that the checkpoint is of:
                     ${Object.keys(ARCHITECTURES).slice(0, 4).join(', ')},
                     ${Object.keys(ARCHITECTURES).slice(4).join(', ')}
  --channels N,...   Its channels, where they are not the usual ones
  --blocks N         Blocks of each of its stages
  --mean X,...       Of each channel of the images, and --std; what is not given
                     is in the checkpoint's metadata, or is that of the training
                     images
  --seed N           Of the weights that go first (default 1)
  --json             Print JSON instead, with the matrices of each layer
  --help             Print this
`;

export const skeleton: Command = {
  name: 'skeleton',
  summary: 'Show where kernels are strong, before and after merging',
  help: HELP,
  options: {
    output: { type: 'string', short: 'o' },
    select: { type: 'string' },
    eps: { type: 'string' },
    ...Object.fromEntries(PRUNING_OPTIONS.map((name) => [name, { type: 'string' as const }])),
  },
  async run(args, output) {
    const [file] = expectPositionals(args, ['FILE']) as [string];
    const target = args.text('output');
    const eps = args.number('eps', 0) ?? EPS;
    if (target !== undefined && !PICTURES.includes(path.extname(target).toLowerCase())) {
      throw new UsageError(`${target}: expected a name that ends in .svg or .png`);
    }
    checkPruning(args);
    if (formatOfName(file) === 'onnx') throw new UsageError(`${file}: ${NO_ONNX}`);
    const model = await readModelFile(file, args.text('select'));
    if (model.kind === 'onnx') throw new CommandError(`${file}: ${NO_ONNX}`);
    const groups = kernelMagnitudes(model.state, eps);
    if (groups.length === 0) throw new CommandError(`${file}: has no square kernel larger than 1 x 1`);
    const pruning = args.text('data') === undefined ? [] : await prunedAccuracies(args, file, model, eps);
    const pictures = target === undefined ? [] : draw(target, path.basename(file), groups, pruning);
    await writeWhole(pictures);
    report(file, groups, describeSelection(model.selection), pruning, pictures, output);
    return true;
  },
};

const PICTURES = ['.svg', '.png'];
const PRUNING_TITLE = 'Accuracy while weights are set to zero';
const NO_ONNX = 'is an ONNX file, expected a checkpoint: .pth or .safetensors';

function checkPruning(args: Arguments): void {
  const given = PRUNING_OPTIONS.find((name) => args.text(name) !== undefined);
  if (given === undefined) return;
  if (args.text('data') === undefined) throw new UsageError(`--${given} takes --data, the images to test`);
  parseArchitecture(args);
}

function draw(target: string, name: string, groups: readonly KernelMagnitudes[], pruning: readonly PrunedAccuracy[]) {
  const { ext: extension } = path.parse(target);
  const stem = target.slice(0, -extension.length);
  const encode = (svg: string): Uint8Array => new TextEncoder().encode(svg);
  const pictures = groups.map((group) => {
    const file = groups.length === 1 ? target : `${stem}-${sizeText(group).replaceAll(' ', '')}${extension}`;
    const matrices = matricesOf(group);
    if (extension.toLowerCase() === '.png') return { file, bytes: matrixImage(matrices) };
    const title = `${name}: average kernel magnitudes`;
    const layers = plural(group.layers.length, 'layer');
    const note = `${layers} with kernels of ${sizeText(group)}; the largest sum of each layer is 1`;
    return { file, bytes: encode(matrixChart({ title, note, matrices })) };
  });
  if (pruning.length === 0) return pictures;
  return [...pictures, { file: `${stem}-pruning.svg`, bytes: encode(pruningChart(name, pruning)) }];
}

/** With nothing to merge, both are the same. */
function matricesOf(group: KernelMagnitudes): Matrix[] {
  const matrix = (title: string, shares: MagnitudeMatrix): Matrix => {
    const parts = partsOf(shares);
    const caption = parts && `skeleton ${shown(parts.skeleton)}, corners ${shown(parts.corners)}`;
    const texts = shares.map((row) => row.map(shown));
    return { title, ...(caption && { caption }), shares, texts, rowNames: [], columnNames: [] };
  };
  if (group.blocks === 0) return [matrix('kernels', group.merged)];
  return [matrix('square branches', group.square), matrix('merged', group.merged)];
}

function report(
  file: string,
  groups: readonly KernelMagnitudes[],
  selection: readonly string[],
  pruning: readonly PrunedAccuracy[],
  pictures: readonly { file: string }[],
  output: Output,
): void {
  output.json({
    file,
    kernels: groups.map(({ size, blocks, square, merged, layers }) => ({
      kernel: [size, size],
      blocks,
      ...(blocks > 0 && { square: { matrix: square, ...partsOf(square) } }),
      merged: { matrix: merged, ...partsOf(merged) },
      layers,
    })),
    ...(pruning.length > 0 && { pruning }),
    pictures: pictures.map((picture) => picture.file),
  });
  const { terminal } = output;
  const name = shorten(printable(path.basename(file)), terminal.columns, terminal);
  output.lines([
    `${paint(name, 'cyan', terminal)}  average kernel magnitudes, largest of each layer 1`,
    ...selection,
    ...groups.flatMap((group) => ['', ...describeGroup(group, terminal)]),
    ...(pruning.length === 0 ? [] : ['', paint(PRUNING_TITLE, 'bold', terminal), ...pruningTable(pruning, terminal)]),
    ...(pictures.length === 0 ? [] : ['', `${paint('Written', 'green', terminal)} ${names(pictures)}`]),
  ]);
}

function describeGroup(group: KernelMagnitudes, terminal: Terminal): string[] {
  const forms =
    group.blocks === 0
      ? [{ title: 'kernels', matrix: group.merged }]
      : [
          { title: 'square branches', matrix: group.square },
          { title: 'merged', matrix: group.merged },
        ];
  const blocks = group.blocks === 0 ? 'none with branches' : `${group.blocks} with branches`;
  const heading = `${sizeText(group)}, ${plural(group.layers.length, 'layer')}, ${blocks}`;
  const parts = forms.map(({ title, matrix }) => ({ title, parts: partsOf(matrix) }));
  return [
    paint(heading, 'bold', terminal),
    ...forms.flatMap(({ title, matrix }) => [`  ${title}`, ...matrixLines(matrix, terminal)]),
    ...(parts[0]!.parts === undefined
      ? []
      : [
          '',
          ...formatTable(
            [
              { title: 'mean of' },
              { title: 'skeleton', align: 'right' },
              { title: 'corners', align: 'right' },
              { title: 'ratio', align: 'right' },
            ],
            parts.map(({ title, parts: one }) => [
              title,
              shown(one!.skeleton),
              shown(one!.corners),
              (one!.skeleton / one!.corners).toFixed(2),
            ]),
            [],
            terminal,
          ),
        ]),
  ];
}

/** The skeleton stands out where there are colours. */
function matrixLines(matrix: MagnitudeMatrix, terminal: Terminal): string[] {
  const middle = matrix.length % 2 === 0 ? -1 : matrix.length >> 1;
  return matrix.map((row, i) => {
    const cells = row.map((value, j) => paint(shown(value), i === middle || j === middle ? 'bold' : 'dim', terminal));
    return `    ${cells.join('  ')}`;
  });
}

function sizeText({ size }: KernelMagnitudes): string {
  return `${size} x ${size}`;
}

function shown(value: number): string {
  return value.toFixed(2);
}

function names(pictures: readonly { file: string }[]): string {
  return printable(pictures.map(({ file }) => file).join(', '));
}
