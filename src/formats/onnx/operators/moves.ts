/** Operators that put the same values in other places: transpositions, concatenations, slices, pads. */
import type { PadNode, SliceNode } from '../../../graph/graph.js';
import type { Dim } from '../../../nodes/dims.js';
import { show, showList } from '../../../shown.js';
import { MAX_RANK } from '../file/tensors.js';
import { checkAxes, MAX_EXTENT } from './arguments.js';
import { string } from './attributes.js';
import { transposeConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { type Integers, MAX_ELEMENTS, slice, vector } from './shapeValues.js';

export function lowerTranspose(node: NodeContext): string {
  const permutation = node.ints('perm');
  const constant = node.constant(0);
  const rank = node.dims(0)?.length ?? permutation?.length ?? 0;
  const sorted = [...(permutation ?? [])].sort((a, b) => a - b);
  if (permutation && (permutation.length !== rank || !sorted.every((axis, i) => axis === i))) {
    node.broken(`its perm must be the numbers from 0 to ${rank - 1} in some order, got [${showList(permutation)}]`);
  }
  if (constant !== undefined) {
    const all = permutation ?? constant.dims.map((_, i) => constant.dims.length - 1 - i);
    return node.define(transposeConstant(node, constant, all));
  }
  return node.emit({ op: 'transpose', inputs: [node.operand(0)], permutation });
}

export function lowerConcat(node: NodeContext): string {
  const inputs = Array.from({ length: node.inputCount }, (_, i) => i);
  const axis = node.int('axis', 1);
  const integers = axis === 0 || axis === -1 ? joinIntegers(node) : undefined;
  if (integers !== undefined) return node.define(integers);
  if (inputs.length === 0) node.broken('it has no inputs');
  return node.emit({ op: 'concat', inputs: inputs.map((i) => node.operand(i)), axis });
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
  return node.emit({ op: 'slice', inputs: [node.operand(0)], ...cut });
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
    if (rank === undefined) node.unsupported('with axes it needs an input of known rank');
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

export function writePad({ inputs, mode, pads, value }: PadNode, to: NodeWriter): void {
  to.add('Pad', [...inputs, to.integers('pads', pads), to.scalar('value', value)], [string('mode', mode)]);
}
