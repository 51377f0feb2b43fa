/**
 * Winograd convolution without dilation (Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2016).
 *
 *   Y = A' [ sum over channels of (G g G') * (B' d B) ] A
 *
 * with tiles d of input, n values high and wide, and tiles Y of output, m pixels, n = m + r - 1 for stride 1:
 *
 *   F(4x4, 3x3)  6 x 6 values  points 0, +-sqrt(1/2), +-sqrt(2), infinity
 *   F(2x2, 3x3)  4 x 4         points 0, +-1, infinity
 *   F(2x3, 5x5)  6 x 7         down those of F(4, 3), along +-5/16, +-7/8, +-7/4, infinity (winogradLong.ts)
 *   stride 2     9 x 9         4 x 4 outputs of 3x3: F(4, 2) and every other row and column as it is
 *
 * One more scheme, F(4, 5), works along rows only (winogradRows.ts): a tile is one value high, and kernel rows are further
 * lanes.
 *
 * The points were chosen for accuracy: over 256 channels those of F(4x4, 3x3) are as exact as a direct sum, 0, +-1, +-2 err
 * three times as much. (F(6x6, 3x3) and F(4x4, 5x5) err four to ten times as much with any points, F(2x4, 5x5) three.)
 *
 * For points a: row a of B' holds the coefficients of the product over the other points b of (x - b), the last row those of
 * the product over all; G[a][k] = a^k / product over b of (a - b); A'[i][a] = a^i.
 *
 * Where 4 x 4 tiles do not divide the image, the last row and column of tiles are two high or wide if that is enough.
 * F(2, 3) on the points 0, +-sqrt(1/2), infinity needs four of the six points of F(4, 3), and its G differs from those
 * rows of G by a factor per point, which its B' takes over: the same U serves both. Tiles are numbered by kind,
 *
 *   4 x 2 (at the right edge), 4 x 4, 2 x 4 (at the lower edge), 2 x 2
 *
 * image after image within a kind, so that the tiles with a product at some point are neighbours (14 x 14: 484 products
 * per channel pair instead of 576).
 *
 * Several kernels over the same input whose results are added (the branches of a block in its train form, the smaller
 * ones set into squares) share its transform and one inverse: their products are summed as if they were more channels.
 *
 * A block of tiles at a time, so that all of it stays in L2:
 *
 *   transform   V  [points][panels of the tiles that have the point][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK], the A panels
 *                  of the micro-kernels
 *   multiply    P  [points][panels][tiles][8]    for a group of output channels; U being the B panels
 *   inverse     output, with bias, residual and lower bound
 *
 * Point by point, V and U of one group fit into L1 together.
 */
import { DEPTH_CHUNK } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  BETWEEN_ROW,
  Block,
  chunkStrideOf,
  distinct,
  GROUP_CHANNELS,
  inRows,
  isWhole,
  kindStart,
  layOut,
  membersOf,
  NARROW,
  PLACE_WORDS,
  PRODUCT_STRIDE,
  pointStride,
  productPointStride,
  quadOf,
  rowOf,
  SHORT,
  tableEntry,
} from './winogradBlock';
import { finishPart, invert2of4, invert2x3, invert4of6, invert4of8, invert4of9 } from './winogradInverse';
import { Column, transform7, transform9, Vectors } from './winogradLong';
import { multiply } from './winogradProduct';
import { placeRow, transformRow } from './winogradRows';
import {
  gatherTransform4,
  gatherTransform6,
  gatherTransformHalf,
  inputTransform4,
  inputTransform6,
  inputTransformHalf,
  Mixed,
  stridedTransform6,
  Whole,
  Wide,
} from './winogradTransforms';

/**
 * Output tiles `firstTile` to `lastTile` (the last excluded, numbered as the head of this file says) of a convolution with
 * a square kernel and groups = 1. `blockTiles` tiles are worked on at a time. The rest as for conv2d.
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
  blockTiles: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  for (let first = firstTile; first < lastTile; first += blockTiles) {
    const tiles = min(blockTiles, lastTile - first);
    winogradBlock(d, inPtr, outPtr, residualPtr, scratchPtr, first, tiles, firstChannel, lastChannel);
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
): void {
  const b = layOut(d, scratchPtr, firstTile, tiles);
  for (let t = 0; t < tiles; ++t) locateTile(d, b, inPtr, firstTile + t, t);
  for (let t = 0; t < tiles; ++t) transformTile(d, b, t);
  let first = firstChannel;
  while (first < lastChannel) {
    const group = first / GROUP_CHANNELS;
    const inGroup = first - group * GROUP_CHANNELS;
    const channels = min(GROUP_CHANNELS - inGroup, lastChannel - first);
    const groupLanes = min(GROUP_CHANNELS, ((d.outChannels + 3) & ~3) - group * GROUP_CHANNELS);
    multiply(d, b, distinct(b.high) * distinct(b.wide) * group * GROUP_CHANNELS, groupLanes, inGroup, channels);
    for (let panel = 0; panel * 8 < channels; ++panel) {
      invert(d, b, outPtr, residualPtr, panel, first + panel * 8);
    }
    first += channels;
  }
}

/** Finds tile `t` of the block: which pixels it is, and what it sees. */
function locateTile(d: ConvDescriptor, b: Block, inPtr: usize, tile: i32, t: i32): void {
  let kind = NARROW;
  if (t >= membersOf(b, SHORT).end) kind = t >= membersOf(b, NARROW).end ? SHORT | NARROW : SHORT;
  else if (t >= membersOf(b, NARROW).first) kind = 0;
  const across = (kind & NARROW) === 0 ? b.across : 1;
  const down = (kind & SHORT) === 0 ? b.down : 1;
  const ofKind = tile - kindStart(d, b, kind);
  const image = ofKind / (across * down);
  const inImage = ofKind - image * across * down;
  const tileRow = inImage / across;
  const y = b.tileHeight * ((kind & SHORT) === 0 ? tileRow : b.down);
  const x = b.tileWidth * ((kind & NARROW) === 0 ? inImage - tileRow * across : b.across);
  if (inRows(b)) placeRow(d, b, t, inPtr + <usize>image * d.inImageStride, image, y, x);
  else placeTile(d, b, t, kind, inPtr + <usize>image * d.inImageStride, image, y, x);
}

/**
 * The tile's entry: its first output pixel, how many of its rows and columns are in the image, its kind, and the address
 * of the first pixel that it sees, or 0 where these are not an undisturbed part of the image and have a table. A table
 * moves by at most one pixel at a step, so that they span one pixel less than there are values only if they are neighbours.
 */
function placeTile(d: ConvDescriptor, b: Block, t: i32, kind: i32, imagePtr: usize, image: i32, y: i32, x: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, (image * d.outHeight + y) * d.outWidth + x);
  store<i32>(placePtr, min(b.tileHeight, d.outHeight - y), 4);
  store<i32>(placePtr, min(b.tileWidth, d.outWidth - x), 8);
  store<i32>(placePtr, kind, 12);
  const lastDown = b.high - 1;
  const lastAcross = b.wide - 1;
  const firstRow = tableEntry(b, d.rowsPtr, y, 0, d.kernelHeight, d.outHeight);
  const lastRow = tableEntry(b, d.rowsPtr, y, lastDown, d.kernelHeight, d.outHeight);
  const firstColumn = tableEntry(b, d.columnsPtr, x, 0, d.kernelWidth, d.outWidth);
  const lastColumn = tableEntry(b, d.columnsPtr, x, lastAcross, d.kernelWidth, d.outWidth);
  const isInside =
    b.high === 6 &&
    isWhole(b) &&
    (firstRow | firstColumn) >= 0 &&
    lastRow - firstRow === lastDown * d.inRowStride &&
    lastColumn - firstColumn === lastAcross * (b.lanes << 2);
  store<usize>(placePtr, isInside ? imagePtr + <usize>(firstRow + firstColumn) : 0, 16);
  if (!isInside) tabulateSeen(d, b, t, imagePtr, y, x);
}

/** Addresses of the pixels that a tile sees. The first row holds the columns' distances until its turn, which is last. */
function tabulateSeen(d: ConvDescriptor, b: Block, t: i32, imagePtr: usize, y: i32, x: i32): void {
  const firstPtr = b.seenPtr + ((<usize>(t * b.high * b.wide)) << 2);
  for (let j = 0; j < b.wide; ++j) {
    store<i32>(firstPtr + ((<usize>j) << 2), tableEntry(b, d.columnsPtr, x, j, d.kernelWidth, d.outWidth));
  }
  for (let i = b.high - 1; i >= 0; --i) {
    const row = tableEntry(b, d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    const rowPtr = firstPtr + ((<usize>(i * b.wide)) << 2);
    for (let j = 0; j < b.wide; ++j) {
      const column = load<i32>(firstPtr + ((<usize>j) << 2));
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(rowPtr + ((<usize>j) << 2), seen);
    }
  }
}

/** B' d B of all channels of tile `t`, to its rows of the A panels. */
function transformTile(d: ConvDescriptor, b: Block, t: i32): void {
  if (inRows(b)) {
    transformRow(d, b, t);
    return;
  }
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  const kind = load<i32>(placePtr, 12);
  const insidePtr = load<usize>(placePtr, 16);
  const seenPtr = b.seenPtr + ((<usize>(t * b.high * b.wide)) << 2);
  const members = membersOf(b, 0);
  if (isWhole(b)) {
    const toPtr = rowOf(b, members, t);
    transformWhole(d, b, insidePtr, seenPtr, toPtr, chunkStrideOf(members));
  } else {
    transformMixed(b, kind, seenPtr, t);
  }
}

/** A tile of a block where all points have all tiles; `fromPtr` is 0 or the first pixel of one without a table. */
function transformWhole(
  d: ConvDescriptor,
  b: Block,
  fromPtr: usize,
  seenPtr: usize,
  rowPtr: usize,
  chunkStride: usize,
): void {
  const step = pointStride(b.tiles, b.lanes, b.streamed);
  const pixelStride = (<usize>b.lanes) << 2;
  for (let channel = 0; channel < b.lanes; channel += 4) {
    const channelBytes = (<usize>channel) << 2;
    const inChunk = (<usize>(channel & (DEPTH_CHUNK - 1))) << 2;
    const toPtr = rowPtr + <usize>(channel / DEPTH_CHUNK) * chunkStride + inChunk;
    if (b.high === 4) {
      gatherTransform4(seenPtr, channelBytes, b.betweenPtr);
      inputTransform4(b.betweenPtr, toPtr, step);
    } else if (b.wide === 9) {
      for (let j: usize = 0; j < 9; ++j) {
        transform9<Column>(seenPtr + (j << 2), channelBytes, b.betweenPtr + (j << 4), BETWEEN_ROW);
      }
      for (let i: usize = 0; i < 9; ++i) {
        transform9<Vectors>(b.betweenPtr + i * BETWEEN_ROW, 0, toPtr + i * 9 * step, step);
      }
    } else if (b.wide === 7) {
      if (fromPtr !== 0) stridedTransform6<Wide>(fromPtr + channelBytes, d.inRowStride, pixelStride, b.betweenPtr);
      else gatherTransform6<Wide>(seenPtr, channelBytes, 7, b.betweenPtr);
      for (let i: usize = 0; i < 6; ++i) {
        transform7(b.betweenPtr + i * BETWEEN_ROW, toPtr + i * 7 * step, step);
      }
    } else {
      if (fromPtr !== 0) stridedTransform6<Whole>(fromPtr + channelBytes, d.inRowStride, pixelStride, b.betweenPtr);
      else gatherTransform6<Whole>(seenPtr, channelBytes, 6, b.betweenPtr);
      inputTransform6<Whole>(b.betweenPtr, 6, toPtr, toPtr, step);
    }
  }
}

/** A tile of a block with half tiles: each class of points has its own panels. */
function transformMixed(b: Block, kind: i32, seenPtr: usize, t: i32): void {
  const step = pointStride(b.tiles, b.lanes, b.streamed);
  const columns = (kind & NARROW) === 0 ? 6 : 4;
  const inner = membersOf(b, 0);
  const short = membersOf(b, SHORT);
  const narrow = membersOf(b, NARROW);
  const outer = membersOf(b, SHORT | NARROW);
  for (let channel = 0; channel < b.lanes; channel += 4) {
    const toPtr = quadOf(b, inner, t, channel);
    const toNarrowPtr = quadOf(b, narrow, t, channel);
    if ((kind & SHORT) === 0) gatherTransform6<Mixed>(seenPtr, (<usize>channel) << 2, columns, b.betweenPtr);
    else gatherTransformHalf(seenPtr, (<usize>channel) << 2, columns, b.betweenPtr);
    alongRows(b, kind, 0, 3, toPtr, toNarrowPtr, step);
    if ((kind & SHORT) === 0) {
      alongRows(b, kind, 3, 2, quadOf(b, short, t, channel), quadOf(b, outer, t, channel), step);
    }
    alongRows(b, kind, 5, 1, toPtr, toNarrowPtr, step);
  }
}

/**
 * The second pass over `rows` rows from row `first` on. `toPtr`: where results go at the first point, where that is one
 * of the inner columns; `outerPtr`: the same of the outer ones.
 */
function alongRows(b: Block, kind: i32, first: usize, rows: i32, toPtr: usize, outerPtr: usize, step: usize): void {
  const fromPtr = b.betweenPtr + first * BETWEEN_ROW;
  const distance = first * 6 * step;
  if ((kind & NARROW) === 0) inputTransform6<Mixed>(fromPtr, rows, toPtr + distance, outerPtr + distance, step);
  else inputTransformHalf(fromPtr, rows, toPtr + distance, step);
}

/** A scheme that invertPanel is compiled for, told apart by the size of the class. */
class OfRows {}
class OfFour extends OfRows {
  a: i32;
}
class OfSix extends OfFour {
  b: i32;
}
class OfSeven extends OfSix {
  c: i32;
}
class OfNine extends OfSeven {
  d: i32;
}

function invert(d: ConvDescriptor, b: Block, outPtr: usize, residualPtr: usize, panel: i32, channel: i32): void {
  if (inRows(b)) invertPanel<OfRows>(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 4) invertPanel<OfFour>(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 6) invertPanel<OfSix>(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 7) invertPanel<OfSeven>(d, b, outPtr, residualPtr, panel, channel);
  else invertPanel<OfNine>(d, b, outPtr, residualPtr, panel, channel);
}

/** An addend where there is none. */
const zerosPtr: usize = memory.data(16, 16);

/** A' M A of all tiles and one panel of output channels, the first being `firstChannel`, and out with it. */
function invertPanel<Scheme>(
  d: ConvDescriptor,
  b: Block,
  outPtr: usize,
  residualPtr: usize,
  panel: i32,
  firstChannel: i32,
): void {
  const pixel = d.outPixelStride;
  const row = <usize>d.outWidth * pixel;
  const hasAddend = residualPtr !== 0;
  const addendPixel: usize = hasAddend ? pixel : 0;
  const addendRow: usize = hasAddend ? row : 0;
  const lows = f32x4.splat(d.low);
  const lastChannel = min(firstChannel + 8, d.outChannels);
  const step = productPointStride(b.tiles);
  let productPtr = b.productPtr + <usize>(panel * b.tiles) * PRODUCT_STRIDE;
  let placePtr = b.placePtr;
  for (let t = 0; t < b.tiles; ++t) {
    const distance = <usize>load<i32>(placePtr) * pixel;
    const rows = load<i32>(placePtr, 4);
    const columns = load<i32>(placePtr, 8);
    const kind = offsetof<Scheme>() === offsetof<OfSix>() ? load<i32>(placePtr, 12) : 0;
    const allColumns = columns === ((kind & NARROW) === 0 ? b.tileWidth : 2);
    let fromPtr = productPtr;
    for (let channel = firstChannel; channel < lastChannel; channel += 4) {
      const place = distance + ((<usize>channel) << 2);
      const addendPtr = hasAddend ? residualPtr + place : zerosPtr;
      const bias = v128.load(d.biasPtr + ((<usize>channel) << 2));
      // A tile that reaches beyond the image or the last channel stays here at first, nothing added, nothing bounded.
      const isWhole = allColumns && channel + 4 <= d.outChannels;
      invertTile<Scheme>(
        b,
        kind,
        fromPtr,
        step,
        rows,
        isWhole ? outPtr + place : b.betweenPtr,
        isWhole ? row : BETWEEN_ROW,
        isWhole ? pixel : 16,
        isWhole ? addendPtr : zerosPtr,
        isWhole ? addendRow : 0,
        isWhole ? addendPixel : 0,
        isWhole ? bias : f32x4.splat(0),
        isWhole ? lows : f32x4.splat(-Infinity),
      );
      if (!isWhole) {
        const keep = laneMask(d.outChannels - channel);
        const toPtr = outPtr + place;
        finishPart(b.betweenPtr, rows, columns, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows, keep);
      }
      fromPtr += 16;
    }
    productPtr += PRODUCT_STRIDE;
    placePtr += PLACE_WORDS * 4;
  }
}

function invertTile<Scheme>(
  b: Block,
  kind: i32,
  fromPtr: usize,
  step: usize,
  rows: i32,
  toPtr: usize,
  row: usize,
  pixel: usize,
  addendPtr: usize,
  addendRow: usize,
  addendPixel: usize,
  bias: v128,
  lows: v128,
): void {
  const between = b.betweenPtr;
  if (offsetof<Scheme>() === offsetof<OfRows>()) {
    invert4of8(fromPtr, step, toPtr, pixel, addendPtr, addendPixel, bias, lows);
  } else if (offsetof<Scheme>() === offsetof<OfFour>()) {
    invert2of4(fromPtr, step, between, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
  } else if (offsetof<Scheme>() === offsetof<OfSix>()) {
    invert4of6(fromPtr, step, between, kind, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
  } else if (offsetof<Scheme>() === offsetof<OfSeven>()) {
    invert2x3(fromPtr, step, between, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
  } else {
    invert4of9(fromPtr, step, between, rows, toPtr, row, pixel, addendPtr, addendRow, addendPixel, bias, lows);
  }
}

/** Ones in the first `count` lanes: lanes beyond the last channel stay zero, whatever 0 * infinity made of them. */
function laneMask(count: i32): v128 {
  if (count >= 4) return i32x4.splat(-1);
  return i32x4.gt_s(i32x4.splat(count), i32x4(0, 1, 2, 3));
}
