/**
 * The gradient of 3 x 3 and 5 x 5 weights by Winograd's algorithm (Lavin, Gray: Fast Algorithms for Convolutional Neural
 * Networks, 2016), for stride 1, dilation 1 and one group. With d a 4 x 4 tile of dy, and x the n x n values that its
 * windows see, n = 4 + K - 1:
 *
 *   dW = A' [ sum over tiles of (G d G') * (B' x B) ] A
 *
 *   F(3x3, 4x4)  6 x 6 values  points 0, +-sqrt(1/2), +-sqrt(2), infinity
 *   F(5x5, 4x4)  8 x 8         points 0, +-1, +-1/2, +-2, infinity
 *
 * B' is that of the forward F(4x4, 3x3), since it follows from the points. The first errs 0.8e-6 of the largest gradient,
 * with points +-1 and +-1/2 twice as much; the second 4e-6 (1,024 tiles, standard normal values).
 *
 * Works on a block of tiles at a time; at each point, the sum over its tiles is an outer product as in weightGrad.ts:
 *
 *   for each block of tiles, for each BLOCK_IN input channels
 *     V  [points][tiles][lanes of x]                    in scratch
 *     for each BLOCK_OUT output channels
 *       U  [points][panels of 4 channels][tiles][4]     in scratch
 *       M += outer products over the tiles
 *
 *   M  [chunks][points][outChannels][lanes of x]        sums of chunks of blocks, as in weightGrad.ts
 *
 * A transform mixes the pixels of a tile: x and dy must hold numbers only, and none of great magnitude (see allBelow).
 */
import { BETWEEN_ROW, RUN_COLUMNS } from '../conv/winogradBlock';
import { addOuter, OUTER_BYTES, OUTER_COLUMNS, OUTER_ROWS } from './outer';
import { MAX_TILES, WINOGRAD_BYTES, WINOGRAD_IN, WINOGRAD_OUT } from './tuning';
import { WeightGradDescriptor } from './weightGrad';
import {
  gradAlong6,
  gradAlong8,
  gradDown6,
  gradDown8,
  SEEN_ROW,
  seenAlong6,
  seenAlong8,
  seenDown6,
  seenDown8,
  weightOf6,
  weightOf8,
} from './winogradTransforms';

/** Rows and columns of a tile of dy. */
const TILE: i32 = 4;
/** The most rows of a transformed tile. */
const MAX_ROWS: i32 = 8;
/** Scratch: a register tile, what a run of tiles sees, its values between the passes, V, U. */
const SEEN_OFFSET: usize = OUTER_BYTES;
const BETWEEN_OFFSET: usize = (SEEN_OFFSET + <usize>MAX_ROWS * SEEN_ROW + 15) & ~15;
const TILES_OFFSET: usize = (BETWEEN_OFFSET + <usize>MAX_ROWS * BETWEEN_ROW + 63) & ~63;
/** An odd number of cache lines between points keeps them out of the same few sets of L1. */
const CACHE_LINE: usize = 64;

/** Points along an axis. */
function pointsOf(d: WeightGradDescriptor): i32 {
  return TILE + d.kernelHeight - 1;
}

function lanesOf(channels: i32): i32 {
  return (channels + 3) & ~3;
}

/** Bytes between the points of V or U. */
function pointStride(tiles: i32, lanes: i32): usize {
  return ((((<usize>(tiles * lanes)) << 2) + 127) & ~127) + CACHE_LINE;
}

/** Tiles of a block: as many as fit into WINOGRAD_BYTES with their channels. */
function blockTiles(d: WeightGradDescriptor): i32 {
  const points = pointsOf(d) * pointsOf(d);
  const lanes = min(lanesOf(d.inChannels), WINOGRAD_IN) + min(lanesOf(d.outChannels), WINOGRAD_OUT);
  return max(1, min(MAX_TILES, WINOGRAD_BYTES / (points * lanes * 4)));
}

function tilesOf(d: WeightGradDescriptor): i32 {
  return d.batch * ((d.outHeight + TILE - 1) / TILE) * ((d.outWidth + TILE - 1) / TILE);
}

/** Blocks of tiles that the gradient is summed over. */
export function winogradGradBlocks(descriptorPtr: usize): i32 {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const most = blockTiles(d);
  return (tilesOf(d) + most - 1) / most;
}

/** Floats of M for one chunk. */
export function winogradGradFloats(descriptorPtr: usize): i32 {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  return pointsOf(d) * pointsOf(d) * d.outChannels * lanesOf(d.inChannels);
}

/** Bytes of scratch that the gradient of such a convolution needs. */
export function winogradGradScratchBytes(descriptorPtr: usize): usize {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const points = <usize>(pointsOf(d) * pointsOf(d));
  const tiles = blockTiles(d);
  const seen = pointStride(tiles, min(lanesOf(d.inChannels), WINOGRAD_IN));
  const grads = pointStride(tiles, min(lanesOf(d.outChannels), WINOGRAD_OUT));
  return TILES_OFFSET + points * (seen + grads) + 16;
}

/**
 * Sums of chunks `firstChunk` to `lastChunk` (excluded), for output channels `firstChannel` to `lastChannel` (excluded;
 * ranges start at multiples of 4). `outPtr`: M. `gradPtr`: dy. `scratchPtr`: winogradGradScratchBytes().
 */
export function winogradWeightGrad(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  gradPtr: usize,
  scratchPtr: usize,
  firstChunk: i32,
  lastChunk: i32,
  firstChannel: i32,
  lastChannel: i32,
): void {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const lanes = lanesOf(d.inChannels);
  const points = pointsOf(d) * pointsOf(d);
  const rowBytes = (<usize>lanes) << 2;
  const pointBytes = <usize>d.outChannels * rowBytes;
  const most = blockTiles(d);
  const blocks = winogradGradBlocks(descriptorPtr);
  const tiles = tilesOf(d);
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const sumsPtr = outPtr + <usize>(chunk * points) * pointBytes;
    for (let p: usize = 0; p < <usize>points; ++p) {
      const skipped = <usize>firstChannel * rowBytes;
      memory.fill(sumsPtr + p * pointBytes + skipped, 0, <usize>(lastChannel - firstChannel) * rowBytes);
    }
    const end = min(blocks, (chunk + 1) * d.chunkBlocks);
    for (let block = chunk * d.chunkBlocks; block < end; ++block) {
      const first = block * most;
      const count = min(most, tiles - first);
      for (let c = 0; c < lanes; c += WINOGRAD_IN) {
        const part = min(WINOGRAD_IN, lanes - c);
        const seenStep = pointStride(count, part);
        const seenPtr = scratchPtr + TILES_OFFSET;
        transformTiles(d, true, inPtr + ((<usize>c) << 2), scratchPtr, first, count, part, seenPtr, seenStep);
        for (let o = firstChannel; o < lastChannel; o += WINOGRAD_OUT) {
          const channels = min(WINOGRAD_OUT, lastChannel - o);
          const gradsPtr = seenPtr + <usize>points * seenStep;
          const gradStep = pointStride(count, lanesOf(channels));
          const fromPtr = gradPtr + ((<usize>o) << 2);
          transformTiles(d, false, fromPtr, scratchPtr, first, count, lanesOf(channels), gradsPtr, gradStep);
          const toPtr = sumsPtr + <usize>o * rowBytes + ((<usize>c) << 2);
          for (let p: usize = 0; p < <usize>points; ++p) {
            const pointPtr = seenPtr + p * seenStep;
            addPoint(
              channels,
              part,
              count,
              gradsPtr + p * gradStep,
              pointPtr,
              scratchPtr,
              toPtr + p * pointBytes,
              rowBytes,
            );
          }
        }
      }
    }
  }
}

/** Adds the outer products of one point over all tiles of a block. */
function addPoint(
  channels: i32,
  lanes: i32,
  tiles: i32,
  gradsPtr: usize,
  seenPtr: usize,
  tilePtr: usize,
  toPtr: usize,
  rowBytes: usize,
): void {
  const panelBytes = (<usize>tiles) << 4;
  const seenStep = (<usize>lanes) << 2;
  for (let column = 0; column < lanes; column += OUTER_COLUMNS) {
    const distance = (<usize>column) << 2;
    let panelPtr = gradsPtr;
    let outPtr = toPtr + distance;
    for (let o = 0; o < channels; o += OUTER_ROWS) {
      addOuter(
        min(OUTER_ROWS, channels - o),
        min(OUTER_COLUMNS, lanes - column),
        panelPtr,
        panelBytes,
        panelPtr + panelBytes,
        seenPtr + distance,
        seenStep,
        0,
        tilePtr,
        outPtr,
        rowBytes,
      );
      panelPtr += panelBytes;
      outPtr += rowBytes * OUTER_ROWS;
    }
  }
}

/**
 * V (`isSeen`) or U of `count` tiles from tile `first` on, for the `lanes` channels from `fromPtr` on. Works on runs of
 * neighbouring tiles, which share columns of what they see.
 */
function transformTiles(
  d: WeightGradDescriptor,
  isSeen: bool,
  fromPtr: usize,
  scratchPtr: usize,
  first: i32,
  count: i32,
  lanes: i32,
  toPtr: usize,
  pointStep: usize,
): void {
  const down = (d.outHeight + TILE - 1) / TILE;
  const across = (d.outWidth + TILE - 1) / TILE;
  const wide = isSeen ? pointsOf(d) : TILE;
  const most = 1 + (RUN_COLUMNS - wide) / TILE;
  let t = 0;
  while (t < count) {
    const tileRow = (first + t) / across;
    const x = TILE * (first + t - tileRow * across);
    const image = tileRow / down;
    const y = TILE * (tileRow - image * down);
    const tiles = min(min((d.outWidth - x + TILE - 1) / TILE, count - t), most);
    const columns = (tiles - 1) * TILE + wide;
    if (isSeen) {
      tabulateSeen(d, fromPtr + <usize>image * d.inImageStride, y, x, columns, scratchPtr + SEEN_OFFSET);
      transformRun(d, true, scratchPtr, columns, tiles, t, lanes, toPtr, pointStep, (<usize>lanes) << 2, 16);
    } else {
      const imagePtr = fromPtr + <usize>(image * d.outHeight * d.outWidth) * d.gradPixelStride;
      tabulateGrads(d, imagePtr, y, x, columns, scratchPtr + SEEN_OFFSET);
      transformRun(d, false, scratchPtr, columns, tiles, t, lanes, toPtr, pointStep, 16, (<usize>count) << 4);
    }
    t += tiles;
  }
}

/** Addresses of what the tiles of a run see, the first of which begins at output row `y` and column `x`. */
function tabulateSeen(d: WeightGradDescriptor, imagePtr: usize, y: i32, x: i32, columns: i32, seenPtr: usize): void {
  const rows = pointsOf(d);
  for (let i = 0; i < rows; ++i) {
    const row = distanceOf(d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    for (let j = 0; j < columns; ++j) {
      const column = distanceOf(d.columnsPtr, x, j, d.kernelWidth, d.outWidth);
      store<usize>(seenPtr + ((<usize>j) << 2), (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column));
    }
    seenPtr += SEEN_ROW;
  }
}

/** Distance of position `offset` of the windows from output `first` on; -1 beyond the last output. */
function distanceOf(tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  const beyond = max(0, offset - kernel + 1);
  const out = first + beyond;
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + offset - beyond)) << 2));
}

/** Addresses of dy, zeros beyond its edges. */
function tabulateGrads(d: WeightGradDescriptor, imagePtr: usize, y: i32, x: i32, columns: i32, seenPtr: usize): void {
  for (let i = 0; i < TILE; ++i) {
    for (let j = 0; j < columns; ++j) {
      const isThere = y + i < d.outHeight && x + j < d.outWidth;
      const pixel = <usize>((y + i) * d.outWidth + x + j);
      store<usize>(seenPtr + ((<usize>j) << 2), isThere ? imagePtr + pixel * d.gradPixelStride : d.zerosPtr);
    }
    seenPtr += SEEN_ROW;
  }
}

/** The transforms of a run; the block's tile `t` is its first. Tiles are `tileStep`, four channels `quadStep` apart. */
function transformRun(
  d: WeightGradDescriptor,
  isSeen: bool,
  scratchPtr: usize,
  columns: i32,
  tiles: i32,
  t: i32,
  lanes: i32,
  toPtr: usize,
  pointStep: usize,
  tileStep: usize,
  quadStep: usize,
): void {
  const seenPtr = scratchPtr + SEEN_OFFSET;
  const betweenPtr = scratchPtr + BETWEEN_OFFSET;
  const isLarge = pointsOf(d) === 8;
  const endBytes = (<usize>lanes) << 2;
  let firstPtr = toPtr + <usize>t * tileStep;
  for (let channelBytes: usize = 0; channelBytes < endBytes; channelBytes += 16) {
    if (isLarge) {
      if (isSeen) seenDown8(seenPtr, channelBytes, columns, betweenPtr);
      else gradDown8(seenPtr, channelBytes, columns, betweenPtr);
    } else {
      if (isSeen) seenDown6(seenPtr, channelBytes, columns, betweenPtr);
      else gradDown6(seenPtr, channelBytes, columns, betweenPtr);
    }
    let fromPtr = betweenPtr;
    let tilePtr = firstPtr;
    for (let k = 0; k < tiles; ++k) {
      if (isLarge) {
        if (isSeen) seenAlong8(fromPtr, tilePtr, pointStep);
        else gradAlong8(fromPtr, tilePtr, pointStep);
      } else {
        if (isSeen) seenAlong6(fromPtr, tilePtr, pointStep);
        else gradAlong6(fromPtr, tilePtr, pointStep);
      }
      fromPtr += TILE * 16;
      tilePtr += tileStep;
    }
    firstPtr += quadStep;
  }
}

/** Bytes of scratch of writeWinogradWeightGrad: sums of all points, and what is between the passes. */
const SUMS_BYTES: usize = 64 * 8;
export const WRITE_BYTES: i32 = 2 * 64 * 8;

/**
 * Adds up `chunks` chunks of M, transforms the sums to dW [outChannels][inChannels][K][K], all in float64, and writes
 * (`accumulate` 0) or adds them, for output channels `first` to `last` (excluded). `scratchPtr`: WRITE_BYTES.
 */
export function writeWinogradWeightGrad(
  descriptorPtr: usize,
  sumsPtr: usize,
  outPtr: usize,
  chunks: i32,
  accumulate: i32,
  scratchPtr: usize,
  first: i32,
  last: i32,
): void {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  const n = pointsOf(d);
  const r = d.kernelHeight;
  const rowBytes = (<usize>lanesOf(d.inChannels)) << 2;
  const pointBytes = <usize>d.outChannels * rowBytes;
  const chunkBytes = <usize>(n * n) * pointBytes;
  const betweenPtr = scratchPtr + SUMS_BYTES;
  let toPtr = outPtr + ((<usize>(first * d.inChannels * r * r)) << 2);
  for (let o = first; o < last; ++o) {
    for (let c = 0; c < d.inChannels; ++c) {
      let fromPtr = sumsPtr + <usize>o * rowBytes + ((<usize>c) << 2);
      for (let p = 0; p < n * n; ++p) {
        let sum: f64 = 0;
        let chunkPtr = fromPtr;
        for (let chunk = 0; chunk < chunks; ++chunk) {
          sum += <f64>load<f32>(chunkPtr);
          chunkPtr += chunkBytes;
        }
        store<f64>(scratchPtr + ((<usize>p) << 3), sum);
        fromPtr += pointBytes;
      }
      for (let j = 0; j < n; ++j) {
        const column = (<usize>j) << 3;
        weightOf(n, scratchPtr + column, (<usize>n) << 3, betweenPtr + column, (<usize>n) << 3);
      }
      for (let i = 0; i < r; ++i) {
        // Over the sums, which are used up.
        weightOf(n, betweenPtr + ((<usize>(i * n)) << 3), 8, scratchPtr + ((<usize>(i * r)) << 3), 8);
      }
      for (let tap = 0; tap < r * r; ++tap) {
        const value = load<f64>(scratchPtr + ((<usize>tap) << 3));
        store<f32>(toPtr, <f32>(accumulate !== 0 ? <f64>load<f32>(toPtr) + value : value));
        toPtr += 4;
      }
    }
  }
}

function weightOf(n: i32, fromPtr: usize, fromStep: usize, toPtr: usize, toStep: usize): void {
  if (n === 8) weightOf8(fromPtr, fromStep, toPtr, toStep);
  else weightOf6(fromPtr, fromStep, toPtr, toStep);
}
