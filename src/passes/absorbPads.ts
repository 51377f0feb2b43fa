/**
 * Takes spatial Slices and Pads before a convolution into its window: cropping is negative padding.
 *
 * A convolution reads its input by position, so that both are exact as long as every value that it reads stays what it
 * was: what is cropped must not come back as padding of the convolution, and padding of two kinds does not mix.
 */
import type { Conv2dNode, Graph, PaddingMode, PadNode, Pads, SliceNode } from '../graph/graph.js';
import { MAX_COUNT } from '../sizes.js';
import { LARGE_POSITION } from './dropIdentities.js';
import { knownDims } from './knownDims.js';
import { type Pass, producers } from './pass.js';

type Dims = readonly number[];

/** Slices and Pads that are taken into convolutions at a time, for each node of the graph: many may share a chain. */
const MAX_STEPS = 4;

export const absorbPads: Pass = (graph, { shapesOf }) => {
  if (!graph.nodes.some(({ op }) => op === 'slice' || op === 'pad')) return graph;
  const byOutput = producers(graph.nodes);
  let known: ReadonlyMap<string, Dims> | undefined;
  const dimsOf = (name: string): Dims | undefined => {
    known ??= knownDims(shapesOf(graph));
    return known.get(name);
  };
  let changed = false;
  let left = MAX_STEPS * graph.nodes.length;
  const nodes = graph.nodes.map((node) => {
    if (node.op !== 'conv2d' || node.parallel !== undefined) return node;
    let conv: Conv2dNode = node;
    for (; left > 0; left--) {
      const before = byOutput.get(conv.inputs[0]);
      const absorbed =
        before?.op === 'slice'
          ? absorbSlice(conv, before, dimsOf(before.inputs[0]!))
          : before?.op === 'pad'
            ? absorbPad(conv, before, dimsOf(before.inputs[0]!))
            : undefined;
      if (absorbed === undefined) break;
      conv = absorbed;
    }
    changed ||= conv !== node;
    return conv;
  });
  return changed ? ({ ...graph, nodes } satisfies Graph) : graph;
};

function absorbSlice(conv: Conv2dNode, slice: SliceNode, dims: Dims | undefined): Conv2dNode | undefined {
  const crops = cropsOf(slice, dims);
  if (crops === undefined) return undefined;
  const { pads } = conv.window;
  for (const side of [0, 1, 2, 3] as const) {
    if (crops[side] === 0) continue;
    // Zeros are zeros wherever the image ends; values that a mode repeats depend on both ends of the axis.
    const opposite = ((side + 2) % 4) as 0 | 1 | 2 | 3;
    if (pads[side] > 0 || (conv.paddingMode !== 'zeros' && pads[opposite] > 0)) return undefined;
  }
  return withPads(
    conv,
    slice,
    crops.map((crop) => -crop),
    conv.paddingMode,
  );
}

/** What a slice cuts off at [top, left, bottom, right]; undefined if it does more, or if that is not known. */
function cropsOf(slice: SliceNode, dims: Dims | undefined): Pads | undefined {
  const crops: [number, number, number, number] = [0, 0, 0, 0];
  for (const [i, given] of slice.axes.entries()) {
    // What a convolution reads has rank 4.
    const axis = given < 0 ? given + 4 : given;
    const known = dims?.[axis];
    const size = known === undefined || known < 0 ? undefined : known;
    if (slice.steps[i] !== 1) return undefined;
    const start = cropAtStart(slice.starts[i]!, size);
    const end = cropAtEnd(slice.ends[i]!, size);
    if (start === undefined || end === undefined) return undefined;
    if (start === 0 && end === 0) continue;
    if (axis < 2 || axis > 3 || (size !== undefined && start + end >= size)) return undefined;
    crops[axis - 2] = start;
    crops[axis] = end;
  }
  return crops;
}

function cropAtStart(start: number, size: number | undefined): number | undefined {
  if (start >= 0) return start;
  return size === undefined ? undefined : Math.max(0, size + start);
}

function cropAtEnd(end: number, size: number | undefined): number | undefined {
  if (end >= LARGE_POSITION) return 0;
  if (end < 0) return -end;
  return size === undefined ? undefined : Math.max(0, size - end);
}

const MODES = { constant: 'zeros', reflect: 'reflect', edge: 'replicate', wrap: 'circular' } as const;

function absorbPad(conv: Conv2dNode, pad: PadNode, dims: Dims | undefined): Conv2dNode | undefined {
  const [beforeBatch, beforeChannels, top, left, afterBatch, afterChannels, bottom, right] = pad.pads;
  if (pad.pads.length !== 8 || beforeBatch || beforeChannels || afterBatch || afterChannels) return undefined;
  const added: Pads = [top!, left!, bottom!, right!];
  const mode = MODES[pad.mode];
  const { pads } = conv.window;
  const isCropping = pads.every((size) => size <= 0);
  if (mode === 'zeros') {
    const isZero = pad.value === 0 || added.every((size) => size <= 0);
    const comesBack = added.some((size, side) => size < 0 && pads[side]! > 0);
    if (!isZero || comesBack || (conv.paddingMode !== 'zeros' && !isCropping)) return undefined;
  } else if (!isCropping || added.some((size, side) => size < 0 || !fitsMode(size, mode, dims?.[2 + (side % 2)]))) {
    return undefined;
  }
  return withPads(conv, pad, added, mode);
}

/** Pad may wrap more than once around an image, a convolution may not. */
function fitsMode(pad: number, mode: PaddingMode, size: number | undefined): boolean {
  if (mode !== 'circular') return true;
  return pad === 0 || (size !== undefined && pad <= size);
}

/** @returns undefined if a sum is more than a window takes */
function withPads(
  conv: Conv2dNode,
  before: SliceNode | PadNode,
  added: readonly number[],
  paddingMode: PaddingMode,
): Conv2dNode | undefined {
  const [, weight, bias, addend] = conv.inputs;
  const pads = conv.window.pads.map((pad, side) => pad + added[side]!) as unknown as Pads;
  if (pads.some((pad) => Math.abs(pad) > MAX_COUNT)) return undefined;
  return {
    ...conv,
    inputs: [before.inputs[0]!, weight, bias, addend],
    window: { ...conv.window, pads },
    paddingMode,
  };
}
