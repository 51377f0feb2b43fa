/** Convolution as im2col and GEMM, block by block, so that working memory is bounded whatever the image's size. */
import { gemmBlock } from '../gemm/gemm';
import { paddedColumns } from '../gemm/pack';
import { BLOCK_DEPTH, BLOCK_PIXELS } from '../tuning';
import { ConvDescriptor } from './descriptor';
import { packPixels } from './im2col';

const NO_LOWER_BOUND: f32 = -Infinity;

/** Bytes of working memory that conv2d needs at `scratchPtr`. */
export function scratchBytes(): i32 {
  return BLOCK_PIXELS * BLOCK_DEPTH * 4;
}

/**
 * Output pixels `firstPixel` to `lastPixel` (counted over the batch, the last excluded) of a convolution.
 * `residualPtr`: an image laid out like the output to add before the lower bound is applied, or 0; it may be `outPtr`.
 */
export function conv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  const fullDepth = d.kernelHeight * d.kernelWidth * d.inChannels;
  const panelsBytes = (<usize>(fullDepth * paddedColumns(d.outChannels))) << 2;
  const groupBiasBytes = (<usize>((d.outChannels + 7) & ~7)) << 2;
  for (let first = firstPixel; first < lastPixel; first += BLOCK_PIXELS) {
    const m = min(lastPixel - first, BLOCK_PIXELS);
    const distance = <usize>first * d.outPixelStride;
    for (let g = 0; g < d.groups; ++g) {
      const channel = (<usize>(g * d.outChannels)) << 2;
      convBlock(
        d,
        inPtr + ((<usize>(g * d.inChannels)) << 2),
        first,
        m,
        fullDepth,
        d.weightsPtr + <usize>g * panelsBytes,
        d.biasPtr + <usize>g * groupBiasBytes,
        outPtr + distance + channel,
        residualPtr === 0 ? 0 : residualPtr + distance + channel,
        g === d.groups - 1 ? paddedColumns(d.groups * d.outChannels) - g * d.outChannels : d.outChannels,
      );
    }
  }
}

/** One block of pixels of one group. Partial sums of a deep product are kept in the output. */
function convBlock(
  d: ConvDescriptor,
  inPtr: usize,
  firstPixel: i32,
  m: i32,
  fullDepth: i32,
  weightsPtr: usize,
  biasPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  padTo: i32,
): void {
  for (let depth0 = 0; depth0 < fullDepth; depth0 += BLOCK_DEPTH) {
    const depth = min(fullDepth - depth0, BLOCK_DEPTH);
    const isLast = depth0 + depth === fullDepth;
    packPixels(d, inPtr, firstPixel, m, depth0, depth, d.scratchPtr);
    // The sum starts at the residual or, where there is none, at the bias; a residual gets its bias at the end.
    let startPtr = outPtr;
    let startStride = d.outPixelStride;
    if (depth0 === 0) {
      startPtr = residualPtr === 0 ? biasPtr : residualPtr;
      startStride = residualPtr === 0 ? 0 : d.outPixelStride;
    }
    gemmBlock(
      m,
      d.outChannels,
      padTo,
      d.scratchPtr,
      depth,
      weightsPtr,
      depth0,
      fullDepth,
      outPtr,
      d.outPixelStride,
      startPtr,
      startStride,
      isLast && residualPtr !== 0 ? biasPtr : 0,
      isLast ? d.low : NO_LOWER_BOUND,
    );
  }
}
