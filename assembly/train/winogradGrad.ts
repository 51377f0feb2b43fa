/**
 * The gradient of weights by Winograd's algorithm (Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2016),
 * for kernels of 3 or 5 taps along both axes or one, with stride 1, dilation 1 and one group. With d a 4 x 4 tile of dy,
 * and x the n x n values that its windows see, n = 4 + K - 1:
 *
 *   dW = A' [ sum over tiles of (G d G') * (B' x B) ] A
 *
 *   F(3x3, 4x4)  6 x 6 values  points 0, +-sqrt(1/2), +-sqrt(2), infinity
 *   F(5x5, 4x4)  8 x 8         points 0, +-1, +-1/2, +-2, infinity
 *
 * B' is that of the forward F(4x4, 3x3), since it follows from the points. The first errs 0.8e-6 of the largest gradient,
 * with points +-1 and +-1/2 twice as much; the second 4e-6 (1,024 tiles, standard normal values).
 *
 * Kernels of one column, or one row, have tiles of four pixels along the other axis, n points and one transform. What
 * follows names axes as kernels of one column have them: for those of one row, rows and columns change places.
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
  gradLine6,
  gradLine8,
  SEEN_ROW,
  seenAlong6,
  seenAlong8,
  seenDown6,
  seenDown8,
  seenLine6,
  seenLine8,
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
/** Taps of a kernel along each of its axes that has more than one. */
function tapsOf(d: WeightGradDescriptor): i32 {
  return max(d.kernelHeight, d.kernelWidth);
}

/** Points along an axis. */
function pointsAlong(d: WeightGradDescriptor): i32 {
  return TILE + tapsOf(d) - 1;
}

function isSquare(d: WeightGradDescriptor): bool {
  return d.kernelHeight === d.kernelWidth;
}

function pointsOf(d: WeightGradDescriptor): i32 {
  return isSquare(d) ? pointsAlong(d) * pointsAlong(d) : pointsAlong(d);
}

/** Tiles along an axis along which the kernel has so many taps. */
function tilesAlong(size: i32, taps: i32): i32 {
  return taps === 1 ? size : (size + TILE - 1) / TILE;
}

function lanesOf(channels: i32): i32 {
  return (channels + 3) & ~3;
}

/** Bytes between the points of V. */
function seenStepOf(d: WeightGradDescriptor): usize {
  return tapsOf(d) === 5 ? SEEN_STEP8 : SEEN_STEP6;
}

/** Lanes of x whose V is there at once, but for the last part. */
function seenLanes(taps: i32, inChannels: i32): i32 {
  return min(lanesOf(inChannels), taps === 5 ? SEEN_CHANNELS8 : SEEN_CHANNELS6);
}

/** Tiles of a block. */
function blockTiles(taps: i32, inChannels: i32): i32 {
  return min(MAX_TILES, (taps === 5 ? SEEN_FLOATS8 : SEEN_FLOATS6) / seenLanes(taps, inChannels));
}

/** Blocks of tiles that the gradient is summed over. */
export function winogradGradBlocks(
  batch: i32,
  outHeight: i32,
  outWidth: i32,
  kernelHeight: i32,
  kernelWidth: i32,
  inChannels: i32,
): i32 {
  const most = blockTiles(max(kernelHeight, kernelWidth), inChannels);
  const tiles = batch * tilesAlong(outHeight, kernelHeight) * tilesAlong(outWidth, kernelWidth);
  return (tiles + most - 1) / most;
}

/** Bytes of scratch that the gradient of such a convolution needs. */
export function winogradGradScratchBytes(descriptorPtr: usize): usize {
  const d = changetype<WeightGradDescriptor>(descriptorPtr);
  return TILES_OFFSET + <usize>pointsOf(d) * (seenStepOf(d) + GRAD_STEP);
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
  const points = pointsOf(d);
  const rowBytes = (<usize>lanes) << 2;
  const pointBytes = <usize>d.outChannels * rowBytes;
  const most = seenLanes(tapsOf(d), d.inChannels);
  const seenStep = seenStepOf(d);
  const seenPtr = scratchPtr + TILES_OFFSET;
  const gradsPtr = seenPtr + <usize>points * seenStep;
  const inBlock = blockTiles(tapsOf(d), d.inChannels);
  const tiles = d.batch * tilesAlong(d.outHeight, d.kernelHeight) * tilesAlong(d.outWidth, d.kernelWidth);
  const blocks = (tiles + inBlock - 1) / inBlock;
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
  const isTurned = d.kernelHeight === 1;
  const down = tilesAlong(d.outHeight, d.kernelHeight);
  const across = tilesAlong(d.outWidth, d.kernelWidth);
  const rows = isTurned ? across : down;
  const columns = isTurned ? down : across;
  const wide = isSquare(d) ? (isSeen ? pointsAlong(d) : TILE) : 1;
  const tileWidth = isSquare(d) ? TILE : 1;
  const most = 1 + (RUN_COLUMNS - wide) / tileWidth;
  const tileStep: usize = isSeen ? (<usize>lanes) << 2 : 16;
  const quadStep: usize = isSeen ? 16 : (<usize>count) << 4;
  let t = 0;
  while (t < count) {
    const tileRow = (first + t) / columns;
    const tileColumn = first + t - tileRow * columns;
    const image = tileRow / rows;
    const y = TILE * (tileRow - image * rows);
    const x = tileWidth * tileColumn;
    const tiles = min(min(columns - tileColumn, count - t), most);
    const seen = (tiles - 1) * tileWidth + wide;
    if (isSeen) tabulateSeen(d, fromPtr + <usize>image * d.inImageStride, y, x, seen, scratchPtr + SEEN_OFFSET);
    else tabulateGrads(d, fromPtr, image, y, x, seen, scratchPtr + SEEN_OFFSET);
    const runPtr = toPtr + <usize>t * tileStep;
    if (isSquare(d)) transformRun(d, isSeen, scratchPtr, seen, tiles, lanes, runPtr, tileStep, quadStep);
    else transformLine(d, isSeen, scratchPtr, tiles, lanes, runPtr, tileStep, quadStep);
    t += tiles;
  }
}

/** Addresses of what the tiles of a run see, the first of which begins at output row `y` and column `x`. */
function tabulateSeen(d: WeightGradDescriptor, imagePtr: usize, y: i32, x: i32, columns: i32, seenPtr: usize): void {
  const isTurned = d.kernelHeight === 1;
  for (let i = 0; i < pointsAlong(d); ++i) {
    const row = isTurned ? columnOf(d, y, i) : rowOf(d, y, i);
    for (let j = 0; j < columns; ++j) {
      const column = isTurned ? rowOf(d, x, j) : columnOf(d, x, j);
      store<usize>(seenPtr + ((<usize>j) << 2), (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column));
    }
    seenPtr += SEEN_ROW;
  }
}

/** Distance of the row at `offset` from the first that output row `y` sees; -1 beyond what the last one sees. */
function rowOf(d: WeightGradDescriptor, y: i32, offset: i32): i32 {
  return distanceOf(d.rowsPtr, y, offset, d.kernelHeight, d.outHeight);
}

function columnOf(d: WeightGradDescriptor, x: i32, offset: i32): i32 {
  return distanceOf(d.columnsPtr, x, offset, d.kernelWidth, d.outWidth);
}

function distanceOf(tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  const beyond = max(0, offset - kernel + 1);
  const out = first + beyond;
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + offset - beyond)) << 2));
}

/** Addresses of dy, zeros beyond its edges. */
function tabulateGrads(
  d: WeightGradDescriptor,
  gradPtr: usize,
  image: i32,
  y: i32,
  x: i32,
  columns: i32,
  seenPtr: usize,
): void {
  const isTurned = d.kernelHeight === 1;
  const height = isTurned ? d.outWidth : d.outHeight;
  const width = isTurned ? d.outHeight : d.outWidth;
  const imagePtr = gradPtr + <usize>(image * d.outHeight * d.outWidth) * d.gradPixelStride;
  for (let i = 0; i < TILE; ++i) {
    for (let j = 0; j < columns; ++j) {
      const pixel = isTurned ? (x + j) * d.outWidth + y + i : (y + i) * d.outWidth + x + j;
      const isThere = y + i < height && x + j < width;
      store<usize>(seenPtr + ((<usize>j) << 2), isThere ? imagePtr + <usize>pixel * d.gradPixelStride : d.zerosPtr);
    }
    seenPtr += SEEN_ROW;
  }
}

/** The transforms of a run, to `toPtr` on. Tiles are `tileStep`, four channels `quadStep` apart. */
function transformRun(
  d: WeightGradDescriptor,
  isSeen: bool,
  scratchPtr: usize,
  columns: i32,
  tiles: i32,
  lanes: i32,
  toPtr: usize,
  tileStep: usize,
  quadStep: usize,
): void {
  const seenPtr = scratchPtr + SEEN_OFFSET;
  const betweenPtr = scratchPtr + BETWEEN_OFFSET;
  const isLarge = tapsOf(d) === 5;
  const endBytes = (<usize>lanes) << 2;
  for (let channelBytes: usize = 0; channelBytes < endBytes; channelBytes += 16) {
    if (isLarge) {
      if (isSeen) seenDown8(seenPtr, channelBytes, columns, betweenPtr);
      else gradDown8(seenPtr, channelBytes, columns, betweenPtr);
    } else {
      if (isSeen) seenDown6(seenPtr, channelBytes, columns, betweenPtr);
      else gradDown6(seenPtr, channelBytes, columns, betweenPtr);
    }
    let fromPtr = betweenPtr;
    let tilePtr = toPtr;
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
    toPtr += quadStep;
  }
}

/** The same of kernels with one column. */
function transformLine(
  d: WeightGradDescriptor,
  isSeen: bool,
  scratchPtr: usize,
  tiles: i32,
  lanes: i32,
  toPtr: usize,
  tileStep: usize,
  quadStep: usize,
): void {
  const seenPtr = scratchPtr + SEEN_OFFSET;
  const isLarge = tapsOf(d) === 5;
  const endBytes = (<usize>lanes) << 2;
  for (let channelBytes: usize = 0; channelBytes < endBytes; channelBytes += 16) {
    if (isLarge) {
      if (isSeen) seenLine8(seenPtr, channelBytes, tiles, toPtr, tileStep);
      else gradLine8(seenPtr, channelBytes, tiles, toPtr, tileStep);
    } else {
      if (isSeen) seenLine6(seenPtr, channelBytes, tiles, toPtr, tileStep);
      else gradLine6(seenPtr, channelBytes, tiles, toPtr, tileStep);
    }
    toPtr += quadStep;
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
  const points = pointsOf(d);
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
  const n = <usize>pointsAlong(d);
  if (!isSquare(d)) {
    // A value is written once those of its point and of all before it are read.
    weightOf(n, sumsPtr, SUMS_ROW, sumsPtr, SUMS_ROW);
    return;
  }
  const r = <usize>tapsOf(d);
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
