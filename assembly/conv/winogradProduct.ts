/** The products of a block of Winograd tiles, P = U V point by point. See winograd.ts. */
import { chunksOf } from '../gemm/gemm';
import { gemmMicro, gemmMicroChunk, gemmMicroFour, gemmMicroStreamed, hasFour, zeroTilePtr } from '../gemm/micro';
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  Block,
  chunkStrideOf,
  Members,
  membersOf,
  NARROW,
  PRODUCT_STRIDE,
  panelsSideBySide,
  pointStride,
  productPointStride,
  SHORT,
} from './winogradBlock';

/** Whether a position among the points, of a row or a column, is one that half tiles do not have. */
function isOuter(n: i32, position: i32): bool {
  return n === 6 && (position === 3 || position === 4);
}

/**
 * All products of `channels` output channels of a group from its `first` on. `columnsBefore`: columns of U, of one kernel,
 * before those of the group.
 */
export function multiply(
  d: ConvDescriptor,
  b: Block,
  columnsBefore: i32,
  groupLanes: i32,
  first: i32,
  channels: i32,
): void {
  const step = pointStride(b.tiles, b.depth, b.streamed);
  let pointPtr = b.panelPtr;
  let before = columnsBefore + first;
  let productPtr = b.productPtr;
  for (let point = 0; point < b.points; ++point) {
    const without = (isOuter(b.n, point / b.n) ? SHORT : 0) | (isOuter(b.n, point % b.n) ? NARROW : 0);
    multiplyPoint(d, b, membersOf(b, without), pointPtr, before, groupLanes - first, channels, productPtr);
    pointPtr += step;
    if (point + 1 < b.uPoints) before += groupLanes;
    productPtr += productPointStride(b.tiles);
  }
}

/**
 * The products of one point. `before`: columns of U, of one kernel, before those of the point; `lanes`: columns from there to
 * the last of the group.
 */
function multiplyPoint(
  d: ConvDescriptor,
  b: Block,
  members: Members,
  pointPtr: usize,
  before: i32,
  lanes: i32,
  channels: i32,
  productPtr: usize,
): void {
  productPtr += <usize>members.first * PRODUCT_STRIDE;
  const isShallow = b.depth <= DEPTH_CHUNK;
  const rows = members.end - members.first;
  let column = 0;
  if (isShallow && b.kernels === 1 && rows === b.tiles && hasFour(rows)) {
    const panelBytes = (<usize>b.depth) << 5;
    for (; column + 32 <= min(channels, lanes); column += 32) {
      const weightsPtr = d.weightsPtr + ((<usize>((before + column) * b.depth)) << 2);
      gemmMicroFour(rows, pointPtr, 0, 0, weightsPtr, panelBytes, b.depth, productPtr);
      productPtr += <usize>(4 * rows) * PRODUCT_STRIDE;
    }
  }
  for (; column < channels; column += 8) {
    const width = min(8, lanes - column);
    const columnsBefore = (before + column) * b.kernels;
    if (isShallow) multiplyShallow(d, b, members, pointPtr, columnsBefore, width, productPtr);
    else multiplyDeep(d, b, members, pointPtr, columnsBefore, width, productPtr);
    productPtr += <usize>b.tiles * PRODUCT_STRIDE;
  }
}

/** A panel of `width` columns with all tiles, where a chunk holds all lanes and perhaps those of several panels of tiles. */
function multiplyShallow(
  d: ConvDescriptor,
  b: Block,
  members: Members,
  pointPtr: usize,
  columnsBefore: i32,
  width: i32,
  tilePtr: usize,
): void {
  const depth = b.depth;
  const height = members.height;
  const sideBySide = panelsSideBySide(depth);
  const besideStride = (<usize>depth) << 2;
  const groupStride = chunkStrideOf(members);
  const aStep = sideBySide > 1 ? besideStride : groupStride;
  const aPairStep = sideBySide === 2 ? groupStride : 2 * aStep;
  const kernelBytes = (<usize>(depth * width)) << 2;
  const weightsPtr = d.weightsPtr + ((<usize>(columnsBefore * depth)) << 2);
  const inFours = width === 8 && b.kernels === 1 && hasFour(height);
  let panel = 0;
  for (let t = members.first; t < members.end; ) {
    const inGroup = panel & (sideBySide - 1);
    const panelPtr = pointPtr + <usize>(panel / sideBySide) * groupStride + <usize>inGroup * besideStride;
    const rows = min(height, members.end - t);
    if (inFours && t + 4 * height <= members.end) {
      gemmMicroFour(height, panelPtr, aStep, aPairStep, weightsPtr, 0, depth, tilePtr);
      panel += 4;
      t += 4 * height;
      tilePtr += <usize>(4 * height) * PRODUCT_STRIDE;
      continue;
    }
    gemmMicroChunk<f32>(rows, width, panelPtr, weightsPtr, depth, zeroTilePtr, tilePtr);
    for (let k = 1; k < b.kernels; ++k) {
      gemmMicroChunk<f32>(rows, width, panelPtr, weightsPtr + kernelBytes * <usize>k, depth, tilePtr, tilePtr);
    }
    panel += 1;
    t += rows;
    tilePtr += <usize>rows * PRODUCT_STRIDE;
  }
}

/** The same where lanes fill more than a chunk. */
function multiplyDeep(
  d: ConvDescriptor,
  b: Block,
  members: Members,
  panelPtr: usize,
  columnsBefore: i32,
  width: i32,
  tilePtr: usize,
): void {
  const height = members.height;
  const chunkStride = chunkStrideOf(members);
  const panelStride = chunkStride * <usize>chunksOf(b.depth);
  const uPtr = d.weightsPtr;
  const u = d.panels;
  for (let t = members.first; t < members.end; t += height) {
    const rows = min(height, members.end - t);
    let before = columnsBefore;
    let startPtr = zeroTilePtr;
    for (let k = 0; k < b.kernels; ++k) {
      if (b.streamed) {
        gemmMicroStreamed(rows, width, panelPtr, chunkStride, uPtr, u, before, 0, b.depth, startPtr, tilePtr);
      } else {
        gemmMicro<f32>(rows, width, panelPtr, chunkStride, uPtr, u, before, 0, b.depth, startPtr, tilePtr);
      }
      before += width;
      startPtr = tilePtr;
    }
    panelPtr += panelStride;
    tilePtr += <usize>rows * PRODUCT_STRIDE;
  }
}
