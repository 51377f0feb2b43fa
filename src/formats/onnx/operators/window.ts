/** Windows of convolutions and pools: kernel, strides, dilations and pads. */
import type { Pads, Pair, Window } from '../../../graph/graph.js';
import type { Dim } from '../../../nodes/dims.js';
import { show, showList } from '../../../shown.js';
import { MAX_EXTENT } from './arguments.js';
import type { NodeContext } from './nodeContext.js';

/** Axes that a window slides over: 1 of signals, which become images of height 1, or 2. */
export type Spatial = 1 | 2;

export function expectSpatial(node: NodeContext, spatial: number, what: string): Spatial {
  if (spatial === 1 || spatial === 2) return spatial;
  return node.unsupported(`its ${what} must be 1-D or 2-D, got ${spatial}-D`);
}

/** Adds an operation on images; a signal [N, C, L] is one of height 1 meanwhile. */
export function emitOnImages(
  node: NodeContext,
  spatial: Spatial,
  emit: (image: string, output?: string) => string,
): string {
  if (spatial === 2) return emit(node.operand(0));
  const rank = node.dims(0)?.length ?? 3;
  if (rank !== 3) node.broken(`its input has ${rank} axes, a 1-D window takes 3`);
  const image = node.emit({ op: 'unsqueeze', inputs: [node.operand(0)], axes: [2] }, node.derive('image'));
  const output = emit(image, node.derive('wide'));
  return node.emit({ op: 'squeeze', inputs: [output], axes: [2] });
}

/** Numbers for down and across; a signal has none down. */
export function toPair(numbers: readonly number[], down: number): Pair {
  return numbers.length === 1 ? [down, numbers[0]!] : (numbers as unknown as Pair);
}

export function readWindow(node: NodeContext, kernel: Pair, spatial: Spatial): Window {
  const stride = readPair(node, 'strides', spatial);
  const dilation = readPair(node, 'dilations', spatial);
  return { kernel, stride, dilation, pads: readPads(node, kernel, stride, dilation, spatial) };
}

/** 1 where nothing else is said, and down for a signal. */
export function readPair(node: NodeContext, name: string, spatial: Spatial): Pair {
  const given = node.ints(name) ?? new Array<number>(spatial).fill(1);
  if (given.length !== spatial || !given.every((value) => value >= 1 && value <= MAX_EXTENT)) {
    node.broken(
      `its ${name} must be ${spatial === 1 ? 'an integer' : 'two integers'} from 1, got [${showList(given)}]`,
    );
  }
  return toPair(given, 1);
}

/** The attribute `pads`, for all sides; undefined where `auto_pad` says it in another way. */
export function readGivenPads(node: NodeContext, spatial: Spatial): Pads | undefined {
  const mode = node.string('auto_pad', 'NOTSET');
  if (mode === 'VALID') return [0, 0, 0, 0];
  if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') return undefined;
  if (mode !== 'NOTSET' && mode !== '') node.broken(`its auto_pad is ${show(mode)}`);
  const pads = node.ints('pads') ?? new Array<number>(2 * spatial).fill(0);
  if (pads.length !== 2 * spatial || !pads.every((pad) => Math.abs(pad) <= MAX_EXTENT)) {
    node.broken(`its pads must be ${spatial === 1 ? 'two' : 'four'} integers, got [${showList(pads)}]`);
  }
  return spatial === 1 ? [0, pads[0]!, 0, pads[1]!] : (pads as unknown as Pads);
}

function readPads(node: NodeContext, kernel: Pair, stride: Pair, dilation: Pair, spatial: Spatial): Pads {
  const given = readGivenPads(node, spatial);
  if (given !== undefined) return given;
  const dims = node.dims(0);
  const totals = ([0, 1] as const).map((i) => {
    const size = spatial === 1 && i === 0 ? 1 : dims?.[i + spatial];
    return samePadding(node, size, dilation[i] * (kernel[i] - 1) + 1, stride[i]);
  }) as unknown as Pair;
  return splitPads(totals, node.string('auto_pad', '') === 'SAME_LOWER');
}

/** Halves of what is added to each axis; the odd one is behind, or with `isLower` before it. */
export function splitPads(totals: Pair, isLower: boolean): Pads {
  const [top, left] = totals.map((total) => (isLower ? Math.ceil(total / 2) : Math.floor(total / 2))) as [
    number,
    number,
  ];
  return [top, left, totals[0] - top, totals[1] - left];
}

/** The padding that SAME adds to an axis in total, for an output of ceil(size / stride). */
function samePadding(node: NodeContext, size: Dim | undefined, extent: number, stride: number): number {
  if (stride === 1) return extent - 1;
  if (typeof size !== 'number') {
    node.open(`auto_pad with stride ${stride} needs an input whose height and width the file states`);
  }
  return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
}
