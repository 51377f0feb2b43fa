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
 *   for each block of tiles, for each SEEN_CHANNELS input channels
 *     V  [points][tiles][lanes of x]                    in scratch
 *     for each GRAD_CHANNELS output channels
 *       U  [points][panels of 4 channels][tiles][4]     in scratch
 *       M += outer products over the tiles
 *
 *   M  [chunks][points][outChannels][lanes of x]        sums of chunks of blocks, as in weightGrad.ts
 *
 * A transform mixes the pixels of a tile: x and dy must hold numbers only, and none of great magnitude (see allBelow).
 */
import { addOuter, OUTER_BYTES, OUTER_COLUMNS, OUTER_ROWS } from './outer';
import {
  GRAD_CHANNELS,
  GRAD_STEP,
  MAX_TILES,
  RUN_COLUMNS,
  SEEN_CHANNELS6,
  SEEN_CHANNELS8,
  SEEN_FLOATS6,
  SEEN_FLOATS8,
  SEEN_STEP6,
  SEEN_STEP8,
} from './tuning';
import { WeightGradDescriptor } from './weightGrad';
import {
  BETWEEN_ROW,
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
/** Points along an axis. */
function pointsOf(d: WeightGradDescriptor): i32 {
  return TILE + d.kernelHeight - 1;
}

function lanesOf(channels: i32): i32 {
  return (channels + 3) & ~3;
}

/** Bytes between the points of V. */
function seenStepOf(d: WeightGradDescriptor): usize {
  return pointsOf(d) === 8 ? SEEN_STEP8 : SEEN_STEP6;
}

/** Lanes of x whose V is there at once, but for the last part. */
function seenLanes(kernel: i32, inChannels: i32): i32 {
  return min(lanesOf(inChannels), kernel === 5 ? SEEN_CHANNELS8 : SEEN_CHANNELS6);
}

/** Tiles of a block. */
function blockTiles(kernel: i32, inChannels: i32): i32 {
  return min(MAX_TILES, (kernel === 5 ? SEEN_FLOATS8 : SEEN_FLOATS6) / seenLanes(kernel, inChannels));
}

function tilesOf(batch: i32, outHeight: i32, outWidth: i32): i32 {
  return batch * ((outHeight + TILE - 1) / TILE) * ((outWidth + TILE - 1) / TILE);
}

/** Blocks of tiles that the gradient is summed over. */
export function winogradGradBlocks(batch: i32, outHeight: i32, outWidth: i32, kernel: i32, inChannels: i32): i32 {
  const most = blockTiles(kernel, inChannels);
  return (tilesOf(batch, outHeight, outWidth) + most - 1) / most;
}

/** Bytes of scratch that the gradient of such a convolution needs. */
export function winogradGradScratchBytes(descriptorPtr: usize): usize {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  return TILES_OFFSET + <usize>(pointsOf(d) * pointsOf(d)) * (seenStepOf(d) + GRAD_STEP);
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
  const most = seenLanes(d.kernelHeight, d.inChannels);
  const seenStep = seenStepOf(d);
  const seenPtr = scratchPtr + TILES_OFFSET;
  const gradsPtr = seenPtr + <usize>points * seenStep;
  const inBlock = blockTiles(d.kernelHeight, d.inChannels);
  const blocks = winogradGradBlocks(d.batch, d.outHeight, d.outWidth, d.kernelHeight, d.inChannels);
  const tiles = tilesOf(d.batch, d.outHeight, d.outWidth);
  for (let chunk = firstChunk; chunk < lastChunk; ++chunk) {
    const sumsPtr = outPtr + <usize>(chunk * points) * pointBytes;
    for (let p: usize = 0; p < <usize>points; ++p) {
      const skipped = <usize>firstChannel * rowBytes;
      memory.fill(sumsPtr + p * pointBytes + skipped, 0, <usize>(lastChannel - firstChannel) * rowBytes);
    }
    const end = min(blocks, (chunk + 1) * d.chunkBlocks);
    for (let block = chunk * d.chunkBlocks; block < end; ++block) {
      const first = block * inBlock;
      const count = min(inBlock, tiles - first);
      for (let c = 0; c < lanes; c += most) {
        const part = min(most, lanes - c);
        transformTiles(d, true, inPtr + ((<usize>c) << 2), scratchPtr, first, count, part, seenPtr);
        for (let o = firstChannel; o < lastChannel; o += GRAD_CHANNELS) {
          const channels = min(GRAD_CHANNELS, lastChannel - o);
          transformTiles(d, false, gradPtr + ((<usize>o) << 2), scratchPtr, first, count, lanesOf(channels), gradsPtr);
          let pointPtr = seenPtr;
          let panelsPtr = gradsPtr;
          let toPtr = sumsPtr + <usize>o * rowBytes + ((<usize>c) << 2);
          for (let p = 0; p < points; ++p) {
            addPoint(channels, part, count, panelsPtr, pointPtr, scratchPtr, toPtr, rowBytes);
            pointPtr += seenStep;
            panelsPtr += GRAD_STEP;
            toPtr += pointBytes;
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
      transformRun(d, true, scratchPtr, columns, tiles, t, lanes, toPtr, (<usize>lanes) << 2, 16);
    } else {
      const imagePtr = fromPtr + <usize>(image * d.outHeight * d.outWidth) * d.gradPixelStride;
      tabulateGrads(d, imagePtr, y, x, columns, scratchPtr + SEEN_OFFSET);
      transformRun(d, false, scratchPtr, columns, tiles, t, lanes, toPtr, 16, (<usize>count) << 4);
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
        if (isSeen) seenAlong8(fromPtr, tilePtr);
        else gradAlong8(fromPtr, tilePtr);
      } else {
        if (isSeen) seenAlong6(fromPtr, tilePtr);
        else gradAlong6(fromPtr, tilePtr);
      }
      fromPtr += TILE * 16;
      tilePtr += tileStep;
    }
    firstPtr += quadStep;
  }
}

/** Input channels whose sums are made at once: a cache line of each point. */
const WRITE_CHANNELS: i32 = 16;
/** Bytes of a pair of channels, in float64. */
const PAIR: usize = 16;
const SUMS_ROW: usize = (<usize>WRITE_CHANNELS) << 3;
/** Scratch of writeWinogradWeightGrad: sums [points][WRITE_CHANNELS], and those of a pair between the passes. */
const MAX_POINTS: usize = 64;
const WRITE_BETWEEN: usize = MAX_POINTS * SUMS_ROW;
export const WRITE_BYTES: i32 = <i32>(WRITE_BETWEEN + MAX_POINTS * PAIR);

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
  const taps = d.kernelHeight * d.kernelWidth;
  const rowBytes = (<usize>lanesOf(d.inChannels)) << 2;
  let toPtr = outPtr + ((<usize>(first * d.inChannels * taps)) << 2);
  for (let o = first; o < last; ++o) {
    for (let c = 0; c < d.inChannels; c += WRITE_CHANNELS) {
      const count = min(WRITE_CHANNELS, d.inChannels - c);
      addChunks(d, sumsPtr + <usize>o * rowBytes + ((<usize>c) << 2), chunks, lanesOf(count), scratchPtr);
      for (let i = 0; i < count; i += 2) {
        const pairPtr = scratchPtr + ((<usize>i) << 3);
        transformPair(d, pairPtr, scratchPtr + WRITE_BETWEEN);
        for (let lane = 0; lane < min(2, count - i); ++lane) {
          writeTaps(pairPtr + ((<usize>lane) << 3), taps, toPtr, accumulate);
          toPtr += (<usize>taps) << 2;
        }
      }
    }
  }
}

/** The sums of all points for `lanes` channels. */
function addChunks(d: WeightGradDescriptor, fromPtr: usize, chunks: i32, lanes: i32, toPtr: usize): void {
  const points = pointsOf(d) * pointsOf(d);
  const pointBytes = (<usize>(d.outChannels * lanesOf(d.inChannels))) << 2;
  const chunkBytes = <usize>points * pointBytes;
  for (let p = 0; p < points; ++p) {
    for (let at: usize = 0; at < (<usize>lanes) << 2; at += 16) {
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      let chunkPtr = fromPtr + at;
      for (let chunk = 0; chunk < chunks; ++chunk) {
        const x = v128.load(chunkPtr);
        low = f64x2.add(low, f64x2.promote_low_f32x4(x));
        high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1)));
        chunkPtr += chunkBytes;
      }
      v128.store(toPtr + at * 2, low);
      v128.store(toPtr + at * 2, high, 16);
    }
    fromPtr += pointBytes;
    toPtr += SUMS_ROW;
  }
}

/** The weights of two channels from their sums, which they overwrite, SUMS_ROW apart. */
function transformPair(d: WeightGradDescriptor, sumsPtr: usize, betweenPtr: usize): void {
  const n = <usize>pointsOf(d);
  const r = <usize>d.kernelHeight;
  for (let j: usize = 0; j < n; ++j) {
    weightOf(n, sumsPtr + j * SUMS_ROW, n * SUMS_ROW, betweenPtr + j * PAIR, n * PAIR);
  }
  for (let i: usize = 0; i < r; ++i) {
    weightOf(n, betweenPtr + i * n * PAIR, PAIR, sumsPtr + i * r * SUMS_ROW, SUMS_ROW);
  }
}

function weightOf(n: usize, fromPtr: usize, fromStep: usize, toPtr: usize, toStep: usize): void {
  if (n === 8) weightOf8(fromPtr, fromStep, toPtr, toStep);
  else weightOf6(fromPtr, fromStep, toPtr, toStep);
}

function writeTaps(fromPtr: usize, taps: i32, toPtr: usize, accumulate: i32): void {
  for (let tap = 0; tap < taps; ++tap) {
    const value = load<f64>(fromPtr);
    store<f32>(toPtr, <f32>(accumulate !== 0 ? <f64>load<f32>(toPtr) + value : value));
    fromPtr += SUMS_ROW;
    toPtr += 4;
  }
}
