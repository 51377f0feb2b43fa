/**
 * Convolution with kernels of one column or one row, by Winograd's algorithm along that axis (Lavin, Gray: Fast Algorithms
 * for Convolutional Neural Networks, 2016), with stride 1, dilation 1 and one group: the 1-D branches of a block.
 *
 *   y = A' [ sum over channels of (G g) * (B' d) ]      tiles of two or four outputs along the axis
 *
 *   F(2, 3)  4 values  points 0, +-1, infinity                        2 products for an output and a pair of channels
 *   F(4, 3)  6         0, +-sqrt(1/2), +-sqrt(2), infinity            1.5
 *   F(2, 5)  6         the same                                       3
 *   F(4, 5)  8         0, +-1, +-1/2, +-2, infinity                   2
 *
 * Over 16 channels they err 1.2, 2.3, 1.6 and 3.4 times as much as a direct sum (numbers above zero, root of mean squares).
 *
 * Works on a block of tiles at a time:
 *
 *   V  [points][panels of TILE_ROWS tiles], the A panels of gemm/micro.ts: shallow ones share a chunk     in scratch
 *   for each panel of 8 output channels
 *     P  [points][tiles][8]                                                                               in scratch
 *     y = A' P, addend
 *
 *   U  [panels of 8 output channels][points][lanes of x][8]      written by packLineWeights (lineWeights.ts)
 *
 * A transform mixes the values of a tile: x and the weights must hold numbers only, and none of great magnitude (see
 * allBelow).
 */
import { BATCH_TILES, micro5x8, micro6x8, microBatch5x8, microBatch6x8 } from '../gemm/registerTiles';
import { DEPTH_CHUNK, TILE_ROWS, TILE_STRIDE } from '../tuning';
import {
  lineAdd4to2,
  lineAdd6to2,
  lineAdd6to4,
  lineAdd8to4,
  lineOut4to2,
  lineOut6to2,
  lineOut6to4,
  lineOut8to4,
  lineSeen4,
  lineSeen6,
  lineSeen8,
  PLACE_BYTES,
} from './lineTransforms';
import { LINE_BATCHES, LINE_BYTES } from './tuning';

/** What the kernel is told of a convolution; distances in bytes, tables as in conv/descriptor.ts. */
export class LineConvDescriptor {
  /** U. */
  weightsPtr: usize;
  rowsPtr: usize;
  columnsPtr: usize;
  /** A pixel of zeros, as many as x has lanes. */
  zerosPtr: usize;
  outHeight: i32;
  outWidth: i32;
  /** One of both is 1, the other 3 or 5. */
  kernelHeight: i32;
  kernelWidth: i32;
  inChannels: i32;
  outChannels: i32;
  inImageStride: usize;
  inRowStride: usize;
  /** Outputs of a tile, 2 or 4. */
  tile: i32;
}

/** The most outputs of a tile. */
const MAX_TILE: usize = 4;
/** Bytes of a row of A. */
const ROW_BYTES: usize = (<usize>DEPTH_CHUNK) << 2;
/** Tiles of a batch of register tiles. */
const BATCH_ROWS: i32 = BATCH_TILES * TILE_ROWS;
/** An odd number of cache lines keeps points out of the same few sets of L1. */
const POINT_GAP: usize = 5 * 64;
const PRODUCT_GAP: usize = 3 * 64;

/** A block of tiles: its size, and where its parts lie in scratch. */
class LineBlock {
  /** Tiles, at most. */
  most: i32;
  tile: i32;
  points: i32;
  /** Lanes of x. */
  depth: i32;
  chunks: i32;
  /** Log2 of the number of panels that share a chunk. */
  panelBits: i32;
  /** [most] places, and that of a tile at the edge, whose outputs are apart. */
  placePtr: usize;
  edgePlacePtr: usize;
  /** What a tile at the edge sees, [points][lanes], and its outputs, [tile] vectors. */
  edgePtr: usize;
  outsPtr: usize;
  seenPtr: usize;
  seenStep: usize;
  productPtr: usize;
  productStep: usize;
  end: usize;
}

export function lanesOf(channels: i32): i32 {
  return (channels + 3) & ~3;
}

function layOut(d: LineConvDescriptor, scratchPtr: usize): LineBlock {
  const b = changetype<LineBlock>(scratchPtr);
  b.tile = d.tile;
  b.points = max(d.kernelHeight, d.kernelWidth) + d.tile - 1;
  b.depth = lanesOf(d.inChannels);
  b.chunks = (b.depth + DEPTH_CHUNK - 1) / DEPTH_CHUNK;
  b.panelBits = 31 - clz(max(1, DEPTH_CHUNK / b.depth));
  for (let batches = LINE_BATCHES; batches > 0; --batches) {
    b.most = batches * BATCH_ROWS;
    const panels = batches * BATCH_TILES;
    const groups = (panels + (1 << b.panelBits) - 1) >> b.panelBits;
    b.placePtr = (scratchPtr + offsetof<LineBlock>() + 15) & ~15;
    b.edgePlacePtr = b.placePtr + <usize>b.most * PLACE_BYTES;
    b.outsPtr = (b.edgePlacePtr + PLACE_BYTES + 15) & ~15;
    b.edgePtr = b.outsPtr + MAX_TILE * 16;
    b.seenPtr = (b.edgePtr + ((<usize>(b.points * b.depth)) << 2) + 63) & ~63;
    b.seenStep = <usize>(groups * b.chunks * TILE_ROWS) * ROW_BYTES + POINT_GAP;
    b.productPtr = b.seenPtr + <usize>b.points * b.seenStep;
    b.productStep = <usize>b.most * TILE_STRIDE + PRODUCT_GAP;
    b.end = b.productPtr + <usize>b.points * b.productStep;
    if (b.end - scratchPtr <= LINE_BYTES) break;
  }
  return b;
}

/** Bytes of scratch; `scratchPtr`: room for what is at its beginning. */
export function lineConvScratchBytes(descriptorPtr: usize, scratchPtr: usize): usize {
  return layOut(changetype<LineConvDescriptor>(descriptorPtr), scratchPtr).end - scratchPtr;
}

function isVertical(d: LineConvDescriptor): bool {
  return d.kernelWidth === 1;
}

/** Tiles down an image. */
function tilesDown(d: LineConvDescriptor): i32 {
  return isVertical(d) ? (d.outHeight + d.tile - 1) / d.tile : d.outHeight;
}

/** Tiles across an image. */
function tilesAcross(d: LineConvDescriptor): i32 {
  return isVertical(d) ? d.outWidth : (d.outWidth + d.tile - 1) / d.tile;
}

/**
 * Tiles `firstTile` to `lastTile` (excluded) of the convolution, counted over the batch, row by row. `addendPtr`: of the
 * output's dims, perhaps the output itself; or 0. `scratchPtr`: lineConvScratchBytes(), at a multiple of 16.
 */
export function lineConv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  addendPtr: usize,
  scratchPtr: usize,
  firstTile: i32,
  lastTile: i32,
): void {
  const d = changetype<LineConvDescriptor>(descriptorPtr);
  const b = layOut(d, scratchPtr);
  const panels = (d.outChannels + 7) >> 3;
  const panelBytes = (<usize>b.depth) << 5;
  for (let first = firstTile; first < lastTile; first += b.most) {
    const tiles = min(b.most, lastTile - first);
    const count = transformBlock(d, b, inPtr, outPtr, addendPtr, first, tiles);
    let weightsPtr = d.weightsPtr;
    for (let panel = 0; panel < panels; ++panel) {
      let seenPtr = b.seenPtr;
      let productPtr = b.productPtr;
      for (let p = 0; p < b.points; ++p) {
        multiplyPoint(b, count, seenPtr, weightsPtr, productPtr);
        seenPtr += b.seenStep;
        weightsPtr += panelBytes;
        productPtr += b.productStep;
      }
      invertPanel(d, b, count, outPtr, addendPtr, panel * 8);
    }
  }
}

/** V of a block, and the places of its tiles. Those that see nothing but padding are done with; returns how many are left. */
function transformBlock(
  d: LineConvDescriptor,
  b: LineBlock,
  inPtr: usize,
  outPtr: usize,
  addendPtr: usize,
  first: i32,
  tiles: i32,
): i32 {
  const down = tilesDown(d);
  const across = tilesAcross(d);
  const isDown = isVertical(d);
  const outStride = (<usize>lanesOf(d.outChannels)) << 2;
  let row = first / across;
  let column = first - row * across;
  let image = row / down;
  row -= image * down;
  let t = 0;
  let count = 0;
  while (t < tiles) {
    const y = isDown ? row * d.tile : row;
    const imagePtr = inPtr + <usize>image * d.inImageStride;
    // What tiles of a row have in common, by the axis of the kernel, is looked up once.
    let fixed = isDown ? 0 : load<i32>(d.rowsPtr + ((<usize>y) << 2));
    let seen = isDown ? seenAt(d, y, 0) : 0;
    let isInside = isDown && isRun(d, b, y, seen);
    for (const end = min(tiles, t + across - column); t < end; ++t) {
      const x = isDown ? column : column * d.tile;
      if (isDown) fixed = load<i32>(d.columnsPtr + ((<usize>x) << 2));
      else if (fixed >= 0) {
        seen = seenAt(d, x, 0);
        isInside = isRun(d, b, x, seen);
      }
      const place = <usize>((image * d.outHeight + y) * d.outWidth + x) * outStride;
      const outs = min(d.tile, isDown ? d.outHeight - y : d.outWidth - x);
      if (fixed < 0) {
        writeAddend(d, outs, outPtr + place, addendPtr === 0 ? 0 : addendPtr + place);
      } else {
        store<usize>(b.placePtr + <usize>count * PLACE_BYTES, place);
        store<i32>(b.placePtr + <usize>count * PLACE_BYTES, outs, 4);
        if (isInside) {
          transformTile(b, imagePtr + <usize>(fixed + seen), pointDistance(d, b), panelRow(b, count));
        } else {
          gatherEdge(d, b, imagePtr + <usize>fixed, isDown ? y : x);
          transformTile(b, b.edgePtr, (<usize>b.depth) << 2, panelRow(b, count));
        }
        ++count;
      }
      ++column;
    }
    if (column === across) {
      column = 0;
      if (++row === down) {
        row = 0;
        ++image;
      }
    }
  }
  return count;
}

/** The outputs of a tile that sees nothing. */
function writeAddend(d: LineConvDescriptor, outs: i32, toPtr: usize, addendPtr: usize): void {
  if (addendPtr === toPtr) return;
  const bytes = (<usize>lanesOf(d.outChannels)) << 2;
  const distance = isVertical(d) ? <usize>d.outWidth * bytes : bytes;
  for (let i: usize = 0; i < <usize>outs; ++i) {
    if (addendPtr === 0) memory.fill(toPtr + i * distance, 0, bytes);
    else memory.copy(toPtr + i * distance, addendPtr + i * distance, bytes);
  }
}

/** Bytes between the values that a tile sees. */
function pointDistance(d: LineConvDescriptor, b: LineBlock): usize {
  return isVertical(d) ? d.inRowStride : (<usize>b.depth) << 2;
}

/** Whether the values of a tile follow each other: entries of a table move by at most one pixel for a step, or wrap around. */
function isRun(d: LineConvDescriptor, b: LineBlock, out: i32, first: i32): bool {
  return first >= 0 && seenAt(d, out, b.points - 1) - first === <i32>pointDistance(d, b) * (b.points - 1);
}

/** Copies what a tile at the edge sees, at these distances from `fromPtr`. */
function gatherEdge(d: LineConvDescriptor, b: LineBlock, fromPtr: usize, out: i32): void {
  const bytes = (<usize>b.depth) << 2;
  let toPtr = b.edgePtr;
  for (let i = 0; i < b.points; ++i) {
    const seen = seenAt(d, out, i);
    const pixelPtr = seen < 0 ? d.zerosPtr : fromPtr + <usize>seen;
    for (let at: usize = 0; at < bytes; at += 16) v128.store(toPtr + at, v128.load(pixelPtr + at));
    toPtr += bytes;
  }
}

/** Address of a tile's row in the A panels of the first point. */
function panelRow(b: LineBlock, t: i32): usize {
  const panel = t / TILE_ROWS;
  const row = t - panel * TILE_ROWS;
  return panelAt(b, b.seenPtr, panel) + <usize>row * ROW_BYTES;
}

function panelAt(b: LineBlock, pointPtr: usize, panel: i32): usize {
  const group = panel >> b.panelBits;
  const inGroup = panel - (group << b.panelBits);
  return pointPtr + <usize>(group * b.chunks * TILE_ROWS) * ROW_BYTES + ((<usize>(inGroup * b.depth)) << 2);
}

/** V of a tile of values from `fromPtr` on, `distance` bytes apart. */
function transformTile(b: LineBlock, fromPtr: usize, distance: usize, toPtr: usize): void {
  for (let lane = 0; lane < b.depth; lane += DEPTH_CHUNK) {
    const bytes = (<usize>min(DEPTH_CHUNK, b.depth - lane)) << 2;
    if (b.points === 4) lineSeen4(fromPtr, distance, bytes, toPtr, b.seenStep);
    else if (b.points === 6) lineSeen6(fromPtr, distance, bytes, toPtr, b.seenStep);
    else lineSeen8(fromPtr, distance, bytes, toPtr, b.seenStep);
    fromPtr += ROW_BYTES;
    toPtr += ROW_BYTES * TILE_ROWS;
  }
}

/** Distance of the value at `offset` of the tile whose first output is `first`; -1 beyond what the last output sees. */
function seenAt(d: LineConvDescriptor, first: i32, offset: i32): i32 {
  const isDown = isVertical(d);
  const kernel = isDown ? d.kernelHeight : d.kernelWidth;
  const beyond = max(0, offset - kernel + 1);
  const out = first + beyond;
  if (out >= (isDown ? d.outHeight : d.outWidth)) return -1;
  return load<i32>((isDown ? d.rowsPtr : d.columnsPtr) + ((<usize>(out * kernel + offset - beyond)) << 2));
}

/** The products of a point with a panel of 8 output channels. Panels that are not whole have anything in their last rows. */
function multiplyPoint(b: LineBlock, tiles: i32, pointPtr: usize, weightsPtr: usize, toPtr: usize): void {
  const depth = b.depth;
  const panels = (tiles + TILE_ROWS - 1) / TILE_ROWS;
  const shared = 1 << b.panelBits;
  const groupBytes = <usize>(b.chunks * TILE_ROWS) * ROW_BYTES;
  const sideBytes = (<usize>depth) << 2;
  const aStep: usize = shared > 1 ? sideBytes : groupBytes;
  const aPairStep: usize = shared === 2 ? groupBytes : aStep * 2;
  const firstDepth = min(depth, DEPTH_CHUNK);
  for (let panel = 0; panel < panels; panel += BATCH_TILES) {
    const aPtr = panelAt(b, pointPtr, panel);
    const count = min(BATCH_TILES, panels - panel);
    if (TILE_ROWS === 6) microBatch6x8(count, aPtr, aStep, aPairStep, weightsPtr, 0, 0, firstDepth, toPtr);
    else microBatch5x8(count, aPtr, aStep, aPairStep, weightsPtr, 0, 0, firstDepth, toPtr);
    for (let lane = DEPTH_CHUNK; lane < depth; lane += DEPTH_CHUNK) {
      const chunkPtr = aPtr + <usize>(lane * TILE_ROWS * 4);
      addChunk(count, chunkPtr, groupBytes, weightsPtr + ((<usize>lane) << 5), min(DEPTH_CHUNK, depth - lane), toPtr);
    }
    toPtr += <usize>BATCH_ROWS * TILE_STRIDE;
  }
}

/** A further chunk of the depth of up to four panels. */
function addChunk(count: i32, aPtr: usize, aStep: usize, weightsPtr: usize, depth: i32, tilePtr: usize): void {
  for (let i = 0; i < count; ++i) {
    if (TILE_ROWS === 6) micro6x8(aPtr, weightsPtr, depth, tilePtr, tilePtr);
    else micro5x8(aPtr, weightsPtr, depth, tilePtr, tilePtr);
    aPtr += aStep;
    tilePtr += <usize>TILE_ROWS * TILE_STRIDE;
  }
}

/** The outputs of eight channels from `channel` on. */
function invertPanel(
  d: LineConvDescriptor,
  b: LineBlock,
  tiles: i32,
  outPtr: usize,
  addendPtr: usize,
  channel: i32,
): void {
  const outStride = (<usize>lanesOf(d.outChannels)) << 2;
  const distance = isVertical(d) ? <usize>d.outWidth * outStride : outStride;
  const vectors: usize = min(2, (lanesOf(d.outChannels) - channel) >> 2);
  const endPtr = b.placePtr + <usize>tiles * PLACE_BYTES;
  for (let v: usize = 0; v < vectors; ++v) {
    const channelBytes = ((<usize>channel) << 2) + (v << 4);
    const toPtr = outPtr + channelBytes;
    const addPtr: usize = addendPtr === 0 ? 0 : addendPtr + channelBytes;
    let placePtr = b.placePtr;
    for (;;) {
      const productPtr = b.productPtr + (v << 4) + (placePtr - b.placePtr) * (TILE_STRIDE / PLACE_BYTES);
      placePtr = invertTiles(b, productPtr, placePtr, endPtr, toPtr, distance, addPtr);
      if (placePtr === endPtr) break;
      const edgePtr = b.productPtr + (v << 4) + (placePtr - b.placePtr) * (TILE_STRIDE / PLACE_BYTES);
      invertEdge(b, edgePtr, placePtr, toPtr, distance, addPtr);
      placePtr += PLACE_BYTES;
    }
  }
}

/** A tile of which only some outputs are in the image. */
function invertEdge(
  b: LineBlock,
  productPtr: usize,
  placePtr: usize,
  outPtr: usize,
  distance: usize,
  addendPtr: usize,
): void {
  store<usize>(b.edgePlacePtr, 0);
  store<i32>(b.edgePlacePtr, b.tile, 4);
  invertTiles(b, productPtr, b.edgePlacePtr, b.edgePlacePtr + PLACE_BYTES, b.outsPtr, 16, 0);
  const place = load<usize>(placePtr);
  const count = load<i32>(placePtr, 4);
  for (let i: usize = 0; i < <usize>count; ++i) {
    const at = place + i * distance;
    let y = v128.load(b.outsPtr + (i << 4));
    if (addendPtr !== 0) y = f32x4.add(y, v128.load(addendPtr + at));
    v128.store(outPtr + at, y);
  }
}

/** Whole tiles from that at `placePtr` on, until one is not whole; returns its place. */
function invertTiles(
  b: LineBlock,
  fromPtr: usize,
  placePtr: usize,
  endPtr: usize,
  outPtr: usize,
  distance: usize,
  addendPtr: usize,
): usize {
  const step = b.productStep;
  if (addendPtr === 0) {
    if (b.points === 4) return lineOut4to2(fromPtr, step, placePtr, endPtr, outPtr, distance);
    if (b.points === 8) return lineOut8to4(fromPtr, step, placePtr, endPtr, outPtr, distance);
    if (b.tile === 4) return lineOut6to4(fromPtr, step, placePtr, endPtr, outPtr, distance);
    return lineOut6to2(fromPtr, step, placePtr, endPtr, outPtr, distance);
  }
  if (b.points === 4) return lineAdd4to2(fromPtr, step, placePtr, endPtr, outPtr, distance, addendPtr);
  if (b.points === 8) return lineAdd8to4(fromPtr, step, placePtr, endPtr, outPtr, distance, addendPtr);
  if (b.tile === 4) return lineAdd6to4(fromPtr, step, placePtr, endPtr, outPtr, distance, addendPtr);
  return lineAdd6to2(fromPtr, step, placePtr, endPtr, outPtr, distance, addendPtr);
}
