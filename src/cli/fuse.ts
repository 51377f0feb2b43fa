/** `acnet fuse`: merges a model, proves that it is the same function, and writes it. */
import path from 'node:path';
import {
  createRuntime,
  type Graph,
  InferenceSession,
  type Runtime,
  readOnnx,
  readSafetensors,
  reparameterize,
  summarize,
  type Tensor,
  writeOnnx,
  writeSafetensors,
} from '../index.js';
import { showName } from '../shown.js';
import { type Arguments, expectPositionals } from './arguments.js';
import { type Block, checkBlock, fuseBlocks } from './blocks.js';
import type { Command, Output } from './command.js';
import { differenceOf } from './difference.js';
import { CommandError, UsageError } from './errors.js';
import { type WholeFile, writeWhole } from './files.js';
import { comparison, nameOf } from './inspect.js';
import { checkMerges, type MergeCheck } from './mergeCheck.js';
import {
  type CheckpointFile,
  describeSelection,
  formatOfName,
  type GraphFile,
  inputShapes,
  parseShapes,
  readModelFile,
} from './model.js';
import { breathe, withProgress } from './progress.js';
import { normalTensors, seededRandom } from './random.js';
import { count, formatTable, plural, significant } from './table.js';
import { paint, printable, shorten } from './terminal.js';
import type { Known } from './valuesAt.js';

const TOLERANCE = 1e-5;
/** For graphs whose merged layers have all been checked by themselves. */
const LOOSE_TOLERANCE = 1e-2;
const EPS = 1e-5;

const HELP = `Usage: acnet fuse FILE -o OUT [OPTIONS]

Merges the branches of a model into one convolution per block, runs both forms
on random input, and writes OUT if they agree. FILE is an ONNX file or a
checkpoint (.pth, .safetensors), - is standard input.

Every merged layer of an ONNX file is computed in float64 both ways, and must
differ by no more than rounding its weights to float32 allows. What follows it
may amplify that: outputs of deep networks differ by more in float32.

OUT ends in .onnx for an ONNX file, in .safetensors for a checkpoint. In an
ONNX file BatchNorms are folded too; in a checkpoint, which has no graph, the
blocks are found by their keys, and each is compared by itself.

Options:
  -o, --output OUT     File to write; what is there is replaced
  --tolerance X        Largest difference of the outputs that is allowed,
                       relative to their largest magnitude (default ${TOLERANCE},
                       ${LOOSE_TOLERANCE} where all merged layers could be checked)
  --seed N             Seed of the random input (default 1)
  --shape [NAME=]DIMS  Dims of an input of an ONNX file, such as 1x3x224x224;
                       needed where it leaves more than the batch open
                       (repeatable)
  --external-data      Write the weights into a file beside OUT, OUT.data; an
                       ONNX file with its weights inside has at most 2 GB
  --select KEY         Which state of a checkpoint to take where it holds
                       several, such as ema
  --eps X              What the BatchNorms of a checkpoint add to their
                       variances (default ${EPS})
  --json               Print JSON instead
  --help               Print this

Exits 1 and writes nothing when the forms differ by more, or when there is
nothing to merge.
`;

/** How the two forms compare, and what to write. */
interface Fused {
  readonly difference: number;
  /** Of a graph. */
  readonly check?: MergeCheck;
  /** OUT is the last: when it is there, all are. */
  readonly files: readonly WholeFile[];
  /** For JSON. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

interface Settings {
  readonly seed: number;
  readonly eps: number;
}

export const fuse: Command = {
  name: 'fuse',
  summary: 'Merge the branches of a model, check the result, write it',
  help: HELP,
  options: {
    output: { type: 'string', short: 'o' },
    tolerance: { type: 'string' },
    seed: { type: 'string' },
    shape: { type: 'string', multiple: true },
    'external-data': { type: 'boolean' },
    select: { type: 'string' },
    eps: { type: 'string' },
  },
  async run(args, output) {
    const [file] = expectPositionals(args, ['FILE']) as [string];
    const target = args.text('output');
    if (target === undefined) throw new UsageError('-o OUT is missing');
    const wanted = args.number('tolerance', 0);
    const settings = { seed: args.whole('seed', 0) ?? 1, eps: args.number('eps', 0) ?? EPS };
    checkFormats(formatOfName(file), target);
    const model = await readModelFile(file, args.text('select'));
    checkFormats(model.kind, target);
    if (model.kind === 'onnx' && args.text('eps') !== undefined) {
      throw new UsageError('--eps is for checkpoints; an ONNX file tells it itself');
    }
    if (model.kind !== 'onnx' && args.texts('shape').length > 0) {
      throw new UsageError('--shape is for ONNX files; a checkpoint has no inputs');
    }
    if (model.kind !== 'onnx' && args.flag('external-data')) {
      throw new UsageError('--external-data is for ONNX files');
    }
    const runtime = await createRuntime();
    try {
      const fused =
        model.kind === 'onnx'
          ? await fuseGraph(file, target, model, args, settings, runtime, output)
          : await fuseCheckpoint(file, target, model, settings, runtime, output);
      const { check, difference } = fused;
      const tolerance = wanted ?? (check?.unchecked.length === 0 ? LOOSE_TOLERANCE : TOLERANCE);
      const isEqual = difference <= tolerance && !isOff(check);
      if (isEqual) await writeWhole(fused.files);
      report(file, target, model, fused, isEqual, tolerance, settings, output);
      return isEqual;
    } finally {
      runtime.dispose();
    }
  },
};

/** Checks what the names alone tell before anything is read. */
function checkFormats(source: 'onnx' | 'pth' | 'safetensors' | undefined, target: string): void {
  const format = formatOfName(target);
  if (format === 'pth') {
    throw new UsageError(`${target}: .pth files can be read only; write .safetensors, which PyTorch loads too`);
  }
  if (format === undefined) throw new UsageError(`${target}: must be a name that ends in .onnx or .safetensors`);
  if (source === 'onnx' && format !== 'onnx') throw new UsageError(`${target}: an ONNX file becomes .onnx`);
  if (source !== undefined && source !== 'onnx' && format === 'onnx') {
    throw new UsageError(`${target}: a checkpoint has no graph; it becomes .safetensors`);
  }
}

async function fuseGraph(
  file: string,
  target: string,
  { graph }: GraphFile,
  args: Arguments,
  { seed }: Settings,
  runtime: Runtime,
  { terminal }: Output,
): Promise<Fused> {
  const dims = inputShapes(graph, parseShapes(args.texts('shape'), graph));
  const { graph: mergedGraph, merged } = reparameterize(graph);
  if (merged.length === 0 && mergedGraph.nodes.length === graph.nodes.length) {
    throw new CommandError(`${file}: has no branches to merge and no BatchNorms to fold; nothing is written`);
  }
  const dataFile = args.flag('external-data') ? `${target}.data` : undefined;
  const { model, externalData } =
    dataFile === undefined
      ? { model: writeOnnx(mergedGraph), externalData: [] }
      : writeOnnx(mergedGraph, { externalData: path.basename(dataFile) });
  const random = normalTensors(seed);
  const feeds = Object.fromEntries(graph.inputs.map((name, i) => [name, random(dims[i]!)]));
  // Compares what others will read.
  const written = readOnnx(model, { externalData });
  const valuesOf = async (names: readonly string[]): Promise<Known> => {
    const outputs = names.filter((name) => !graph.inputs.includes(name));
    const inputs = graph.inputs.map((name) => [name, feeds[name]!.data as Float32Array] as const);
    return new Map([...inputs, ...(outputs.length > 0 ? await outputsOf({ ...graph, outputs }, feeds, runtime) : [])]);
  };
  const { difference, check } = await withProgress('comparing', 3, async (step) => {
    const expected = await outputsOf(graph, feeds, runtime);
    await step(1);
    const actual = await outputsOf(written, feeds, runtime);
    await step(2);
    return {
      difference: Math.max(...[...expected].map(([name, values]) => differenceOf(values, actual.get(name) ?? []))),
      check: await checkMerges(graph, written, dims, valuesOf, seededRandom(seed)),
    };
  });
  const before = summarize(graph, dims);
  const after = summarize(mergedGraph, dims);
  const totals = (summary: typeof before) => ({
    nodes: summary.nodes.length,
    parameters: summary.parameters,
    multiplyAdds: summary.multiplyAdds,
  });
  const what =
    merged.length === 0 ? 'No branches to merge; BatchNorms folded' : `${plural(merged.length, 'block')} merged`;
  return {
    difference,
    check,
    files: [...externalData.map(({ data }) => ({ file: dataFile!, bytes: data })), { file: target, bytes: model }],
    details: { merged, layers: check, before: totals(before), after: totals(after) },
    lines: [what, ...comparison(before, after, terminal)],
  };
}

/** As the graph is, without merging. */
async function outputsOf(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  runtime: Runtime,
): Promise<Map<string, Float32Array>> {
  const session = await InferenceSession.create(graph, { runtime, reparameterize: false });
  try {
    const outputs = await session.run(feeds);
    return new Map(
      Object.entries(outputs).map(([name, tensor]) => {
        const data = tensor.data as Float32Array;
        tensor.dispose();
        return [name, data];
      }),
    );
  } finally {
    await session.release();
  }
}

async function fuseCheckpoint(
  file: string,
  target: string,
  { state, metadata, selection }: CheckpointFile,
  { seed, eps }: Settings,
  runtime: Runtime,
  { terminal }: Output,
): Promise<Fused> {
  const { fused, blocks } = fuseBlocks(state, eps);
  if (blocks.length === 0) throw new CommandError(`${file}: has no block to fuse; nothing is written`);
  const bytes = writeSafetensors(fused, metadata);
  const { tensors: written } = readSafetensors(bytes);
  const random = normalTensors(seed);
  const checked: (Block & { difference: number })[] = [];
  await withProgress('comparing', blocks.length, async (step) => {
    for (const block of blocks) {
      checked.push({ ...block, difference: checkBlock(runtime, block, state, written, eps, random) });
      await step(checked.length);
    }
  });
  await breathe();
  const elements = (tensors: typeof state): number => Object.values(tensors).reduce((sum, { size }) => sum + size, 0);
  const [before, after] = [elements(state), elements(fused)];
  return {
    // Math.max gives NaN if one of them is.
    difference: Math.max(...checked.map(({ difference }) => difference)),
    files: [{ file: target, bytes }],
    details: {
      eps,
      ...selection,
      merged: checked.map(({ dims, ...block }) => ({ ...block, kernel: dims.slice(2) })),
      before: { tensors: Object.keys(state).length, elements: before },
      after: { tensors: Object.keys(fused).length, elements: after },
    },
    lines: [
      `${plural(blocks.length, 'block')} merged`,
      ...describeSelection(selection).flatMap((line) => [line, '']),
      ...formatTable(
        [
          { title: 'block', least: 24 },
          { title: 'kernel', align: 'right', isOptional: true },
          { title: 'elements', align: 'right', isOptional: true },
          { title: 'merged', align: 'right', isOptional: true },
          { title: 'difference', align: 'right' },
        ],
        checked.map((block) => [
          nameOf(block),
          block.dims.slice(2).join(' x '),
          count(block.elements),
          count(block.elementsMerged),
          significant(block.difference),
        ]),
        [['whole file', '', count(before), count(after), '']],
        terminal,
      ),
    ],
  };
}

/** Whether a merged layer differs by more than rounding allows. */
function isOff(check: MergeCheck | undefined): boolean {
  return check?.worst !== undefined && check.worst.share > 1;
}

function describeCheck({ checked, unchecked, worst }: MergeCheck): string {
  const alone = unchecked.length === 0 ? '' : `, ${unchecked.length} more by the outputs alone`;
  const share = worst === undefined ? '' : `; at most ${significant(worst.share * 100)} % of what rounding allows`;
  return `${plural(checked, 'merged layer')} checked in float64${alone}${share}`;
}

function report(
  file: string,
  target: string,
  model: GraphFile | CheckpointFile,
  fused: Fused,
  isEqual: boolean,
  tolerance: number,
  { seed }: Settings,
  output: Output,
): void {
  const { difference, files } = fused;
  const written = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const others = files.slice(0, -1).map((one) => one.file);
  output.json({
    input: file,
    output: target,
    ...(others.length > 0 && { externalData: others }),
    format: model.kind,
    seed,
    tolerance,
    // JSON has no infinity: null stands for what is not finite.
    difference,
    written: isEqual,
    bytes: { before: model.bytes, after: written },
    ...fused.details,
  });
  const { terminal } = output;
  const limit = `of the largest value, ${significant(tolerance)} allowed (seed ${seed})`;
  const name = shorten(printable(path.basename(file)), terminal.columns, terminal);
  output.lines([
    `${paint(name, 'cyan', terminal)}  ${fused.lines[0]}`,
    '',
    ...fused.lines.slice(1),
    ...(isEqual
      ? [
          '',
          ...(fused.check === undefined ? [] : [describeCheck(fused.check)]),
          `Largest difference on random input: ${significant(difference)} ${limit}`,
          `${paint('Written', 'green', terminal)} ${printable([target, ...others].join(' and '))}, ${plural(written, 'byte')}`,
        ]
      : []),
  ]);
  if (isEqual) return;
  const { worst } = fused.check ?? {};
  const reason = Number.isNaN(difference)
    ? 'the output has no finite value, so nothing is proved'
    : worst !== undefined && isOff(fused.check)
      ? `the merged form of ${showName(worst.value)} differs by ${significant(worst.difference)}, where rounding of its ` +
        `weights allows ${significant(worst.allowed)} (seed ${seed})`
      : `the merged form differs by ${significant(difference)} ${limit}`;
  output.complain(`${reason}; nothing is written`);
}
