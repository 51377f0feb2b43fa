/** The products of a block of Winograd tiles, P = U V point by point. See winograd.ts. */
import { chunksOf } from '../gemm/gemm';
import { gemmMicroBatch, gemmMicroChunk, hasBatch, microFull, zeroTilePtr } from '../gemm/micro';
import { gemmMicro, gemmMicroStreamed } from '../gemm/panels';
import { BATCH_TILES } from '../gemm/registerTiles';
import { DEPTH_CHUNK, TILE_ROWS } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  Block,
  canHalve,
  chunkStrideOf,
  distinct,
  Members,
  membersOf,
  NARROW,
  PRODUCT_STRIDE,
  SHORT,
} from './winogradBlock';

/** Whether half tiles lack the points of this row or column. */
function isOuter(b: Block, position: i32): bool {
  return canHalve(b) && (position === 3 || position === 4);
}

/**
 * The products of `channels` output channels of a group, from its channel `first` on. `columnsBefore`: columns of U, of
 * one kernel, before those of the group.
 */
export function multiply(
  d: ConvDescriptor,
  b: Block,
  columnsBefore: i32,
  groupLanes: i32,
  first: i32,
  channels: i32,
): void {
  const step = b.panelStep;
  const uHigh = distinct(b.high);
  const uWide = distinct(b.wide);
  let pointPtr = b.panelPtr;
  let productPtr = b.productPtr;
  for (let i = 0; i < b.high; ++i) {
    for (let j = 0; j < b.wide; ++j) {
      const without = (isOuter(b, i) ? SHORT : 0) | (isOuter(b, j) ? NARROW : 0);
      const u = min(i, uHigh - 1) * uWide + min(j, uWide - 1);
      const before = columnsBefore + first + u * groupLanes;
      multiplyPoint(d, b, membersOf(b, without), pointPtr, before, groupLanes - first, channels, productPtr);
      pointPtr += step;
      productPtr += b.productStep;
    }
  }
}

/**
 * The products of one point. `before`: columns of U, of one kernel, before those of the point; `lanes`: columns from
 * there to the end of the group.
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
  let column = 0;
  if (isShallow && b.kernels === 1 && members.end - members.first === b.tiles) {
    column = multiplyBatches(d, b, members.height, pointPtr, before, min(channels, lanes) & ~7, productPtr);
    productPtr += <usize>(column >> 3) * <usize>b.tiles * PRODUCT_STRIDE;
  }
  for (; column < channels; column += 8) {
    const width = min(8, lanes - column);
    const columnsBefore = (before + column) * b.kernels;
    if (isShallow) multiplyShallow(d, b, members, pointPtr, columnsBefore, width, productPtr);
    else multiplyDeep(d, b, members, pointPtr, columnsBefore, width, productPtr);
    productPtr += <usize>b.tiles * PRODUCT_STRIDE;
  }
}

/**
 * The products of one point with all tiles, where these form one panel of A or two equal ones, in batches over panels
 * of U. Returns the number of columns that were multiplied, whole panels of 8: all of them or none.
 */
function multiplyBatches(
  d: ConvDescriptor,
  b: Block,
  height: i32,
  pointPtr: usize,
  before: i32,
  columns: i32,
  productPtr: usize,
): i32 {
  const panels = b.tiles / height;
  if (panels > 2 || panels * height !== b.tiles || !hasBatch(height)) return 0;
  const depth = b.depth;
  const panelBytes = (<usize>depth) << 5;
  const isPair = panels === 2;
  const aStep: usize = isPair ? secondPanel(b, height) : 0;
  const bStep: usize = isPair ? 0 : panelBytes;
  const bPairStep = isPair ? panelBytes : 2 * panelBytes;
  let weightsPtr = d.weightsPtr + ((<usize>(before * depth)) << 2);
  for (let left = (columns >> 3) * panels; left > 0; left -= BATCH_TILES) {
    gemmMicroBatch(height, left, pointPtr, aStep, 0, weightsPtr, bStep, bPairStep, depth, productPtr);
    weightsPtr += <usize>(BATCH_TILES / panels) * panelBytes;
    productPtr += <usize>(BATCH_TILES * height) * PRODUCT_STRIDE;
  }
  return columns;
}

/** The products of a panel of `width` columns, where a chunk holds the whole depth, perhaps of several A panels. */
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
  const chunkPanelsMask = (1 << b.chunkPanelsBits) - 1;
  const panelBytes = (<usize>depth) << 2;
  const groupStride = chunkStrideOf(members);
  const aStep = secondPanel(b, height);
  const aPairStep = chunkPanelsMask === 1 ? groupStride : 2 * aStep;
  const kernelBytes = (<usize>(depth * width)) << 2;
  const weightsPtr = d.weightsPtr + ((<usize>(columnsBefore * depth)) << 2);
  let whole = width === 8 && b.kernels === 1 && hasBatch(height) ? (members.end - members.first) / height : 0;
  let panel = 0;
  let t = members.first;
  while (whole > 0) {
    const inChunkBytes = <usize>(panel & chunkPanelsMask) * panelBytes;
    const panelPtr = pointPtr + <usize>(panel >> b.chunkPanelsBits) * groupStride + inChunkBytes;
    gemmMicroBatch(height, whole, panelPtr, aStep, aPairStep, weightsPtr, 0, 0, depth, tilePtr);
    const panels = min(whole, BATCH_TILES);
    panel += panels;
    whole -= panels;
    t += panels * height;
    tilePtr += <usize>(panels * height) * PRODUCT_STRIDE;
  }
  let inChunk = panel & chunkPanelsMask;
  let groupPtr = pointPtr + <usize>(panel >> b.chunkPanelsBits) * groupStride;
  let panelPtr = groupPtr + <usize>inChunk * panelBytes;
  for (; t < members.end; t += height) {
    const rows = min(height, members.end - t);
    if (rows === TILE_ROWS && width === 8) microFull(panelPtr, weightsPtr, depth, zeroTilePtr, tilePtr);
    else gemmMicroChunk(rows, width, panelPtr, weightsPtr, depth, zeroTilePtr, tilePtr);
    for (let k = 1; k < b.kernels; ++k) {
      gemmMicroChunk(rows, width, panelPtr, weightsPtr + kernelBytes * <usize>k, depth, tilePtr, tilePtr);
    }
    panelPtr += panelBytes;
    if (++inChunk > chunkPanelsMask) {
      inChunk = 0;
      groupPtr += groupStride;
      panelPtr = groupPtr;
    }
    tilePtr += <usize>rows * PRODUCT_STRIDE;
  }
}

/** Bytes between the first two A panels of a shallow product. */
function secondPanel(b: Block, height: i32): usize {
  return (<usize>(b.chunkPanelsBits > 0 ? b.depth : height * DEPTH_CHUNK)) << 2;
}

/** The same where the depth is more than a chunk. */
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
        gemmMicro(rows, width, panelPtr, chunkStride, uPtr, u, before, 0, b.depth, startPtr, tilePtr);
      }
      before += width;
      startPtr = tilePtr;
    }
    panelPtr += panelStride;
    tilePtr += <usize>rows * PRODUCT_STRIDE;
  }
}
