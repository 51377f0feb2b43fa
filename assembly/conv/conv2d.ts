/** Convolution as im2col and GEMM, block by block: scratch does not grow with the image. */
import { gemmBlock } from '../gemm/gemm';
import { BLOCK_DEPTH, BLOCK_PIXELS, STREAM_DEPTH } from '../tuning';
import { ConvDescriptor, PANEL_OFFSET, TILE_OFFSET } from './descriptor';
import { packPixels } from './im2col';

const NO_LOWER_BOUND: f32 = -Infinity;

/**
 * Computes output pixels `firstPixel` to `lastPixel` (counted over the batch, the last excluded) of output channels
 * `firstChannel` to `lastChannel` (excluded). Ranges of channels start at multiples of 8; with groups they are all
 * channels. `residualPtr`: an image laid out like the output, added before the lower bound is applied, or 0; may be
 * `outPtr`. `scratchPtr`: scratchBytes() of scratch.
 */
export function conv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  lastPixel: i32,
  firstChannel: i32,
  lastChannel: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  const fullDepth = d.kernelHeight * d.kernelWidth * d.inChannels;
  const lanes = (d.outChannels + 3) & ~3;
  const groupWeights = (<usize>(fullDepth * lanes)) << 2;
  const groupBias = (<usize>lanes) << 2;
  const skippedBias = (<usize>firstChannel) << 2;
  const channels = d.groups > 1 ? d.outChannels : lastChannel - firstChannel;
  const lastPadTo = ((d.groups * d.outChannels + 3) & ~3) - (d.groups - 1) * d.outChannels - firstChannel;
  for (let first = firstPixel; first < lastPixel; first += BLOCK_PIXELS) {
    const m = min(lastPixel - first, BLOCK_PIXELS);
    const distance = <usize>first * d.outPixelStride;
    for (let g = 0; g < d.groups; ++g) {
      const channel = distance + ((<usize>(g * d.outChannels + firstChannel)) << 2);
      convolveBlock(
        d,
        inPtr + ((<usize>(g * d.inChannels)) << 2),
        scratchPtr,
        first,
        m,
        fullDepth,
        d.weightsPtr + <usize>g * groupWeights,
        firstChannel,
        d.biasPtr + <usize>g * groupBias + skippedBias,
        outPtr + channel,
        residualPtr === 0 ? 0 : residualPtr + channel,
        channels,
        g === d.groups - 1 ? lastPadTo : channels,
      );
    }
  }
}

/**
 * One block of pixels of one group. Partial sums of a deep product stay in the output. Where weights are streamed,
 * pixels at either end whose taps all lie in the padding are skipped (512->512 @2: a quarter less time).
 */
function convolveBlock(
  d: ConvDescriptor,
  inPtr: usize,
  scratchPtr: usize,
  firstPixel: i32,
  m: i32,
  fullDepth: i32,
  weightsPtr: usize,
  before: i32,
  biasPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  channels: i32,
  padTo: i32,
): void {
  const streamed = d.streamed !== 0;
  const most = streamed ? STREAM_DEPTH : BLOCK_DEPTH;
  for (let depth0 = 0; depth0 < fullDepth; depth0 += most) {
    const depth = min(fullDepth - depth0, most);
    const isLast = depth0 + depth === fullDepth;
    const panelPtr = scratchPtr + PANEL_OFFSET;
    let first = 0;
    let end = m;
    if (streamed && depth0 > 0 && !isLast) {
      while (first < end && !seesAny(d, firstPixel + first, depth0, depth)) ++first;
      while (end > first && !seesAny(d, firstPixel + end - 1, depth0, depth)) --end;
      if (first === end) continue;
    }
    const skipped = <usize>first * d.outPixelStride;
    packPixels(d, inPtr, scratchPtr, firstPixel + first, end - first, depth0, depth, panelPtr);
    gemmBlock(
      end - first,
      channels,
      padTo,
      panelPtr,
      depth,
      weightsPtr,
      d.panels,
      before,
      depth0,
      streamed,
      outPtr + skipped,
      d.outPixelStride,
      isLast ? biasPtr : 0,
      depth0 === 0 ? residualPtr : outPtr + skipped,
      isLast ? d.low : NO_LOWER_BOUND,
      scratchPtr + TILE_OFFSET,
    );
  }
}

/** Whether an output pixel sees any pixel of the image through the taps of this part of the depth. */
function seesAny(d: ConvDescriptor, pixel: i32, firstDepth: i32, depth: i32): bool {
  const row = pixel / d.outWidth;
  const x = pixel - row * d.outWidth;
  const rowsPtr = d.rowsPtr + ((<usize>((row % d.outHeight) * d.kernelHeight)) << 2);
  const columnsPtr = d.columnsPtr + ((<usize>(x * d.kernelWidth)) << 2);
  const lastTap = (firstDepth + depth - 1) / d.inChannels;
  for (let tap = firstDepth / d.inChannels; tap <= lastTap; ++tap) {
    const kernelRow = tap / d.kernelWidth;
    const kernelColumn = tap - kernelRow * d.kernelWidth;
    const inRow = load<i32>(rowsPtr + ((<usize>kernelRow) << 2));
    if ((inRow | load<i32>(columnsPtr + ((<usize>kernelColumn) << 2))) >= 0) return true;
  }
  return false;
}
