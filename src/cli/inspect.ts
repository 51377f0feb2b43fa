/** `acnet inspect`: what is in a model file, and what of it merges. */
import path from 'node:path';
import { type Graph, type GraphSummary, reparameterize, type StateDict, summarize } from '../index.js';
import { type Arguments, expectPositionals } from './arguments.js';
import { type Block, fuseBlocks } from './blocks.js';
import type { Command, Output } from './command.js';
import {
  type CheckpointFile,
  describeSelection,
  type GraphFile,
  inputShapes,
  parseShapes,
  readModelFile,
} from './model.js';
import { type Column, count, formatTable, plural, showDims } from './table.js';
import { paint, printable, shorten, type Terminal } from './terminal.js';

const HELP = `Usage: acnet inspect FILE [OPTIONS]

Prints what is in a model, and what of it merges. FILE is an ONNX file or a
checkpoint (.pth, .safetensors), - is standard input.

ONNX: a table of nodes (operation, shape of the output, parameters,
multiply-adds), the branches that merge into one convolution, and what is
left then. Checkpoints: a table of tensors, and the blocks that fuse.

Options:
  --shape [NAME=]DIMS  Dims of an input, such as 1x3x224x224; needed where the
                       file leaves more than the batch open (repeatable)
  --select KEY         Which state of a checkpoint to take where it holds
                       several, such as ema
  --json               Print JSON instead
  --help               Print this
`;

const NODE_COLUMNS: readonly Column[] = [
  { title: 'node', least: 20 },
  { title: 'op', isOptional: true },
  { title: 'output', least: 14, isOptional: true },
  { title: 'parameters', align: 'right', isOptional: true },
  { title: 'MACs', align: 'right' },
];

export const inspect: Command = {
  name: 'inspect',
  summary: 'Show the nodes or tensors of a model, and which branches merge',
  help: HELP,
  options: { shape: { type: 'string', multiple: true }, select: { type: 'string' } },
  async run(args, output) {
    const [file] = expectPositionals(args, ['FILE']) as [string];
    const model = await readModelFile(file, args.text('select'));
    if (model.kind === 'onnx') inspectGraph(file, model, args, output);
    else inspectCheckpoint(file, model, output);
    return true;
  },
};

function inspectGraph(file: string, { graph, bytes }: GraphFile, args: Arguments, output: Output): void {
  const dims = inputShapes(graph, parseShapes(args.texts('shape'), graph));
  const before = summarize(graph, dims);
  const { graph: mergedGraph, merged } = reparameterize(graph);
  const after = summarize(mergedGraph, dims);
  const inputs = graph.inputs.map((name, i) => ({ name, dims: dims[i]! }));
  const outputs = describeOutputs(graph, before, inputs);
  output.json({
    file,
    format: 'onnx',
    bytes,
    inputs,
    outputs,
    metadata: Object.fromEntries(graph.metadata ?? []),
    ...describeSummary(before),
    merged,
    after: describeSummary(after),
  });

  const { terminal } = output;
  const heading = (text: string): string => paint(text, 'cyan', terminal);
  const shapes = (values: readonly { name: string; dims: readonly number[] }[]): string =>
    values.map(({ name, dims }) => `${printable(name)} ${showDims(dims)}`).join(', ');
  const groups = merged.map((one) => [
    printable(one.output),
    String(one.branches),
    one.kernel.join(' x '),
    showDims(after.nodes.find((node) => node.output === one.output)?.dims ?? []),
  ]);
  output.lines([
    `${heading(shorten(printable(path.basename(file)), terminal.columns, terminal))}  ONNX, ${plural(bytes, 'byte')}`,
    `  in   ${shapes(inputs)}`,
    `  out  ${shapes(outputs)}`,
    '',
    heading('As it is'),
    ...nodeTable(before, terminal),
    '',
    ...(merged.length === 0
      ? [heading('No branches to merge')]
      : [
          heading(`${plural(merged.length, 'group')} of branches merge`),
          ...formatTable(
            [
              { title: 'into', least: 24 },
              { title: 'branches', align: 'right', isOptional: true },
              { title: 'kernel', align: 'right', isOptional: true },
              { title: 'output', least: 14, isOptional: true },
            ],
            groups,
            [],
            terminal,
          ),
        ]),
    '',
    heading('Merged'),
    ...nodeTable(after, terminal),
    '',
    ...comparison(before, after, terminal),
  ]);
}

/** A value that no node makes is an input or a constant. */
function describeOutputs(
  graph: Graph,
  summary: GraphSummary,
  inputs: readonly { name: string; dims: readonly number[] }[],
): { name: string; dims: readonly number[] }[] {
  return [...new Set(graph.outputs)].map((name) => {
    const made = summary.nodes.find((node) => node.output === name) ?? inputs.find((input) => input.name === name);
    return { name, dims: made?.dims ?? graph.values?.get(name)?.tensor.dims ?? [] };
  });
}

function describeSummary({ nodes, parameters, multiplyAdds }: GraphSummary) {
  return {
    nodes: nodes.map(({ path: name, ...node }) => ({ name: name || node.output, ...node })),
    totals: { nodes: nodes.length, parameters, multiplyAdds },
  };
}

function nodeTable({ nodes, parameters, multiplyAdds }: GraphSummary, terminal: Terminal): string[] {
  const rows = nodes.map((node) => [
    printable(node.path || node.output),
    node.op,
    showDims(node.dims),
    node.parameters === 0 ? '' : count(node.parameters),
    node.multiplyAdds === 0 ? '' : count(node.multiplyAdds),
  ]);
  const totals = [plural(nodes.length, 'node'), '', '', count(parameters), count(multiplyAdds)];
  return formatTable(NODE_COLUMNS, rows, [totals], terminal);
}

/** Compares two forms of a network: what merging saves. */
export function comparison(before: GraphSummary, after: GraphSummary, terminal: Terminal): string[] {
  const row = (title: string, one: number, other: number): string[] => [
    title,
    count(one),
    count(other),
    one === 0 ? '' : `${(100 * (other / one)).toFixed(0)} %`,
  ];
  return formatTable(
    [
      { title: '' },
      { title: 'as it is', align: 'right' },
      { title: 'merged', align: 'right' },
      { title: 'ratio', align: 'right', isOptional: true },
    ],
    [
      row('nodes', before.nodes.length, after.nodes.length),
      row('parameters', before.parameters, after.parameters),
      row('MACs', before.multiplyAdds, after.multiplyAdds),
    ],
    [],
    terminal,
  );
}

function inspectCheckpoint(file: string, checkpoint: CheckpointFile, output: Output): void {
  const { kind, bytes, state, metadata, selection } = checkpoint;
  const tensors = Object.entries(state).map(([name, { dims, size }]) => ({ name, dims, elements: size }));
  const { blocks, problem } = findBlocks(state);
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const saved = blocks.reduce((sum, block) => sum + block.elements - block.elementsMerged, 0);
  const described = blocks.map(({ dims, ...block }) => ({ ...block, kernel: dims.slice(2), dims }));
  output.json({
    file,
    format: kind,
    bytes,
    metadata,
    ...selection,
    tensors,
    totals: { tensors: tensors.length, elements },
    blocks: described,
    ...(problem !== undefined && { problem }),
    after: { totals: { elements: elements - saved } },
  });

  const { terminal } = output;
  const heading = (text: string): string => paint(text, 'cyan', terminal);
  const rows = tensors.map((one) => [printable(one.name), showDims(one.dims), count(one.elements)]);
  const totals = [plural(tensors.length, 'tensor'), '', count(elements)];
  output.lines([
    `${heading(shorten(printable(path.basename(file)), terminal.columns, terminal))}  ${kind === 'pth' ? 'PyTorch' : 'safetensors'}, ${plural(bytes, 'byte')}`,
    ...describeSelection(selection),
    '',
    heading('Tensors'),
    ...formatTable(
      [
        { title: 'tensor', least: 24 },
        { title: 'shape', least: 14, isOptional: true },
        { title: 'elements', align: 'right' },
      ],
      rows,
      [totals],
      terminal,
    ),
    '',
    ...(problem !== undefined ? [paint(printable(`The blocks do not fuse: ${problem}`), 'yellow', terminal)] : []),
    ...(blocks.length === 0 && problem === undefined ? [heading('No blocks to fuse')] : []),
    ...(blocks.length > 0 ? [heading(`${plural(blocks.length, 'block')} fuse`)] : []),
    ...(blocks.length > 0 ? blockTable(blocks, elements, saved, terminal) : []),
  ]);
}

function blockTable(blocks: readonly Block[], elements: number, saved: number, terminal: Terminal): string[] {
  return formatTable(
    [
      { title: 'block', least: 24 },
      { title: 'kernel', align: 'right', isOptional: true },
      { title: 'elements', align: 'right', isOptional: true },
      { title: 'merged', align: 'right' },
    ],
    blocks.map((block) => [
      nameOf(block),
      block.dims.slice(2).join(' x '),
      count(block.elements),
      count(block.elementsMerged),
    ]),
    [['whole file', '', count(elements), count(elements - saved)]],
    terminal,
  );
}

/** The block's path; that of a block on its own is empty. */
export function nameOf({ prefix }: Block): string {
  return prefix === '' ? '(the file itself)' : printable(prefix.slice(0, -1));
}

/** A block that lacks a part is only reported, since the rest of the file can be shown. */
function findBlocks(state: StateDict): { blocks: Block[]; problem?: string } {
  try {
    return { blocks: fuseBlocks(state, 1e-5).blocks };
  } catch (error) {
    return { blocks: [], problem: (error as Error).message };
  }
}
