/**
 * Where kernels are strong: the average kernel magnitude matrices of section 4.4 of the ACNet paper (Ding et al., 2019).
 * For each K x K convolution, the magnitudes at each place are summed over inputs and outputs and divided by the
 * largest sum; the matrices of all layers with the same K are averaged.
 */
import { fuseStateDict, type StateDict, Tensor } from '../index.js';

/** [row][column], from 0 to 1. */
export type MagnitudeMatrix = readonly (readonly number[])[];

export interface LayerMagnitudes {
  readonly name: string;
  /** Magnitudes of the square branch alone, its BatchNorm folded; without branches, of the kernel. */
  readonly square: MagnitudeMatrix;
  readonly merged: MagnitudeMatrix;
}

/** Magnitudes for all layers with kernels of one size. */
export interface KernelMagnitudes {
  /** Its height, and its width. */
  readonly size: number;
  readonly layers: readonly LayerMagnitudes[];
  /** Number of layers that have branches to merge. */
  readonly blocks: number;
  readonly square: MagnitudeMatrix;
  readonly merged: MagnitudeMatrix;
}

/** Means of the parts of a matrix with an odd number of rows. */
export interface Parts {
  /** The row and the column in the middle. */
  readonly skeleton: number;
  /** All else. */
  readonly corners: number;
}

const BRANCH = /(^|\.)(ver|hor)_conv\.weight$/;
const FUSED = /(^|\.)fused_conv\.weight$/;

/** @returns by size, the smallest first */
export function kernelMagnitudes(state: StateDict, eps: number): KernelMagnitudes[] {
  const merged = fuseStateDict(state, { eps });
  const square = fuseStateDict(withoutBranches(state), { eps });
  const layers = Object.entries(merged).flatMap(([key, { dims }]) => {
    if (dims.length !== 4 || dims[2] !== dims[3] || dims[2]! < 2) return [];
    const isBlock = FUSED.test(key) && !Object.hasOwn(state, key);
    const name = key.replace(/\.?(fused_conv\.)?weight$/, '');
    return [{ name, size: dims[2]!, isBlock, square: magnitudes(square[key]!), merged: magnitudes(merged[key]!) }];
  });
  const sizes = [...new Set(layers.map(({ size }) => size))].sort((one, other) => one - other);
  return sizes.map((size) => {
    const ofSize = layers.filter((layer) => layer.size === size);
    return {
      size,
      layers: ofSize.map((layer) => ({ name: layer.name, square: layer.square, merged: layer.merged })),
      blocks: ofSize.filter(({ isBlock }) => isBlock).length,
      square: average(ofSize.map((layer) => layer.square)),
      merged: average(ofSize.map((layer) => layer.merged)),
    };
  });
}

/** Undefined if there is no middle, or nothing beside it. */
export function partsOf(matrix: MagnitudeMatrix): Parts | undefined {
  if (matrix.length % 2 === 0 || matrix.length === 1) return undefined;
  const middle = matrix.length >> 1;
  const cells = matrix.flatMap((row, i) => row.map((value, j) => ({ value, isCorner: i !== middle && j !== middle })));
  const mean = (isCorner: boolean): number => {
    const values = cells.filter((cell) => cell.isCorner === isCorner).map(({ value }) => value);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return { skeleton: mean(false), corners: mean(true) };
}

/** The same blocks, with one-dimensional kernels that add nothing. */
function withoutBranches(state: StateDict): StateDict {
  return Object.fromEntries(
    Object.entries(state).map(([key, tensor]) => [
      key,
      BRANCH.test(key) ? new Tensor('float32', new Float32Array(tensor.size), tensor.dims) : tensor,
    ]),
  );
}

function magnitudes({ data, dims }: Tensor): number[][] {
  const size = dims[2]!;
  const sums = new Float64Array(size * size);
  for (let i = 0; i < data.length; i++) sums[i % sums.length]! += Math.abs(data[i]!);
  const largest = sums.reduce((most, sum) => Math.max(most, sum), 0);
  // A layer of zeros is as strong everywhere: not at all.
  const scale = largest === 0 ? 1 : largest;
  return Array.from({ length: size }, (_, i) =>
    Array.from(sums.subarray(i * size, (i + 1) * size), (sum) => sum / scale),
  );
}

function average(matrices: readonly MagnitudeMatrix[]): number[][] {
  return matrices[0]!.map((row, i) =>
    row.map((_, j) => matrices.reduce((sum, matrix) => sum + matrix[i]![j]!, 0) / matrices.length),
  );
}
