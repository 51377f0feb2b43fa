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
 *   multiply    P  [n * n][panels][tiles][8]    for a group of output channels; U being the B panels
 *   inverse     output, with bias, residual and lower bound
 *
 * Point by point, V and U of one group fit into L1 together.
 */

import { chunksOf, panelRows } from '../gemm/gemm';
import { gemmMicro, gemmMicroFull } from '../gemm/micro';
import { DEPTH_CHUNK, TILE_ROWS } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  finish2of4,
  finish2of6,
  finish4of6,
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
/** Room for a tile between the two passes of a transform. */
const BETWEEN_BYTES: usize = 36 * 16;

/** Panels of eight output channels that are multiplied before their inverse transform. */
const GROUP_PANELS: i32 = 8;
export const GROUP_CHANNELS: i32 = GROUP_PANELS * 8;
/** Words of a tile's entry in the table: its first output pixel, and how many of its rows and columns are in the image. */
const PLACE_WORDS: i32 = 3;

/** A block of tiles, and where its parts lie in working memory. */
class Block {
  tiles: i32;
  outTile: i32;
  n: i32;
  lanes: i32;
  /** Rows of the A panels. */
  height: i32;
  /** Between the two passes of a transform, [n][n] vectors. */
  betweenPtr: usize;
  /** Where each tile's output goes, [tiles][PLACE_WORDS]. */
  placePtr: usize;
  /** Addresses of the pixels that each tile sees, [tiles][n * n]. */
  seenPtr: usize;
  productPtr: usize;
  panelPtr: usize;
}

const BLOCK_BYTES: usize = 64;
const CACHE_LINE: usize = 64;

/** Bytes of working memory for a block of `tiles` tiles of `lanes` input lanes with n * n = `points`. */
export function winogradScratchBytes(points: i32, tiles: i32, lanes: i32): i32 {
  const fixed = BLOCK_BYTES + BETWEEN_BYTES + 32;
  const tables = (<usize>(tiles * (points + PLACE_WORDS))) << 2;
  const products = <usize>points * productPointStride(tiles);
  return <i32>(fixed + tables + products + <usize>points * pointStride(tiles, lanes));
}

function layOut(d: ConvDescriptor, scratchPtr: usize, tiles: i32, outTile: i32): Block {
  const b = changetype<Block>(scratchPtr);
  b.tiles = tiles;
  b.outTile = outTile;
  b.n = outTile + d.kernelHeight - 1;
  b.lanes = (d.inChannels + 3) & ~3;
  b.height = panelRows(tiles);
  const points = b.n * b.n;
  b.betweenPtr = scratchPtr + BLOCK_BYTES;
  b.productPtr = b.betweenPtr + BETWEEN_BYTES;
  b.panelPtr = b.productPtr + <usize>points * productPointStride(tiles);
  b.seenPtr = b.panelPtr + <usize>points * pointStride(tiles, b.lanes);
  b.placePtr = b.seenPtr + ((<usize>(points * tiles)) << 2);
  return b;
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
  const b = layOut(d, scratchPtr, tiles, outTile);
  const points = b.n * b.n;
  for (let t = 0; t < tiles; ++t) locateTile(d, b, inPtr, firstTile + t, t);
  for (let t = 0; t < tiles; ++t) transformTile(b, t);
  let first = firstChannel;
  while (first < lastChannel) {
    const group = first / GROUP_CHANNELS;
    const inGroup = first - group * GROUP_CHANNELS;
    const channels = min(GROUP_CHANNELS - inGroup, lastChannel - first);
    const groupLanes = min(GROUP_CHANNELS, ((d.outChannels + 3) & ~3) - group * GROUP_CHANNELS);
    const groupPtr = d.weightsPtr + ((<usize>(points * b.lanes * group * GROUP_CHANNELS)) << 2);
    multiply(b, groupPtr, groupLanes, inGroup, channels);
    for (let panel = 0; panel * 8 < channels; ++panel) {
      for (let t = 0; t < tiles; ++t) invertTile(d, b, outPtr, residualPtr, t, panel, first + panel * 8);
    }
    first += channels;
  }
}

/** Where tile `t` of the block reads and writes. */
function locateTile(d: ConvDescriptor, b: Block, inPtr: usize, tile: i32, t: i32): void {
  const across = (d.outWidth + b.outTile - 1) / b.outTile;
  const down = (d.outHeight + b.outTile - 1) / b.outTile;
  const image = tile / (across * down);
  const tileRow = (tile - image * across * down) / across;
  const y = tileRow * b.outTile;
  const x = (tile - image * across * down - tileRow * across) * b.outTile;
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, (image * d.outHeight + y) * d.outWidth + x);
  store<i32>(placePtr, min(b.outTile, d.outHeight - y), 4);
  store<i32>(placePtr, min(b.outTile, d.outWidth - x), 8);
  const imagePtr = inPtr + <usize>image * d.inImageStride;
  let seenPtr = b.seenPtr + ((<usize>(t * b.n * b.n)) << 2);
  for (let i = 0; i < b.n; ++i) {
    const row = tableEntry(d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    for (let j = 0; j < b.n; ++j) {
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

/**
 * Bytes of the A panels of one point. The points of a tile are written one after the other: an odd number of cache lines
 * keeps them from falling into the same few sets of L1, as they would with 16 or 32 tiles (32->32 @16: 0.110 ms became 0.081 ms).
 */
function pointStride(tiles: i32, lanes: i32): usize {
  const height = panelRows(tiles);
  return ((<usize>(((tiles + height - 1) / height) * height * chunksOf(lanes) * DEPTH_CHUNK)) << 2) + 5 * CACHE_LINE;
}

/** Bytes of the products of one point; padded for the same reason. */
function productPointStride(tiles: i32): usize {
  return <usize>(GROUP_PANELS * tiles) * PRODUCT_STRIDE + 3 * CACHE_LINE;
}

/** B' d B of all channels of tile `t`, to its row of the A panels. */
function transformTile(b: Block, t: i32): void {
  const panel = t / b.height;
  const chunkStride = (<usize>(b.height * DEPTH_CHUNK)) << 2;
  const row = (<usize>((t - panel * b.height) * DEPTH_CHUNK)) << 2;
  const rowPtr = b.panelPtr + <usize>(panel * chunksOf(b.lanes)) * chunkStride + row;
  const step = pointStride(b.tiles, b.lanes);
  const seenPtr = b.seenPtr + ((<usize>(t * b.n * b.n)) << 2);
  for (let channel = 0; channel < b.lanes; channel += 4) {
    const inChunk = <usize>(channel & (DEPTH_CHUNK - 1));
    const toPtr = rowPtr + <usize>(channel / DEPTH_CHUNK) * chunkStride + (inChunk << 2);
    if (b.n === 6) {
      gatherTransform6(seenPtr, (<usize>channel) << 2, b.betweenPtr);
      inputTransform6(b.betweenPtr, toPtr, step);
    } else {
      gatherTransform4(seenPtr, (<usize>channel) << 2, b.betweenPtr);
      inputTransform4(b.betweenPtr, toPtr, step);
    }
  }
}

/**
 * All products of `channels` output channels of a group from its `first` on; the group's weights are
 * [n * n][groupLanes / 8 panels][lanes][columns].
 */
function multiply(b: Block, groupPtr: usize, groupLanes: i32, first: i32, channels: i32): void {
  const chunkStride = (<usize>(b.height * DEPTH_CHUNK)) << 2;
  const panelStride = chunkStride * <usize>chunksOf(b.lanes);
  const step = pointStride(b.tiles, b.lanes);
  const isShallow = b.lanes <= DEPTH_CHUNK;
  let pointPtr = b.panelPtr;
  let weightsPtr = groupPtr + ((<usize>(first * b.lanes)) << 2);
  let productPtr = b.productPtr;
  for (let p = 0; p < b.n * b.n; ++p) {
    let columnsPtr = weightsPtr;
    let columnsProductPtr = productPtr;
    for (let column = 0; column < channels; column += 8) {
      const width = min(8, groupLanes - first - column);
      let panelPtr = pointPtr;
      let tilePtr = columnsProductPtr;
      for (let t = 0; t < b.tiles; t += b.height) {
        const rows = min(b.height, b.tiles - t);
        if (isShallow && rows === TILE_ROWS && width === 8) gemmMicroFull(panelPtr, columnsPtr, b.lanes, tilePtr);
        else gemmMicro<f32>(rows, width, panelPtr, chunkStride, columnsPtr, b.lanes, tilePtr);
        panelPtr += panelStride;
        tilePtr += <usize>rows * PRODUCT_STRIDE;
      }
      columnsPtr += (<usize>(b.lanes * width)) << 2;
      columnsProductPtr += <usize>b.tiles * PRODUCT_STRIDE;
    }
    pointPtr += step;
    weightsPtr += (<usize>(b.lanes * groupLanes)) << 2;
    productPtr += productPointStride(b.tiles);
  }
}

/** A' M A of one tile and one panel of output channels, and out with it. */
function invertTile(
  d: ConvDescriptor,
  b: Block,
  outPtr: usize,
  residualPtr: usize,
  t: i32,
  panel: i32,
  firstChannel: i32,
): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  const firstPixel = load<i32>(placePtr);
  const rows = load<i32>(placePtr, 4);
  const columns = load<i32>(placePtr, 8);
  const step = productPointStride(b.tiles);
  const productPtr = b.productPtr + <usize>(panel * b.tiles + t) * PRODUCT_STRIDE;
  const rowStride = <usize>d.outWidth * d.outPixelStride;
  const lastChannel = min(firstChannel + 8, d.outChannels);
  for (let channel = firstChannel; channel < lastChannel; channel += 4) {
    const fromPtr = productPtr + ((<usize>(channel - firstChannel)) << 2);
    const distance = <usize>firstPixel * d.outPixelStride + ((<usize>channel) << 2);
    const toPtr = outPtr + distance;
    const addendPtr: usize = residualPtr === 0 ? 0 : residualPtr + distance;
    const biasPtr = d.biasPtr + ((<usize>channel) << 2);
    const keep = laneMask(d.outChannels - channel);
    const pixelStride = d.outPixelStride;
    if (b.n === 4) {
      inverseTransform2of4(fromPtr, step, b.betweenPtr);
      finish2of4(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
    } else if (b.outTile === 4) {
      inverseTransform4of6(fromPtr, step, b.betweenPtr);
      finish4of6(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
    } else {
      inverseTransform2of6(fromPtr, step, b.betweenPtr);
      finish2of6(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
    }
  }
}

/** Ones in the first `count` lanes: lanes beyond the last channel stay zero, whatever 0 * infinity made of them. */
function laneMask(count: i32): v128 {
  if (count >= 4) return i32x4.splat(-1);
  return i32x4.gt_s(i32x4.splat(count), i32x4(0, 1, 2, 3));
}
