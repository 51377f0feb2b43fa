/** What kernels are told of a max pool behind a sum of BatchNorms (assembly/train/normPool.ts). */
import type { Dims } from '../../nodes/dims.js';
import type { PoolNode } from '../../ops/pool.js';
import { type StepContext, writeRecord, writeTable } from '../../plan/steps/step.js';
import { seenTaps, windowTable } from '../../plan/steps/windows.js';
import { lanesOf, product } from '../../sizes.js';
import { POOL_WINDOWS } from '../records.js';

/** Of the rows of a sum that are made at once, so that they stay in L2; working memory holds more. */
const BAND_BYTES = 256 * 1024;

/** Whether what a row of windows sees is small enough, and no window lies in the padding as a whole. */
export function canBePooled({ op, window }: PoolNode, [, channels, , width]: Dims): boolean {
  const { kernel, dilation, pads } = window;
  if (op !== 'maxPool2d' || dilation.some((size) => size !== 1)) return false;
  if (pads.some((size, i) => size < 0 || size >= kernel[i % 2]!)) return false;
  return product(kernel[0], width!, lanesOf(channels!), 4) <= BAND_BYTES;
}

/** Writes a PoolWindows; its address. `dims`: of the images. */
export function writePoolWindows(context: StepContext, { window }: PoolNode, dims: Dims, outDims: Dims): number {
  const [, channels, height, width] = dims as [number, number, number, number];
  const [, , outHeight, outWidth] = outDims as [number, number, number, number];
  const pixel = lanesOf(channels) * 4;
  const row = width * pixel;
  const [down, across] = [seenTaps(window, 0, height), seenTaps(window, 1, width)];
  const rows = windowTable(window, 0, 'zeros', height, outHeight, row, down);
  const columns = windowTable(window, 1, 'zeros', width, outWidth, pixel, across);
  const rowWindows = windowsBySeen(rows, down, height, row, outWidth * pixel);
  const columnWindows = windowsBySeen(columns, across, width, pixel, pixel);
  const bandRows = Math.floor((BAND_BYTES / row - down) / window.stride[0]) + 1;
  return writeRecord('Trainer', context, POOL_WINDOWS, {
    rowsPtr: writeTable(context, rows),
    columnsPtr: writeTable(context, columns),
    rowWindowsPtr: writeTable(context, rowWindows.table),
    columnWindowsPtr: writeTable(context, columnWindows.table),
    height,
    width,
    outHeight,
    outWidth,
    kernelHeight: down,
    kernelWidth: across,
    mostRows: rowWindows.most,
    mostColumns: columnWindows.most,
    bandRows: Math.max(1, bandRows),
  });
}

/** For each position of an axis the windows that see it, as distances of pooled values, then -1. */
function windowsBySeen(
  table: Int32Array,
  taps: number,
  size: number,
  distance: number,
  outDistance: number,
): { table: Int32Array; most: number } {
  const windows = Array.from({ length: size }, (): number[] => []);
  table.forEach((seen, i) => {
    if (seen >= 0) windows[seen / distance]!.push(Math.floor(i / taps) * outDistance);
  });
  const most = Math.max(1, ...windows.map(({ length }) => length));
  return { table: Int32Array.from(windows.flatMap((of) => Array.from({ length: most }, (_, i) => of[i] ?? -1))), most };
}
