/** Operators that put the same values in other places: transpositions, concatenations, slices, pads. */
import type { GatherNode, PadNode, SliceNode } from '../../../graph/graph.js';
import type { Dim } from '../../../nodes/dims.js';
import { rangeOf } from '../../../ops/slice.js';
import { show, showList } from '../../../shown.js';
import { type Constant, DataType, MAX_RANK } from '../file/tensors.js';
import { checkAxes, MAX_EXTENT, normalizeAxis } from './arguments.js';
import { int, string } from './attributes.js';
import { concatConstants, type Known, sliceConstant, transposeConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { type Integers, MAX_ELEMENTS, slice, vector } from './shapeValues.js';

/** Of a Split. */
const MAX_OUTPUTS = 1024;

export function lowerTranspose(node: NodeContext): string {
  const output = node.emit({ op: 'transpose', inputs: [node.numericOperand(0)], permutation: readPermutation(node) });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

function readPermutation(node: NodeContext): number[] | undefined {
  const permutation = node.ints('perm');
  const rank = node.dims(0)?.length ?? permutation?.length ?? 0;
  const sorted = [...(permutation ?? [])].sort((a, b) => a - b);
  if (permutation && (permutation.length !== rank || !sorted.every((axis, i) => axis === i))) {
    node.broken(`its perm must be the numbers from 0 to ${rank - 1} in some order, got [${showList(permutation)}]`);
  }
  return permutation;
}

export function foldTranspose(node: NodeContext, [constant]: Known): Constant {
  const reversed = constant!.dims.map((_, i) => constant!.dims.length - 1 - i);
  return transposeConstant(node, constant!, readPermutation(node) ?? reversed);
}

export function lowerConcat(node: NodeContext): string {
  const inputs = Array.from({ length: node.inputCount }, (_, i) => i);
  const axis = node.int('axis', 1);
  const integers = axis === 0 || axis === -1 ? joinIntegers(node) : undefined;
  if (integers !== undefined) return node.define(integers);
  if (inputs.length === 0) node.broken('it has no inputs');
  const output = node.emit({ op: 'concat', inputs: inputs.map((i) => node.numericOperand(i)), axis });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

/** Of vectors of integers `lowerConcat` makes what sizes may be part of; floats are the kernels', but for short ones. */
export function foldConcat(node: NodeContext, inputs: Known): Constant | undefined {
  const parts = inputs as readonly Constant[];
  const rank = parts[0]?.dims.length ?? 0;
  if (rank === 0 || parts.some(({ integer }) => integer !== parts[0]!.integer)) return undefined;
  return concatConstants(node, parts, normalizeAxis(node, node.int('axis', 1), rank));
}

/** As slices, one for each output that something reads. */
export function lowerSplit(node: NodeContext): string {
  const axis = node.int('axis', 0);
  const known = node.constant(0);
  const size = (known?.dims ?? node.dims(0))?.at(axis);
  const { outputs } = node;
  const given =
    node.opset < 13 ? node.ints('split', MAX_OUTPUTS) : node.has(1) ? node.numbers(1, 'split', MAX_OUTPUTS) : undefined;
  if (given === undefined && typeof size !== 'number') node.open('it needs an axis whose size the file states');
  // The last part is smaller where the size cannot be divided.
  const part = Math.ceil((size as number) / outputs.length);
  const sizes = given ?? outputs.map((_, i) => Math.max(0, Math.min(part, (size as number) - i * part)));
  if (sizes.length !== outputs.length || sizes.some((one) => one < 0)) {
    node.broken(`it splits into [${showList(sizes)}] for ${outputs.length} outputs`);
  }
  const total = sizes.reduce((sum, one) => sum + one, 0);
  if (typeof size === 'number' && total !== size) node.broken(`it splits an axis of ${size} into [${showList(sizes)}]`);
  const input = known === undefined ? node.numericOperand(0) : '';
  let start = 0;
  outputs.forEach((output, i) => {
    const end = start + sizes[i]!;
    const cut = { axes: [axis], starts: [start], ends: [end], steps: [1] };
    start = end;
    if (output === undefined) return;
    if (known !== undefined) {
      node.define(sliceConstant(node, known, cutRanges(node, cut, known.dims)), output);
      return;
    }
    node.emit({ op: 'slice', inputs: [input], ...cut }, output);
    if (node.isInteger(0)) node.markInteger(output);
  });
  return node.output;
}

/** Concatenates the inputs, where all are vectors of integers. A file may name one ten thousand times. */
function joinIntegers(node: NodeContext): Integers | undefined {
  const elements: Dim[] = [];
  for (let i = 0; i < node.inputCount; i++) {
    const integers = node.integers(i);
    if (integers === undefined || integers.scalar) return undefined;
    elements.push(...integers.elements);
    if (elements.length > MAX_ELEMENTS) node.unsupported(`a vector of more than ${MAX_ELEMENTS} integers`);
  }
  return node.inputCount > 0 ? vector(elements) : undefined;
}

interface Cut {
  readonly axes: number[];
  readonly starts: number[];
  readonly ends: number[];
  readonly steps: number[];
}

export function lowerSlice(node: NodeContext): string {
  const cut = readCut(node);
  const integers = node.integers(0);
  if (integers !== undefined && !integers.scalar && cut.axes.length <= 1) {
    return node.define(cut.axes.length === 0 ? integers : slice(integers, cut.starts[0]!, cut.ends[0]!, cut.steps[0]!));
  }
  const output = node.emit({ op: 'slice', inputs: [node.numericOperand(0)], ...cut });
  return node.isInteger(0) ? node.markInteger(output) : output;
}

export function foldSlice(node: NodeContext, [constant]: Known): Constant {
  return sliceConstant(node, constant!, cutRanges(node, readCut(node), constant!.dims));
}

function cutRanges(node: NodeContext, { axes, starts, ends, steps }: Cut, dims: readonly number[]) {
  const ranges = dims.map((count) => ({ start: 0, step: 1, count }));
  axes.forEach((given, i) => {
    const axis = normalizeAxis(node, given, dims.length);
    ranges[axis] = rangeOf(dims[axis]!, starts[i]!, ends[i]!, steps[i]!);
  });
  return ranges;
}

/** Exporters use positions beyond 2^53 for the end, or the beginning. */
function clampPosition(position: number): number {
  return Math.min(Math.max(position, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

function readCut(node: NodeContext): Cut {
  const early = node.opset < 10;
  const positions = (name: string, index: number) =>
    early ? [...(node.longs(name) ?? node.broken(`it has no ${name}`))] : node.list(index, name);
  const starts = positions('starts', 1).map(clampPosition);
  const ends = positions('ends', 2).map(clampPosition);
  const given = early ? node.ints('axes') : node.has(3) ? node.numbers(3, 'axes') : undefined;
  const axes = given ?? starts.map((_, i) => i);
  const steps = !early && node.has(4) ? node.numbers(4, 'steps') : starts.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) {
    node.broken(`it has ${starts.length} starts, ${ends.length} ends, ${axes.length} axes, ${steps.length} steps`);
  }
  if (steps.includes(0)) node.broken('it has a step of 0');
  checkAxes(node, axes);
  return { axes, starts, ends, steps };
}

export function lowerPad(node: NodeContext): string {
  const early = node.opset < 11;
  const given = early
    ? (node.ints('pads', 2 * MAX_RANK) ?? node.broken('it has no pads'))
    : node.numbers(1, 'pads', 2 * MAX_RANK);
  if (given.some((pad) => Math.abs(pad) > MAX_EXTENT)) node.broken(`its pads are [${showList(given)}]`);
  const mode = node.string('mode', 'constant');
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge' && mode !== 'wrap') {
    node.broken(`its mode is ${show(mode)}`);
  }
  const rank = node.dims(0)?.length;
  let pads = given;
  if (node.has(3)) {
    if (rank === undefined) node.open('with axes it needs an input of known rank');
    const axes = checkAxes(node, node.numbers(3, 'axes'));
    if (given.length !== 2 * axes.length) node.broken(`it has ${given.length} pads for ${axes.length} axes`);
    pads = new Array<number>(2 * rank).fill(0);
    axes.forEach((axis, i) => {
      pads[axis] = given[i]!;
      pads[axis + rank] = given[i + axes.length]!;
    });
  }
  if (pads.length % 2 !== 0 || (rank !== undefined && pads.length !== 2 * rank)) {
    node.broken(`it has ${pads.length} pads for an input of rank ${rank ?? 'unknown'}`);
  }
  // Exporters write such a Pad before every AveragePool.
  if (pads.every((pad) => pad === 0)) return node.emit({ op: 'identity', inputs: [node.operand(0)] });
  return node.emit({ op: 'pad', inputs: [node.operand(0)], pads, mode, value: padValue(node, early) });
}

function padValue(node: NodeContext, early: boolean): number {
  if (early) return node.float('value', 0);
  return node.has(2) ? (node.parameter(2, 'constant_value').tensor.data[0] ?? 0) : 0;
}

/** The inputs of a Slice that say what it takes. */
export function writeSliceLists(
  lists: Readonly<Record<'starts' | 'ends' | 'axes' | 'steps', readonly number[]>>,
  to: NodeWriter,
): string[] {
  return (['starts', 'ends', 'axes', 'steps'] as const).map((name) => to.integers(name, lists[name]));
}

export function writeSlice(node: SliceNode, to: NodeWriter): void {
  to.add('Slice', [...node.inputs, ...writeSliceLists(node, to)]);
}

/** Positions are floats in a Graph. */
export function writeGather({ op, inputs, axis }: GatherNode, to: NodeWriter): void {
  const [values, positions] = inputs;
  const integers = to.add('Cast', [positions], [int('to', DataType.INT64)], to.derive('positions'));
  to.add(op === 'gather' ? 'Gather' : 'GatherElements', [values, integers], [int('axis', axis)]);
}

export function writePad({ inputs, mode, pads, value }: PadNode, to: NodeWriter): void {
  to.add('Pad', [...inputs, to.integers('pads', pads), to.scalar('value', value)], [string('mode', mode)]);
}
