/**
 * Winograd convolution, stride 1 and dilation 1 (Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2016).
 *
 *   Y = A' [ sum over channels of (G g G') * (B' d B) ] A
 *
 * with n x n tiles d of input, m x m tiles Y of output, n = m + r - 1. Three schemes:
 *
 *   F(4x4, 3x3)  n = 6  points 0, +-sqrt(1/2), +-sqrt(2), infinity
 *   F(2x2, 5x5)  n = 6  the same points, so the same B'
 *   F(2x2, 3x3)  n = 4  points 0, +-1, infinity
 *
 * The points were chosen for accuracy: over 256 channels these are as exact as a direct sum, 0, +-1, +-2 err three times
 * as much. For points a: row a of B' holds the coefficients of the product over the other points b of (x - b), the last
 * row those of the product over all; G[a][k] = a^k / product over b of (a - b); A'[i][a] = a^i.
 *
 * A block of tiles at a time, so that all of it stays in L2:
 *
 *   transform   V  [n * n][panels of tiles][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK]   A panels of the micro-kernels
 *   multiply    P  [n * n][tiles][8]    for eight output channels, U being the B panels
 *   inverse     output, with bias, residual and lower bound
 */

import { chunksOf, panelRows } from '../gemm/gemm';
import { gemmMicro } from '../gemm/micro';
import { panelColumns } from '../gemm/pack';
import { clampLow } from '../simd';
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  gatherTransform4,
  gatherTransform6,
  inputTransform4,
  inputTransform6,
  inverseTransform2of4,
  inverseTransform2of6,
  inverseTransform4of6,
} from './winogradTransforms';

/** Bytes of a row of P: eight floats. */
const PRODUCT_STRIDE: usize = 32;
/** Room for one tile before and between the two passes of a transform. */
const WORK_BYTES: usize = 36 * 16;

/** Where a block's parts lie in working memory. */
class Workspace {
  seenPtr: usize;
  tilePtr: usize;
  betweenPtr: usize;
  productPtr: usize;
  panelPtr: usize;
}

/** Bytes of working memory for a block of `tiles` tiles of `lanes` input lanes with n * n = `points`. */
export function winogradScratchBytes(points: i32, tiles: i32, lanes: i32): i32 {
  const fixed = workspaceBytes() + 2 * WORK_BYTES + 16;
  return <i32>(
    (fixed + <usize>points * (<usize>(tiles * 4) + <usize>tiles * PRODUCT_STRIDE + pointStride(tiles, lanes)))
  );
}

function workspaceBytes(): usize {
  return 64;
}

function layOut(scratchPtr: usize, points: i32, tiles: i32): Workspace {
  const w = changetype<Workspace>(scratchPtr);
  const count = <usize>(points * tiles);
  w.tilePtr = scratchPtr + workspaceBytes();
  w.betweenPtr = w.tilePtr + WORK_BYTES;
  w.productPtr = w.betweenPtr + WORK_BYTES;
  w.seenPtr = w.productPtr + count * PRODUCT_STRIDE;
  w.panelPtr = w.seenPtr + (((count << 2) + 15) & ~15);
  return w;
}

/**
 * Output tiles `firstTile` to `lastTile` (counted row by row over the batch, the last excluded) of a convolution with
 * m = `outTile`, r = d.kernelHeight = d.kernelWidth, groups = 1. `blockTiles` tiles are worked on at a time. The rest as
 * for conv2d.
 */
export function winogradConv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstTile: i32,
  lastTile: i32,
  firstChannel: i32,
  lastChannel: i32,
  outTile: i32,
  blockTiles: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  for (let first = firstTile; first < lastTile; first += blockTiles) {
    const tiles = min(blockTiles, lastTile - first);
    winogradBlock(d, inPtr, outPtr, residualPtr, scratchPtr, first, tiles, firstChannel, lastChannel, outTile);
  }
}

function winogradBlock(
  d: ConvDescriptor,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstTile: i32,
  tiles: i32,
  firstChannel: i32,
  lastChannel: i32,
  outTile: i32,
): void {
  const n = outTile + d.kernelHeight - 1;
  const w = layOut(scratchPtr, n * n, tiles);
  const lanes = (d.inChannels + 3) & ~3;
  for (let t = 0; t < tiles; ++t) locateTile(d, w, inPtr, firstTile + t, t, outTile, n);
  for (let t = 0; t < tiles; ++t) transformTile(w, lanes, t, tiles, n);
  let weightsPtr = d.weightsPtr + ((<usize>(n * n * lanes * firstChannel)) << 2);
  for (let column = firstChannel; column < lastChannel; column += 8) {
    const width = panelColumns<f32>(d.outChannels - column);
    multiply(w, weightsPtr, tiles, lanes, n * n, width);
    for (let t = 0; t < tiles; ++t)
      invertTile(d, w, outPtr, residualPtr, firstTile + t, t, tiles, column, width, outTile, n);
    weightsPtr += (<usize>(n * n * lanes * width)) << 2;
  }
}

/** Writes the addresses of the n x n pixels that tile `t` sees to w.seenPtr [tiles][n * n]. */
function locateTile(d: ConvDescriptor, w: Workspace, inPtr: usize, tile: i32, t: i32, outTile: i32, n: i32): void {
  const across = (d.outWidth + outTile - 1) / outTile;
  const down = (d.outHeight + outTile - 1) / outTile;
  const image = tile / (across * down);
  const tileRow = (tile - image * across * down) / across;
  const y = tileRow * outTile;
  const x = (tile - image * across * down - tileRow * across) * outTile;
  const imagePtr = inPtr + <usize>image * d.inImageStride;
  let seenPtr = w.seenPtr + ((<usize>(t * n * n)) << 2);
  for (let i = 0; i < n; ++i) {
    const row = tableEntry(d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    for (let j = 0; j < n; ++j) {
      const column = tableEntry(d.columnsPtr, x, j, d.kernelWidth, d.outWidth);
      store<usize>(seenPtr, (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column));
      seenPtr += 4;
    }
  }
}

/** The table's distance for input position `offset` of the tile whose first output is `first`; -1 beyond the last output. */
function tableEntry(tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  const out = first + max(0, offset - kernel + 1);
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + min(offset, kernel - 1))) << 2));
}

/** Bytes of the A panels of one point. */
function pointStride(tiles: i32, lanes: i32): usize {
  const height = panelRows(tiles);
  return (<usize>(((tiles + height - 1) / height) * height * chunksOf(lanes) * DEPTH_CHUNK)) << 2;
}

/** B' d B of all channels of one tile, to its row of the A panels. */
function transformTile(w: Workspace, lanes: i32, t: i32, tiles: i32, n: i32): void {
  const height = panelRows(tiles);
  const panel = t / height;
  const chunkStride = (<usize>(height * DEPTH_CHUNK)) << 2;
  const rowPtr =
    w.panelPtr + <usize>(panel * chunksOf(lanes)) * chunkStride + ((<usize>((t - panel * height) * DEPTH_CHUNK)) << 2);
  const step = pointStride(tiles, lanes);
  const seenPtr = w.seenPtr + ((<usize>(t * n * n)) << 2);
  for (let channel = 0; channel < lanes; channel += 4) {
    const inChunk = <usize>(channel & (DEPTH_CHUNK - 1));
    const toPtr = rowPtr + <usize>(channel / DEPTH_CHUNK) * chunkStride + (inChunk << 2);
    if (n === 6) {
      gatherTransform6(seenPtr, (<usize>channel) << 2, w.betweenPtr);
      inputTransform6(w.betweenPtr, toPtr, step);
    } else {
      gatherTransform4(seenPtr, (<usize>channel) << 2, w.betweenPtr);
      inputTransform4(w.betweenPtr, toPtr, step);
    }
  }
}

/** All products of one panel of output channels. */
function multiply(w: Workspace, weightsPtr: usize, tiles: i32, lanes: i32, points: i32, width: i32): void {
  const height = panelRows(tiles);
  const chunkStride = (<usize>(height * DEPTH_CHUNK)) << 2;
  const panelStride = chunkStride * <usize>chunksOf(lanes);
  const weightsStep = (<usize>(lanes * width)) << 2;
  let panelPtr = w.panelPtr;
  let productPtr = w.productPtr;
  for (let p = 0; p < points; ++p) {
    for (let t = 0; t < tiles; t += height) {
      const rows = min(height, tiles - t);
      gemmMicro<f32>(rows, width, panelPtr, chunkStride, weightsPtr, lanes, productPtr);
      panelPtr += panelStride;
      productPtr += <usize>rows * PRODUCT_STRIDE;
    }
    weightsPtr += weightsStep;
  }
}

/** A' M A of one tile and one panel of output channels, and out with it. */
function invertTile(
  d: ConvDescriptor,
  w: Workspace,
  outPtr: usize,
  residualPtr: usize,
  tile: i32,
  t: i32,
  tiles: i32,
  column: i32,
  width: i32,
  outTile: i32,
  n: i32,
): void {
  const across = (d.outWidth + outTile - 1) / outTile;
  const down = (d.outHeight + outTile - 1) / outTile;
  const image = tile / (across * down);
  const tileRow = (tile - image * across * down) / across;
  const y = tileRow * outTile;
  const x = (tile - image * across * down - tileRow * across) * outTile;
  const rows = min(outTile, d.outHeight - y);
  const columns = min(outTile, d.outWidth - x);
  const firstPixel = (image * d.outHeight + y) * d.outWidth + x;
  const productStep = <usize>tiles * PRODUCT_STRIDE;
  for (let lane = 0; lane < width; lane += 4) {
    const fromPtr = w.productPtr + <usize>t * PRODUCT_STRIDE + ((<usize>lane) << 2);
    if (n === 4) {
      inverseTransform2of4(fromPtr, productStep * 4, productStep, w.betweenPtr, 16 * 4, 16, 4);
      inverseTransform2of4(w.betweenPtr, 16, 16 * 4, w.tilePtr, 16, 16 * 2, 2);
    } else if (outTile === 4) {
      inverseTransform4of6(fromPtr, productStep * 6, productStep, w.betweenPtr, 16 * 6, 16, 6);
      inverseTransform4of6(w.betweenPtr, 16, 16 * 6, w.tilePtr, 16, 16 * 4, 4);
    } else {
      inverseTransform2of6(fromPtr, productStep * 6, productStep, w.betweenPtr, 16 * 6, 16, 6);
      inverseTransform2of6(w.betweenPtr, 16, 16 * 6, w.tilePtr, 16, 16 * 2, 2);
    }
    const channel = column + lane;
    const bias = v128.load(d.biasPtr + ((<usize>channel) << 2));
    const lows = f32x4.splat(d.low);
    const keep = laneMask(d.outChannels - channel);
    for (let i = 0; i < rows; ++i) {
      const distance = <usize>(firstPixel + i * d.outWidth) * d.outPixelStride + ((<usize>channel) << 2);
      let toPtr = outPtr + distance;
      let addendPtr = residualPtr + distance;
      let sumPtr = w.tilePtr + ((<usize>(i * outTile)) << 4);
      for (let j = 0; j < columns; ++j) {
        let value = f32x4.add(v128.load(sumPtr), bias);
        if (residualPtr !== 0) value = f32x4.add(value, v128.load(addendPtr));
        v128.store(toPtr, v128.and(clampLow(value, lows), keep));
        toPtr += d.outPixelStride;
        addendPtr += d.outPixelStride;
        sumPtr += 16;
      }
    }
  }
}

/** Ones in the first `count` lanes: lanes beyond the last channel stay zero, whatever 0 * infinity made of them. */
function laneMask(count: i32): v128 {
  if (count >= 4) return i32x4.splat(-1);
  return i32x4.gt_s(i32x4.splat(count), i32x4(0, 1, 2, 3));
}
