/** Images of another size, as ONNX's Resize: the nearest pixel, or a mean of four by their distances. */
import { UnsupportedError } from '../errors.js';
import type { Dim, DimOf, KnownDims } from '../nodes/dims.js';
import type { FullNode, Pair } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { oneOf } from '../options.js';
import { input, ports, type Step, type StepContext, writeTable } from '../plan/steps/step.js';
import { show, showName } from '../shown.js';
import type { DimOfValue, Expect, OperationRule } from './operation.js';
import { expectWindowable } from './window.js';

export const MODES = ['nearest', 'linear'] as const;
export const COORDINATES = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] as const;
export const ROUNDINGS = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
/** As of tables of windows (src/plan/windows.ts). */
const MAX_ENTRIES = 2 ** 24;

/** Of an image [N, C, H, W]; words are ONNX's. */
export interface ResizeNode extends FullNode {
  readonly op: 'resize';
  readonly mode: (typeof MODES)[number];
  /** Where the middle of an output pixel lies in the input. */
  readonly coordinates: (typeof COORDINATES)[number];
  /** Which pixel is the nearest of a position between two; without effect on `linear`. */
  readonly rounding: (typeof ROUNDINGS)[number];
  /** [height, width] of the output; empty: those of the input times `scales`, rounded down. */
  readonly target: readonly (number | DimOf)[];
  /** [down, across]; what is left out follows from the sizes. */
  readonly scales?: Pair | undefined;
}

export const resize: OperationRule<ResizeNode> = {
  check,
  dims: resizeDims,
  layout: () => 'channelsLast',
  step,
  flags: ({ mode, coordinates, rounding, target, scales }) => [
    mode,
    coordinates,
    ...(mode === 'nearest' ? [rounding] : []),
    scales === undefined
      ? `to ${target.map((size) => (typeof size === 'number' ? size : `${size.value}.${size.axis}`)).join(',')}`
      : `by ${scales.join(',')}`,
  ],
};

function check(node: ResizeNode, expect: Expect): void {
  oneOf(title(node), 'mode', node.mode, MODES);
  oneOf(title(node), 'coordinates', node.coordinates, COORDINATES);
  oneOf(title(node), 'rounding', node.rounding, ROUNDINGS);
  const { target, scales } = node;
  const isScaled = scales?.length === 2 && target.length === 0 && scales.every((scale) => scale > 0);
  const isRight = isScaled || (scales === undefined && target.length === 2);
  expect(isRight, 'a target', 'of two sizes, or none and two scales above 0', show({ target, scales }));
}

function resizeDims(node: ResizeNode, [image]: readonly KnownDims[], dimOf: DimOfValue): KnownDims {
  const input = image!;
  expectWindowable(node, input);
  return [input[0], input[1], outSize(node, 0, input, dimOf), outSize(node, 1, input, dimOf)];
}

function outSize(node: ResizeNode, axis: 0 | 1, input: KnownDims, dimOf: DimOfValue): Dim {
  const size = input[2 + axis];
  if (node.scales !== undefined) {
    const scale = node.scales[axis];
    return typeof size === 'number' ? Math.floor(scaledSize(size, scale)) : scale === 1 ? size : undefined;
  }
  const entry = node.target[axis]!;
  const given = typeof entry === 'number' ? entry : dimOf(entry.value, entry.axis);
  if (typeof given === 'object' || (Number.isSafeInteger(given) && given! >= 1)) return given;
  const got = typeof entry === 'number' ? show(entry) : `a dim of ${showName(entry.value)}, which is not known`;
  throw new RangeError(`${title(node)}: target must be sizes of at least 1, got ${got}`);
}

/** In float32, as onnxruntime: ten times 0.7 is seven. */
function scaledSize(size: number, scale: number): number {
  return Math.fround(size * Math.fround(scale));
}

function step(node: ResizeNode, context: StepContext): Step {
  const { kernels } = context.runtime;
  const { batch, pixels, lanes } = input(node, context);
  const [, , inHeight, inWidth] = context.dims(node.inputs[0]!) as [number, number, number, number];
  const [, , outHeight, outWidth] = context.dims(node.outputs[0]) as [number, number, number, number];
  const rows = positionsOf(node, 0, inHeight, outHeight);
  const columns = positionsOf(node, 1, inWidth, outWidth);
  const shape = [batch, outHeight, outWidth, pixels * lanes * 4, lanes] as const;
  const find = ports(node, context);
  const [rowBytes, columnBytes] = [inWidth * lanes * 4, lanes * 4];
  if (node.mode === 'nearest') {
    const rowsPtr = writeTable(context, nearestTable(node, rows, inHeight, rowBytes));
    const columnsPtr = writeTable(context, nearestTable(node, columns, inWidth, columnBytes));
    return (at) => {
      const [inPtr, , outPtr] = find(at);
      kernels.resizeNearest(inPtr, outPtr, rowsPtr, columnsPtr, ...shape);
    };
  }
  const [rowsPtr, rowWeightsPtr] = linearTables(rows, inHeight, rowBytes).map((one) => writeTable(context, one));
  const [columnsPtr, columnWeightsPtr] = linearTables(columns, inWidth, columnBytes).map((one) =>
    writeTable(context, one),
  );
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    kernels.resizeLinear(inPtr, outPtr, rowsPtr!, columnsPtr!, rowWeightsPtr!, columnWeightsPtr!, ...shape);
  };
}

/** Where each output position lies along an axis of the input. */
function positionsOf(node: ResizeNode, axis: 0 | 1, inSize: number, outCount: number): Float64Array {
  if (outCount > MAX_ENTRIES) {
    throw new UnsupportedError(`${title(node)}: ${outCount} rows or columns, expected at most ${MAX_ENTRIES}`);
  }
  const original = scaling(node, axis, inSize, outCount);
  // ONNX's tests take the length that the scale gives before it is rounded down.
  const length = node.scales === undefined ? outCount : scaledSize(inSize, node.scales[axis]);
  return Float64Array.from({ length: outCount }, (_, out) => {
    switch (node.coordinates) {
      case 'asymmetric':
        return original(out);
      case 'half_pixel':
        return original(out + 0.5) - 0.5;
      case 'pytorch_half_pixel':
        return outCount > 1 ? original(out + 0.5) - 0.5 : 0;
      case 'align_corners':
        return outCount > 1 ? (out * (inSize - 1)) / (length - 1) : 0;
    }
  });
}

/**
 * From distances in the output to those in the input. A scale is float32 in a file, and where a position is an integer
 * but for its rounding, onnxruntime's float32 finds that integer: so does this, for what is nearest.
 */
function scaling({ mode, scales }: ResizeNode, axis: 0 | 1, inSize: number, outCount: number): (at: number) => number {
  if (scales === undefined) return (at) => (at * inSize) / outCount;
  const scale = Math.fround(scales[axis]);
  return mode === 'nearest' ? (at) => Math.fround(at / scale) : (at) => at / scale;
}

function nearestTable({ rounding }: ResizeNode, positions: Float64Array, inSize: number, distance: number): Int32Array {
  // Half a pixel away from where the next one begins, or to it.
  const shift = rounding === 'round_prefer_floor' ? -0.5 : rounding === 'round_prefer_ceil' ? 0.5 : 0;
  const round = rounding === 'ceil' || rounding === 'round_prefer_floor' ? Math.ceil : Math.floor;
  return Int32Array.from(positions, (position) => clamp(round(position + shift), inSize) * distance);
}

/** Distances of both neighbours of each position, and their weights. */
function linearTables(positions: Float64Array, inSize: number, distance: number): [Int32Array, Float32Array] {
  const distances = new Int32Array(positions.length * 2);
  const weights = new Float32Array(positions.length * 2);
  positions.forEach((position, i) => {
    const at = clamp(position, inSize);
    const first = Math.floor(at);
    distances.set([first * distance, Math.min(first + 1, inSize - 1) * distance], i * 2);
    weights.set([1 - (at - first), at - first], i * 2);
  });
  return [distances, weights];
}

function clamp(position: number, size: number): number {
  return Math.min(Math.max(position, 0), size - 1);
}
