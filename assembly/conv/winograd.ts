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
 *   transform   V  [n * n][panels of the tiles that have the point][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK], the A panels
 *                  of the micro-kernels
 *   multiply    P  [n * n][panels][tiles][8]    for a group of output channels; U being the B panels
 *   inverse     output, with bias, residual and lower bound
 *
 * Point by point, V and U of one group fit into L1 together.
 */

import { chunksOf, panelRows } from '../gemm/gemm';
import { gemmMicro, gemmMicroChunk, gemmMicroFull, gemmMicroStreamed, zeroTilePtr } from '../gemm/micro';
import { DEPTH_CHUNK, STREAM_ROWS, TILE_ROWS } from '../tuning';
import { ConvDescriptor } from './descriptor';
import {
  finish2of4,
  finish4of6,
  finish4of8,
  finish4of9,
  finishHalf,
  gatherTransform4,
  gatherTransform6,
  gatherTransform8,
  gatherTransform9,
  gatherTransformHalf,
  inputTransform4,
  inputTransform6,
  inputTransformHalf,
  inverseTransform2of4,
  inverseTransform4of6,
  inverseTransformHalf,
  Mixed,
  stridedTransform6,
  Whole,
} from './winogradTransforms';

/** Bytes of a row of P: eight floats. */
const PRODUCT_STRIDE: usize = 32;
/** Room for a tile between the two passes of a transform. */
const BETWEEN_BYTES: usize = 36 * 16;

/** Panels of eight output channels that are multiplied before their inverse transform. */
const GROUP_PANELS: i32 = 8;
export const GROUP_CHANNELS: i32 = GROUP_PANELS * 8;
/** Words of a tile's entry in the table: see `placeTile`. */
const PLACE_WORDS: i32 = 5;

/** Kinds of tiles, as bits: half as wide, half as high. */
const NARROW: i32 = 1;
const SHORT: i32 = 2;

/** A block of tiles, and where its parts lie in working memory. */
class Block {
  tiles: i32;
  outTile: i32;
  n: i32;
  /** Products of a tile: n * n, or n where tiles are rows. */
  points: i32;
  /** Points that have a U of their own; those behind have that of the last one. */
  uPoints: i32;
  /** Input pixels from one output's window to the next, along rows. */
  shift: i32;
  /** Of the input. */
  lanes: i32;
  /** Of the products: the lanes, of all kernel rows where tiles are rows. */
  depth: i32;
  kernels: i32;
  streamed: bool;
  /** Whole tiles along the axes of an image, and whether a half one follows. */
  down: i32;
  across: i32;
  hasShort: i32;
  hasNarrow: i32;
  /** Between the two passes of a transform, [n][n] vectors. */
  betweenPtr: usize;
  /** What is known of each tile, [tiles][PLACE_WORDS]. */
  placePtr: usize;
  /** Addresses of the pixels that each tile at an edge sees, [tiles][n * n]. */
  seenPtr: usize;
  productPtr: usize;
  panelPtr: usize;
}

/** Of the tiles of a block, those that have a point; there are four such classes of points. Behind the Block. */
class Members {
  first: i32;
  end: i32;
  /** Rows of their A panels. */
  height: i32;
}

const MEMBERS_OFFSET: usize = 80;
const BLOCK_BYTES: usize = 128;
const CACHE_LINE: usize = 64;

/** Whether a position among the points, of a row or a column, is one that half tiles do not have. */
function isOuter(n: i32, position: i32): bool {
  return n === 6 && (position === 3 || position === 4);
}

/** Members of the points that half tiles of the kinds in `without` do not have. */
function membersOf(b: Block, without: i32): Members {
  return changetype<Members>(changetype<usize>(b) + MEMBERS_OFFSET + <usize>(without * 12));
}

/** Bytes of working memory for a block of `tiles` tiles of `lanes` input lanes with n * n = `points`. */
export function winogradScratchBytes(points: i32, tiles: i32, lanes: i32, streamed: bool): i32 {
  const fixed = BLOCK_BYTES + BETWEEN_BYTES + 32;
  const tables = (<usize>(tiles * (points + PLACE_WORDS))) << 2;
  const products = <usize>points * productPointStride(tiles);
  return <i32>(fixed + tables + products + <usize>points * pointStride(tiles, lanes, streamed));
}

function layOut(d: ConvDescriptor, scratchPtr: usize, firstTile: i32, tiles: i32, outTile: i32): Block {
  const b = changetype<Block>(scratchPtr);
  b.tiles = tiles;
  b.outTile = outTile;
  b.shift = d.columnShift;
  b.n = (outTile - 1) * b.shift + d.kernelWidth;
  b.points = inRows(b) ? b.n : b.n * b.n;
  b.uPoints = b.n === 9 ? 6 : b.points;
  b.lanes = (d.inChannels + 3) & ~3;
  b.depth = inRows(b) ? b.lanes * d.kernelHeight : b.lanes;
  b.kernels = d.kernels;
  b.streamed = d.streamed !== 0;
  b.down = inRows(b) ? d.outHeight : wholeTiles(d.outHeight, b);
  b.across = wholeTiles(d.outWidth, b);
  b.hasShort = b.down * tileHeight(b) < d.outHeight ? 1 : 0;
  b.hasNarrow = b.across * outTile < d.outWidth ? 1 : 0;
  const points = b.points;
  b.betweenPtr = scratchPtr + BLOCK_BYTES;
  b.productPtr = b.betweenPtr + BETWEEN_BYTES;
  b.panelPtr = b.productPtr + <usize>points * productPointStride(tiles);
  b.seenPtr = b.panelPtr + <usize>points * pointStride(tiles, b.depth, b.streamed);
  b.placePtr = b.seenPtr + ((<usize>(points * tiles)) << 2);
  const narrowEnd = inBlock(kindStart(d, b, 0), firstTile, tiles);
  const fullEnd = inBlock(kindStart(d, b, SHORT), firstTile, tiles);
  const wideEnd = inBlock(kindStart(d, b, SHORT | NARROW), firstTile, tiles);
  setMembers(b, 0, 0, tiles);
  setMembers(b, SHORT, 0, fullEnd);
  setMembers(b, NARROW, narrowEnd, wideEnd);
  setMembers(b, SHORT | NARROW, narrowEnd, fullEnd);
  return b;
}

function inBlock(tile: i32, firstTile: i32, tiles: i32): i32 {
  return max(0, min(tile - firstTile, tiles));
}

function setMembers(b: Block, without: i32, first: i32, end: i32): void {
  const members = membersOf(b, without);
  members.first = first;
  members.end = end;
  members.height = panelRows(max(1, end - first), b.streamed);
}

/** Whether tiles are one pixel high, transformed along rows only. */
function inRows(b: Block): bool {
  return b.n > 6;
}

/** Output rows of a whole tile. */
function tileHeight(b: Block): i32 {
  return inRows(b) ? 1 : b.outTile;
}

/** Whole tiles along an axis; what is left, if anything, is one half tile. */
function wholeTiles(size: i32, b: Block): i32 {
  const left = size % b.outTile;
  return b.n === 6 && left <= 2 ? size / 4 : (size + b.outTile - 1) / b.outTile;
}

/** Number of the first tile of a kind. The kinds follow each other as NARROW, 0, SHORT, SHORT | NARROW. */
function kindStart(d: ConvDescriptor, b: Block, kind: i32): i32 {
  if (kind === NARROW) return 0;
  if (kind === 0) return d.batch * b.down * b.hasNarrow;
  const high = d.batch * b.down * (b.across + b.hasNarrow);
  return kind === SHORT ? high : high + d.batch * b.across * b.hasShort;
}

/**
 * Output tiles `firstTile` to `lastTile` (the last excluded, numbered as the head of this file says) of a convolution with
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
  const b = layOut(d, scratchPtr, firstTile, tiles, outTile);
  for (let t = 0; t < tiles; ++t) locateTile(d, b, inPtr, firstTile + t, t);
  for (let t = 0; t < tiles; ++t) transformTile(d, b, t);
  let first = firstChannel;
  while (first < lastChannel) {
    const group = first / GROUP_CHANNELS;
    const inGroup = first - group * GROUP_CHANNELS;
    const channels = min(GROUP_CHANNELS - inGroup, lastChannel - first);
    const groupLanes = min(GROUP_CHANNELS, ((d.outChannels + 3) & ~3) - group * GROUP_CHANNELS);
    multiply(d, b, b.uPoints * group * GROUP_CHANNELS, groupLanes, inGroup, channels);
    for (let panel = 0; panel * 8 < channels; ++panel) {
      for (let t = 0; t < tiles; ++t) invertTile(d, b, outPtr, residualPtr, t, panel, first + panel * 8);
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
  const y = tileHeight(b) * ((kind & SHORT) === 0 ? tileRow : b.down);
  const x = b.outTile * ((kind & NARROW) === 0 ? inImage - tileRow * across : b.across);
  if (inRows(b)) placeRow(d, b, t, inPtr + <usize>image * d.inImageStride, image, y, x);
  else placeTile(d, b, t, kind, inPtr + <usize>image * d.inImageStride, image, y, x);
}

/**
 * The tile's entry: its first output pixel, how many of its rows and columns are in the image, its kind, and the address
 * of the first pixel that it sees, or 0 where these are not an undisturbed part of the image and have a table. A table
 * moves by at most one pixel at a step, so that six of them span five pixels only if they are neighbours.
 */
function placeTile(d: ConvDescriptor, b: Block, t: i32, kind: i32, imagePtr: usize, image: i32, y: i32, x: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, (image * d.outHeight + y) * d.outWidth + x);
  store<i32>(placePtr, min(b.outTile, d.outHeight - y), 4);
  store<i32>(placePtr, min(b.outTile, d.outWidth - x), 8);
  store<i32>(placePtr, kind, 12);
  const last = b.n - 1;
  const firstRow = tableEntry(d.rowsPtr, y, 0, d.kernelHeight, d.outHeight);
  const lastRow = tableEntry(d.rowsPtr, y, last, d.kernelHeight, d.outHeight);
  const firstColumn = tableEntry(d.columnsPtr, x, 0, d.kernelWidth, d.outWidth);
  const lastColumn = tableEntry(d.columnsPtr, x, last, d.kernelWidth, d.outWidth);
  const isInside =
    b.n === 6 &&
    isWhole(b) &&
    (firstRow | firstColumn) >= 0 &&
    lastRow - firstRow === last * d.inRowStride &&
    lastColumn - firstColumn === last * (b.lanes << 2);
  store<usize>(placePtr, isInside ? imagePtr + <usize>(firstRow + firstColumn) : 0, 16);
  if (!isInside) tabulateSeen(d, b, t, imagePtr, y, x);
}

/** The entry of a tile that is a row: as above, with its output row and the image's address in the places of the last two. */
function placeRow(d: ConvDescriptor, b: Block, t: i32, imagePtr: usize, image: i32, y: i32, x: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  store<i32>(placePtr, (image * d.outHeight + y) * d.outWidth + x);
  store<i32>(placePtr, 1, 4);
  store<i32>(placePtr, min(b.outTile, d.outWidth - x), 8);
  store<i32>(placePtr, y, 12);
  store<usize>(placePtr, imagePtr, 16);
}

/** Addresses of the pixels that a tile sees. The first row holds the columns' distances until its turn, which is last. */
function tabulateSeen(d: ConvDescriptor, b: Block, t: i32, imagePtr: usize, y: i32, x: i32): void {
  const firstPtr = b.seenPtr + ((<usize>(t * b.n * b.n)) << 2);
  for (let j = 0; j < b.n; ++j) {
    store<i32>(firstPtr + ((<usize>j) << 2), tableEntry(d.columnsPtr, x, j, d.kernelWidth, d.outWidth));
  }
  for (let i = b.n - 1; i >= 0; --i) {
    const row = tableEntry(d.rowsPtr, y, i, d.kernelHeight, d.outHeight);
    const rowPtr = firstPtr + ((<usize>(i * b.n)) << 2);
    for (let j = 0; j < b.n; ++j) {
      const column = load<i32>(firstPtr + ((<usize>j) << 2));
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(rowPtr + ((<usize>j) << 2), seen);
    }
  }
}

/** The table's distance for input position `offset` of the tile whose first output is `first`; -1 beyond the last output. */
function tableEntry(tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  const out = first + max(0, offset - kernel + 1);
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + min(offset, kernel - 1))) << 2));
}

/** Panels of so few channels that several fit into a chunk lie side by side in it. */
function panelsSideBySide(lanes: i32): i32 {
  return max(1, DEPTH_CHUNK / lanes);
}

/**
 * Bytes of the A panels of one point. The points of a tile are written one after the other: an odd number of cache lines
 * keeps them from falling into the same few sets of L1, as they would with 16 or 32 tiles (32->32 @16: 0.110 ms became 0.081 ms).
 */
function pointStride(tiles: i32, lanes: i32, streamed: bool): usize {
  const height = streamed ? STREAM_ROWS : TILE_ROWS;
  const panels = (tiles + height - 1) / height;
  const sideBySide = panelsSideBySide(lanes);
  const groups = (panels + sideBySide - 1) / sideBySide;
  return ((<usize>(groups * height * chunksOf(lanes) * DEPTH_CHUNK)) << 2) + 5 * CACHE_LINE;
}

/** Bytes of the products of one point; padded for the same reason. */
function productPointStride(tiles: i32): usize {
  return <usize>(GROUP_PANELS * tiles) * PRODUCT_STRIDE + 3 * CACHE_LINE;
}

/** Whether no tile of the block is a half one. */
function isWhole(b: Block): bool {
  const outer = membersOf(b, SHORT | NARROW);
  return outer.first === 0 && outer.end === b.tiles;
}

/** Where a tile's first channel goes in the A panels of the first point, if that is of the given members; 0 if of none. */
function rowOf(b: Block, members: Members, t: i32): usize {
  if (t < members.first || t >= members.end) return 0;
  const row = t - members.first;
  const panel = row / members.height;
  const inPanel = row - panel * members.height;
  const sideBySide = panelsSideBySide(b.depth);
  const group = panel / sideBySide;
  const inGroup = panel - group * sideBySide;
  const rows = group * chunksOf(b.depth) * members.height + inPanel;
  return b.panelPtr + ((<usize>(rows * DEPTH_CHUNK + inGroup * b.depth)) << 2);
}

/** Bytes from one chunk of a row to the next. */
function chunkStrideOf(members: Members): usize {
  return (<usize>(members.height * DEPTH_CHUNK)) << 2;
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
  const seenPtr = b.seenPtr + ((<usize>(t * b.n * b.n)) << 2);
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
    if (b.n === 4) {
      gatherTransform4(seenPtr, channelBytes, b.betweenPtr);
      inputTransform4(b.betweenPtr, toPtr, step);
    } else {
      if (fromPtr !== 0) stridedTransform6(fromPtr + channelBytes, d.inRowStride, pixelStride, b.betweenPtr);
      else gatherTransform6<Whole>(seenPtr, channelBytes, 6, b.betweenPtr);
      inputTransform6<Whole>(b.betweenPtr, 6, toPtr, toPtr, step);
    }
  }
}

/**
 * B' d of a tile that is a row, for each kernel row. But for the last, these are what the tile above it in the image has
 * for the kernel row after.
 */
function transformRow(d: ConvDescriptor, b: Block, t: i32): void {
  const placePtr = b.placePtr + ((<usize>(t * PLACE_WORDS)) << 2);
  const y = load<i32>(placePtr, 12);
  const imagePtr = load<usize>(placePtr, 16);
  const x = load<i32>(placePtr) % d.outWidth;
  const members = membersOf(b, 0);
  const rowPtr = rowOf(b, members, t);
  const lanes = b.lanes;
  const step = pointStride(b.tiles, b.depth, b.streamed);
  const chunkGap = chunkStrideOf(members) - ((<usize>DEPTH_CHUNK) << 2);
  const hasAbove = t >= b.across && y > 0;
  const first = hasAbove ? d.kernelHeight - b.shift : 0;
  if (hasAbove) {
    const abovePtr = placeInRow(rowOf(b, members, t - b.across), b.shift * lanes, chunkGap);
    copyAbove(b, abovePtr, b.shift * lanes, rowPtr, first * lanes, step, chunkGap);
  }
  for (let i = first; i < d.kernelHeight; ++i) {
    const row = load<i32>(d.rowsPtr + ((<usize>(y * d.kernelHeight + i)) << 2));
    for (let j = 0; j < b.n; ++j) {
      const out = j < d.kernelWidth ? 0 : (j - d.kernelWidth + b.shift) / b.shift;
      const place = (x + out) * d.kernelWidth + j - out * b.shift;
      const column = x + out < d.outWidth ? load<i32>(d.columnsPtr + ((<usize>place) << 2)) : -1;
      const seen = (row | column) < 0 ? d.zerosPtr : imagePtr + <usize>(row + column);
      store<usize>(b.seenPtr + ((<usize>j) << 2), seen);
    }
    let place = i * lanes;
    let toPtr = placeInRow(rowPtr, place, chunkGap);
    for (let channel = 0; channel < lanes; channel += 4) {
      if (b.n === 8) gatherTransform8(b.seenPtr, (<usize>channel) << 2, toPtr, step);
      else gatherTransform9(b.seenPtr, (<usize>channel) << 2, toPtr, step);
      place += 4;
      toPtr += 16 + (isChunk(place) ? chunkGap : 0);
    }
  }
}

/** Address of a place in a row whose chunks have `chunkGap` bytes between them. */
function placeInRow(rowPtr: usize, place: i32, chunkGap: usize): usize {
  return rowPtr + ((<usize>place) << 2) + <usize>(place / DEPTH_CHUNK) * chunkGap;
}

/** Whether a place is the first of a chunk. */
function isChunk(place: i32): bool {
  return (place & (DEPTH_CHUNK - 1)) === 0;
}

/** The first `depth` values at each point from those of the tile above, from its place `above` on. */
function copyAbove(
  b: Block,
  abovePtr: usize,
  above: i32,
  rowPtr: usize,
  depth: i32,
  step: usize,
  chunkGap: usize,
): void {
  for (let place = 4; place <= depth; place += 4) {
    let fromPtr = abovePtr;
    let toPtr = rowPtr;
    for (let point = 0; point < b.points; ++point) {
      v128.store(toPtr, v128.load(fromPtr));
      fromPtr += step;
      toPtr += step;
    }
    abovePtr += 16 + (isChunk(above + place) ? chunkGap : 0);
    rowPtr += 16 + (isChunk(place) ? chunkGap : 0);
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

/** Where four channels of a tile go at the first point. */
function quadOf(b: Block, members: Members, t: i32, channel: i32): usize {
  const inChunk = (<usize>(channel & (DEPTH_CHUNK - 1))) << 2;
  return rowOf(b, members, t) + <usize>(channel / DEPTH_CHUNK) * chunkStrideOf(members) + inChunk;
}

/**
 * The second pass over `rows` rows from row `first` on. `toPtr`: where results go at the first point, where that is one
 * of the inner columns; `outerPtr`: the same of the outer ones.
 */
function alongRows(b: Block, kind: i32, first: usize, rows: i32, toPtr: usize, outerPtr: usize, step: usize): void {
  const fromPtr = b.betweenPtr + first * 96;
  const distance = first * 6 * step;
  if ((kind & NARROW) === 0) inputTransform6<Mixed>(fromPtr, rows, toPtr + distance, outerPtr + distance, step);
  else inputTransformHalf(fromPtr, rows, toPtr + distance, step);
}

/**
 * All products of `channels` output channels of a group from its `first` on. `columnsBefore`: columns of U, of one kernel,
 * before those of the group.
 */
function multiply(d: ConvDescriptor, b: Block, columnsBefore: i32, groupLanes: i32, first: i32, channels: i32): void {
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
  for (let column = 0; column < channels; column += 8) {
    const width = min(8, lanes - column);
    const columnsBefore = (before + column) * b.kernels;
    if (b.depth <= DEPTH_CHUNK) multiplyShallow(d, b, members, pointPtr, columnsBefore, width, productPtr);
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
  const groupStride = chunkStrideOf(members);
  const besideStride = (<usize>depth) << 2;
  const sideBySide = panelsSideBySide(depth);
  const kernelBytes = (<usize>(depth * width)) << 2;
  const weightsPtr = d.weightsPtr + ((<usize>(columnsBefore * depth)) << 2);
  let groupPtr = pointPtr;
  let panelPtr = pointPtr;
  let beside = 0;
  for (let t = members.first; t < members.end; t += height) {
    const rows = min(height, members.end - t);
    if (rows === TILE_ROWS && width === 8) gemmMicroFull(panelPtr, weightsPtr, depth, tilePtr);
    else gemmMicroChunk<f32>(rows, width, panelPtr, weightsPtr, depth, zeroTilePtr, tilePtr);
    for (let k = 1; k < b.kernels; ++k) {
      gemmMicroChunk<f32>(rows, width, panelPtr, weightsPtr + kernelBytes * <usize>k, depth, tilePtr, tilePtr);
    }
    panelPtr += besideStride;
    if (++beside === sideBySide) {
      beside = 0;
      groupPtr += groupStride;
      panelPtr = groupPtr;
    }
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
  const kind = load<i32>(placePtr, 12);
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
    if (b.n === 9) {
      finish4of9(fromPtr, step, columns, toPtr, pixelStride, addendPtr, biasPtr, d.low, keep);
    } else if (b.n === 8) {
      finish4of8(fromPtr, step, columns, toPtr, pixelStride, addendPtr, biasPtr, d.low, keep);
    } else if (b.n === 4) {
      inverseTransform2of4(fromPtr, step, b.betweenPtr);
      finish2of4(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
    } else {
      // A narrow tile has no products in columns 3 and 4, and nothing reads what comes of them.
      if ((kind & SHORT) === 0) inverseTransform4of6(fromPtr, step, b.betweenPtr);
      else inverseTransformHalf(fromPtr, step, b.betweenPtr);
      if ((kind & NARROW) === 0) {
        finish4of6(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
      } else {
        finishHalf(b.betweenPtr, rows, columns, toPtr, rowStride, pixelStride, addendPtr, biasPtr, d.low, keep);
      }
    }
  }
}

/** Ones in the first `count` lanes: lanes beyond the last channel stay zero, whatever 0 * infinity made of them. */
function laneMask(count: i32): v128 {
  if (count >= 4) return i32x4.splat(-1);
  return i32x4.gt_s(i32x4.splat(count), i32x4(0, 1, 2, 3));
}
