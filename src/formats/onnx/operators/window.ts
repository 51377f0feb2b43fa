/** Windows of convolutions and pools: kernel, strides, dilations and pads. */
import type { Pads, Pair, Window } from '../../../graph/graph.js';
import type { Dim } from '../../../nodes/dims.js';
import { show, showList } from '../../../shown.js';
import { MAX_EXTENT } from './arguments.js';
import type { NodeContext } from './nodeContext.js';

export function expectTwoSpatialDims(node: NodeContext, spatial: number, what: string): void {
  if (spatial !== 2) node.unsupported(`its ${what} must be 2-D, got ${spatial}-D`);
}

export function readWindow(node: NodeContext, kernel: Pair): Window {
  const stride = readPair(node, 'strides', 1);
  const dilation = readPair(node, 'dilations', 1);
  return { kernel, stride, dilation, pads: readPads(node, kernel, stride, dilation) };
}

export function readPair(node: NodeContext, name: string, byDefault: number): Pair {
  const pair = node.ints(name) ?? [byDefault, byDefault];
  if (pair.length !== 2 || !pair.every((value) => value >= 1 && value <= MAX_EXTENT)) {
    node.broken(`its ${name} must be two integers from 1, got [${showList(pair)}]`);
  }
  return pair as unknown as Pair;
}

function readPads(node: NodeContext, kernel: Pair, stride: Pair, dilation: Pair): Pads {
  const mode = node.string('auto_pad', 'NOTSET');
  if (mode === 'VALID') return [0, 0, 0, 0];
  if (mode === 'NOTSET' || mode === '') {
    const pads = node.ints('pads') ?? [0, 0, 0, 0];
    if (pads.length !== 4 || !pads.every((pad) => Math.abs(pad) <= MAX_EXTENT)) {
      node.broken(`its pads must be four integers, got [${showList(pads)}]`);
    }
    return pads as unknown as Pads;
  }
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') node.broken(`its auto_pad is ${show(mode)}`);
  const dims = node.dims(0);
  const totals = [0, 1].map((i) => samePadding(node, dims?.[2 + i], dilation[i]! * (kernel[i]! - 1) + 1, stride[i]!));
  const before = totals.map((total) => (mode === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)));
  return [before[0]!, before[1]!, totals[0]! - before[0]!, totals[1]! - before[1]!];
}

/** The padding that SAME adds to an axis in total, for an output of ceil(size / stride). */
function samePadding(node: NodeContext, size: Dim | undefined, extent: number, stride: number): number {
  if (stride === 1) return extent - 1;
  if (typeof size !== 'number') {
    node.unsupported(`auto_pad with stride ${stride} needs an input whose height and width the file states`);
  }
  return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
}
