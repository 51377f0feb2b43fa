/**
 * A block of Winograd tiles and its layout in scratch. See winograd.ts.
 *
 *   | Block, Members | between the passes | what a run of tiles sees | P: products | V: A panels | table of tiles |
 */
import { chunksOf, panelRows } from '../gemm/gemm';
import { DEPTH_CHUNK, STREAM_ROWS, TILE_ROWS } from '../tuning';
import { ConvDescriptor } from './descriptor';

/** Bytes of a row of P: eight floats. */
export const PRODUCT_STRIDE: usize = 32;
/** The most input columns and rows that a run of tiles sees: four tiles of F(4x4, 3x3), or eight of F(2x2, 3x3). */
export const RUN_COLUMNS: i32 = 18;
const RUN_ROWS: i32 = 9;
/** Bytes of a row of intermediate vectors, between the two passes of a transform. */
export const BETWEEN_ROW: usize = <usize>RUN_COLUMNS * 16;
const BETWEEN_BYTES: usize = <usize>RUN_ROWS * BETWEEN_ROW;
/** Distances of columns, then addresses, row by row. */
const SEEN_BYTES: usize = (<usize>((1 + RUN_ROWS) * RUN_COLUMNS)) << 2;
/** Panels of eight output channels that are multiplied before their output transform. */
const GROUP_PANELS: i32 = 8;
export const GROUP_CHANNELS: i32 = GROUP_PANELS * 8;
/** Words per tile in the table of tiles, see `place` in winogradRuns.ts. */
export const PLACE_WORDS: i32 = 5;
/** Kinds of tiles, as bits: half the width, half the height. */
export const NARROW: i32 = 1;
export const SHORT: i32 = 2;

/** The tiles of a block and where its parts lie in scratch. */
export class Block {
  tiles: i32;
  tileHeight: i32;
  tileWidth: i32;
  /** Rows and columns of a transformed tile; one row where tiles are rows. */
  high: i32;
  wide: i32;
  /** The stride of the convolution. */
  shift: i32;
  /** Lanes of the input. */
  lanes: i32;
  /** How many of them count as depth. */
  depthLanes: i32;
  /** Depth of the products: these lanes, times the kernel rows where tiles are rows. */
  depth: i32;
  /** Log2 of the number of A panels that share a chunk. */
  chunkPanelsBits: i32;
  kernels: i32;
  streamed: bool;
  /** Whole tiles along each axis of an image, and whether a half tile follows. */
  down: i32;
  across: i32;
  hasShort: i32;
  hasNarrow: i32;
  /** Intermediate vectors, between the two passes of a transform. */
  betweenPtr: usize;
  /** Table of tiles, [tiles][PLACE_WORDS]. */
  placePtr: usize;
  /**
   * What the current run sees: [RUN_COLUMNS] distances of columns, then [RUN_ROWS][RUN_COLUMNS] addresses of pixels.
   * Where tiles are rows: addresses of the pixels of one.
   */
  seenPtr: usize;
  productPtr: usize;
  /** Bytes between the products of consecutive points. */
  productStep: usize;
  panelPtr: usize;
  /** Bytes between the A panels of consecutive points. */
  panelStep: usize;
}

/** The tiles of a block that have a given point. There are four classes of points; their Members follow the Block. */
export class Members {
  first: i32;
  end: i32;
  /** Rows of their A panels. */
  height: i32;
}

const MEMBERS_OFFSET: usize = offsetof<Block>();
const BLOCK_BYTES: usize = (MEMBERS_OFFSET + 4 * offsetof<Members>() + 15) & ~15;
const CACHE_LINE: usize = 64;

/** Members of the points that half tiles of the kinds in `without` lack. */
export function membersOf(b: Block, without: i32): Members {
  return changetype<Members>(changetype<usize>(b) + MEMBERS_OFFSET + <usize>without * offsetof<Members>());
}

/** Bytes of scratch for a block of `tiles` tiles, with `points` products of this depth per output channel. */
export function winogradScratchBytes(points: i32, tiles: i32, depth: i32, outChannels: i32, streamed: bool): i32 {
  const fixed = BLOCK_BYTES + BETWEEN_BYTES + SEEN_BYTES + 32;
  const tables = (<usize>(tiles * PLACE_WORDS)) << 2;
  const products = <usize>points * productPointStride(tiles, outChannels);
  // In 64 bits, because the depth has no bound.
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
  b.depthLanes = depthLanes(d.inChannels, rows);
  b.depth = b.depthLanes * rows;
  b.chunkPanelsBits = bitsOfChunkPanels(b.depth);
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
 * Lanes that count as depth. Where kernel rows add to the depth and a chunk holds all of them, padding lanes are left
 * out: the last vector of a row then overlaps the next row, which is written later (5x5 3->32 @32: 12 % less time).
 */
function depthLanes(inChannels: i32, rows: i32): i32 {
  return rows > 1 && rows * inChannels <= DEPTH_CHUNK ? inChannels : (inChannels + 3) & ~3;
}

/** Depth of the products of `rows` kernel rows. */
export function winogradDepth(inChannels: i32, rows: i32): i32 {
  return depthLanes(inChannels, rows) * rows;
}

/** Whether tiles are rows, transformed along one axis only. */
export function inRows(b: Block): bool {
  return b.tileHeight === 1;
}

/** Whether the scheme is F(4x4, 3x3), the only one with half tiles. */
export function canHalve(b: Block): bool {
  return b.high === 6 && b.wide === 6;
}

/** Whole tiles along an axis; a half tile covers the rest. */
function wholeTiles(size: i32, tile: i32, b: Block): i32 {
  return canHalve(b) && size % tile <= 2 ? size / tile : (size + tile - 1) / tile;
}

/** Points along an axis with weights of their own: with stride 2 the last four share theirs. */
export function distinct(n: i32): i32 {
  return n === 9 ? 6 : n;
}

/** Distance of input position `offset` of the tile whose first output is `first`; -1 beyond the last output. */
export function tableEntry(b: Block, tablePtr: usize, first: i32, offset: i32, kernel: i32, outSize: i32): i32 {
  let beyond = max(0, offset - kernel + 1);
  // Runs look up entries by the dozen, so a division is worth avoiding (16->16 @32: 3 %).
  if (b.shift > 1) beyond = (beyond + b.shift - 1) / b.shift;
  const out = first + beyond;
  if (out >= outSize) return -1;
  return load<i32>(tablePtr + ((<usize>(out * kernel + offset - beyond * b.shift)) << 2));
}

/** Number of the first tile of a kind. Kinds are ordered NARROW, 0, SHORT, SHORT | NARROW. */
export function kindStart(d: ConvDescriptor, b: Block, kind: i32): i32 {
  if (kind === NARROW) return 0;
  if (kind === 0) return d.batch * b.down * b.hasNarrow;
  const high = d.batch * b.down * (b.across + b.hasNarrow);
  return kind === SHORT ? high : high + d.batch * b.across * b.hasShort;
}

/** Whether the block has no half tiles. */
export function isWhole(b: Block): bool {
  const outer = membersOf(b, SHORT | NARROW);
  return outer.first === 0 && outer.end === b.tiles;
}

/** Log2 of the number of A panels that share a chunk: shallow panels lie side by side. */
function bitsOfChunkPanels(depth: i32): i32 {
  return 31 - clz(max(1, DEPTH_CHUNK / depth));
}

/**
 * Bytes of the A panels of one point. A transform writes the points of a tile one after the other. An odd number of
 * cache lines between them keeps them out of the same few sets of L1 (32->32 @16, 16 tiles: 0.110 ms became 0.081 ms).
 */
function pointBytes(tiles: i32, depth: i32, streamed: bool): u64 {
  const bits = bitsOfChunkPanels(depth);
  // Points that fewer tiles have need no more rows than this, even if their panels are higher.
  const height = bits === 0 ? panelRows(tiles, streamed) : min(tiles, streamed ? STREAM_ROWS : TILE_ROWS);
  const panels = (tiles + height - 1) / height;
  const groups = (panels + (1 << bits) - 1) >> bits;
  return <u64>(groups * height) * <u64>(chunksOf(depth) * DEPTH_CHUNK) * 4 + 5 * CACHE_LINE;
}

/** Bytes of the products of one point for a group of output channels, padded for the same reason. */
function productPointStride(tiles: i32, outChannels: i32): usize {
  const panels = min(GROUP_PANELS, (outChannels + 7) >> 3);
  return <usize>(panels * tiles) * PRODUCT_STRIDE + 3 * CACHE_LINE;
}

/** Address of a tile's first channel in the A panels of the first point, if the tile is among the members; else 0. */
export function rowOf(b: Block, members: Members, t: i32): usize {
  if (t < members.first || t >= members.end) return 0;
  const row = t - members.first;
  const panel = row / members.height;
  const inPanel = row - panel * members.height;
  const group = panel >> b.chunkPanelsBits;
  const inGroup = panel - (group << b.chunkPanelsBits);
  const rows = group * chunksOf(b.depth) * members.height + inPanel;
  return b.panelPtr + ((<usize>(rows * DEPTH_CHUNK + inGroup * b.depth)) << 2);
}

/** Bytes between the chunks of a row. */
export function chunkStrideOf(members: Members): usize {
  return (<usize>(members.height * DEPTH_CHUNK)) << 2;
}
