/**
 * A block of Winograd tiles: which tiles it has, and where its parts lie in working memory. See winograd.ts.
 *
 *   | Block, Members | between the passes | what a run of tiles sees | P: products | V: A panels | the tiles' places |
 */
import { chunksOf, panelRows } from '../gemm/gemm';
import { DEPTH_CHUNK, STREAM_ROWS, TILE_ROWS } from '../tuning';
import { ConvDescriptor } from './descriptor';

/** Bytes of a row of P: eight floats. */
export const PRODUCT_STRIDE: usize = 32;
/** Most columns and rows of input that a run of tiles sees: four neighbours of F(4x4, 3x3), eight of F(2x2, 3x3). */
export const RUN_COLUMNS: i32 = 18;
const RUN_ROWS: i32 = 9;
/** Bytes of a row of what lies between the two passes of a transform. */
export const BETWEEN_ROW: usize = <usize>RUN_COLUMNS * 16;
const BETWEEN_BYTES: usize = <usize>RUN_ROWS * BETWEEN_ROW;
/** Distances of the columns, then addresses row by row. */
const SEEN_BYTES: usize = (<usize>((1 + RUN_ROWS) * RUN_COLUMNS)) << 2;
/** Panels of eight output channels that are multiplied before their inverse transform. */
const GROUP_PANELS: i32 = 8;
export const GROUP_CHANNELS: i32 = GROUP_PANELS * 8;
/** Words of a tile's entry in the table: see `place` in winogradRuns.ts. */
export const PLACE_WORDS: i32 = 5;
/** Kinds of tiles, as bits: half as wide, half as high. */
export const NARROW: i32 = 1;
export const SHORT: i32 = 2;

/** A block of tiles, and where its parts lie in working memory. */
export class Block {
  tiles: i32;
  tileHeight: i32;
  tileWidth: i32;
  /** Values down and along a transformed tile; 1 down where tiles are rows. */
  high: i32;
  wide: i32;
  /** Input pixels from one output's window to the next, the same along both axes. */
  shift: i32;
  /** Of the input. */
  lanes: i32;
  /** Of them, those that count as depth. */
  deepLanes: i32;
  /** Of the products: these, of all kernel rows where tiles are rows. */
  depth: i32;
  /** 2 to the power of this panels of A lie side by side. */
  besideBits: i32;
  kernels: i32;
  streamed: bool;
  /** Whole tiles along the axes of an image, and whether a half one follows. */
  down: i32;
  across: i32;
  hasShort: i32;
  hasNarrow: i32;
  /** Rows of vectors between the two passes of a transform. */
  betweenPtr: usize;
  /** What is known of each tile, [tiles][PLACE_WORDS]. */
  placePtr: usize;
  /**
   * What the run at work sees: [RUN_COLUMNS] distances of columns, then [RUN_ROWS][RUN_COLUMNS] addresses of pixels. Where
   * tiles are rows: addresses of the pixels of one.
   */
  seenPtr: usize;
  productPtr: usize;
  /** Bytes from the products of one point to those of the next. */
  productStep: usize;
  panelPtr: usize;
  /** The same of the A panels. */
  panelStep: usize;
}

/** Of the tiles of a block, those that have a point; there are four such classes of points. Behind the Block. */
export class Members {
  first: i32;
  end: i32;
  /** Rows of their A panels. */
  height: i32;
}

const MEMBERS_OFFSET: usize = offsetof<Block>();
const BLOCK_BYTES: usize = (MEMBERS_OFFSET + 4 * offsetof<Members>() + 15) & ~15;
const CACHE_LINE: usize = 64;

/** Members of the points that half tiles of the kinds in `without` do not have. */
export function membersOf(b: Block, without: i32): Members {
  return changetype<Members>(changetype<usize>(b) + MEMBERS_OFFSET + <usize>without * offsetof<Members>());
}

/**
 * Bytes of working memory for a block of `tiles` tiles, `points` products of that depth for each of so many output channels.
 */
export function winogradScratchBytes(points: i32, tiles: i32, depth: i32, outChannels: i32, streamed: bool): i32 {
  const fixed = BLOCK_BYTES + BETWEEN_BYTES + SEEN_BYTES + 32;
  const tables = (<usize>(tiles * PLACE_WORDS)) << 2;
  const products = <usize>points * productPointStride(tiles, outChannels);
  // In 64 bits, as the depth may be anything.
  const bytes = <u64>(fixed + tables + products) + <u64>points * pointBytes(tiles, depth, streamed);
  return <i32>min(bytes, <u64>i32.MAX_VALUE);
}

export function layOut(d: ConvDescriptor, scratchPtr: usize, firstTile: i32, tiles: i32): Block {
  const b = changetype<Block>(scratchPtr);
  b.tiles = tiles;
  b.tileHeight = d.tileHeight;
  b.tileWidth = d.tileWidth;
  b.shift = d.columnShift;
  b.high = inRows(b) ? 1 : (d.tileHeight - 1) * b.shift + d.kernelHeight;
  b.wide = (d.tileWidth - 1) * b.shift + d.kernelWidth;
  b.lanes = (d.inChannels + 3) & ~3;
  const rows = inRows(b) ? d.kernelHeight : 1;
  b.deepLanes = deepLanes(d.inChannels, rows);
  b.depth = b.deepLanes * rows;
  b.besideBits = sideBySideBits(b.depth);
  b.kernels = d.kernels;
  b.streamed = d.streamed !== 0;
  b.down = wholeTiles(d.outHeight, b.tileHeight, b);
  b.across = wholeTiles(d.outWidth, b.tileWidth, b);
  b.hasShort = b.down * b.tileHeight < d.outHeight ? 1 : 0;
  b.hasNarrow = b.across * b.tileWidth < d.outWidth ? 1 : 0;
  const points = b.high * b.wide;
  b.betweenPtr = scratchPtr + BLOCK_BYTES;
  b.seenPtr = b.betweenPtr + BETWEEN_BYTES;
  b.productPtr = b.seenPtr + SEEN_BYTES;
  b.productStep = productPointStride(tiles, d.outChannels);
  b.panelPtr = b.productPtr + <usize>points * b.productStep;
  b.panelStep = <usize>pointBytes(tiles, b.depth, b.streamed);
  b.placePtr = b.panelPtr + <usize>points * b.panelStep;
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

/**
 * Lanes that count as depth. Where kernel rows follow each other in it, those without a channel are left out if a chunk
 * holds all: the last vector of a row reaches into the next one, which is written later (5x5 3->32 @32: 12 % less time).
 */
function deepLanes(inChannels: i32, rows: i32): i32 {
  return rows > 1 && rows * inChannels <= DEPTH_CHUNK ? inChannels : (inChannels + 3) & ~3;
}

/** Depth of the products of `rows` kernel rows. */
export function winogradDepth(inChannels: i32, rows: i32): i32 {
  return deepLanes(inChannels, rows) * rows;
}

/** Whether tiles are one pixel high, transformed along rows only. */
export function inRows(b: Block): bool {
  return b.tileHeight === 1;
}

/** Whether the tiles are those of F(4x4, 3x3), the only ones that come in halves. */
export function canHalve(b: Block): bool {
  return b.high === 6 && b.wide === 6;
}

/** Whole tiles along an axis; what is left, if anything, is one half tile. */
function wholeTiles(size: i32, tile: i32, b: Block): i32 {
  return canHalve(b) && size % tile <= 2 ? size / tile : (size + tile - 1) / tile;
}

/** Values along an axis that have weights of their own: with stride 2, the last four share theirs. */
export function distinct(n: i32): i32 {
  return n === 9 ? 6 : n;
}

/** The table's distance for input position `offset` of the tile whose first output is `first`; -1 beyond the last output. */
export function tableEntry(b: Block, tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  let beyond = max(0, offset - kernel + 1);
  // No division where none is needed, since runs ask for entries by the dozen (16->16 @32: 3 %).
  if (b.shift > 1) beyond = (beyond + b.shift - 1) / b.shift;
  const out = first + beyond;
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + offset - beyond * b.shift)) << 2));
}

/** Number of the first tile of a kind. The kinds follow each other as NARROW, 0, SHORT, SHORT | NARROW. */
export function kindStart(d: ConvDescriptor, b: Block, kind: i32): i32 {
  if (kind === NARROW) return 0;
  if (kind === 0) return d.batch * b.down * b.hasNarrow;
  const high = d.batch * b.down * (b.across + b.hasNarrow);
  return kind === SHORT ? high : high + d.batch * b.across * b.hasShort;
}

/** Whether no tile of the block is a half one. */
export function isWhole(b: Block): bool {
  const outer = membersOf(b, SHORT | NARROW);
  return outer.first === 0 && outer.end === b.tiles;
}

/** Panels so shallow that several fit into a chunk lie side by side in it, a power of two of them: which one. */
function sideBySideBits(depth: i32): i32 {
  return 31 - clz(max(1, DEPTH_CHUNK / depth));
}

/**
 * Bytes of the A panels of one point. The points of a tile are written one after the other: an odd number of cache lines
 * keeps them from falling into the same few sets of L1, as they would with 16 or 32 tiles (32->32 @16: 0.110 ms became
 * 0.081 ms).
 */
function pointBytes(tiles: i32, depth: i32, streamed: bool): u64 {
  const bits = sideBySideBits(depth);
  // The tiles that have some point may be fewer, but then their panels do not have more rows, only perhaps higher ones.
  const height = bits === 0 ? panelRows(tiles, streamed) : min(tiles, streamed ? STREAM_ROWS : TILE_ROWS);
  const panels = (tiles + height - 1) / height;
  const groups = (panels + (1 << bits) - 1) >> bits;
  return <u64>(groups * height) * <u64>(chunksOf(depth) * DEPTH_CHUNK) * 4 + 5 * CACHE_LINE;
}

/** Bytes of the products of one point and a group of output channels, of all if they are fewer; padded for the same reason. */
function productPointStride(tiles: i32, outChannels: i32): usize {
  const panels = min(GROUP_PANELS, (outChannels + 7) >> 3);
  return <usize>(panels * tiles) * PRODUCT_STRIDE + 3 * CACHE_LINE;
}

/** Where a tile's first channel goes in the A panels of the first point, if that is of the given members; 0 if of none. */
export function rowOf(b: Block, members: Members, t: i32): usize {
  if (t < members.first || t >= members.end) return 0;
  const row = t - members.first;
  const panel = row / members.height;
  const inPanel = row - panel * members.height;
  const group = panel >> b.besideBits;
  const inGroup = panel - (group << b.besideBits);
  const rows = group * chunksOf(b.depth) * members.height + inPanel;
  return b.panelPtr + ((<usize>(rows * DEPTH_CHUNK + inGroup * b.depth)) << 2);
}

/** Bytes from one chunk of a row to the next. */
export function chunkStrideOf(members: Members): usize {
  return (<usize>(members.height * DEPTH_CHUNK)) << 2;
}
