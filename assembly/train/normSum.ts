/**
 * The sum of several batch normalisations (Ioffe, Szegedy 2015) of channels-last images [pixels][lanes], in one pass: the
 * branches of a block where they meet.
 *
 *   y = max(low, sum over branches of scale (z - mean) + beta, + addend)
 *
 * Takes the mean off first: folded into beta, a large one would take the digits that it shares with z. At most four
 * branches go together, as their coefficients stay in registers; more are added to what four have left.
 */
import { clampLow, multiplyAdd } from '../simd';
import { NORMED_BYTES } from './tuning';

/** So many branches. */
class One {}
class Two {}
class Three {}
class Four {}

const TOGETHER: i32 = 4;

/**
 * Pixels `firstPixel` to `lastPixel` (excluded). `imagesPtr`: addresses of the branches' images. `addendPtr`: 0 for none.
 * `coefficientsPtr`: f32 [branches][mean, scale, beta][lanes]. Out may be the addend.
 */
export function normSum(
  imagesPtr: usize,
  branches: i32,
  addendPtr: usize,
  coefficientsPtr: usize,
  outPtr: usize,
  lanes: i32,
  low: f32,
  firstPixel: i32,
  lastPixel: i32,
): void {
  const stride = (<usize>lanes) << 2;
  const block = max(1, NORMED_BYTES / stride) * stride;
  const end = <usize>lastPixel * stride;
  for (let first = <usize>firstPixel * stride; first < end; first += block) {
    const last = min(end, first + block);
    let addedPtr = addendPtr;
    for (let branch = 0; branch < branches; branch += TOGETHER) {
      const left = branches - branch;
      const fromPtr = imagesPtr + ((<usize>branch) << 2);
      const byPtr = coefficientsPtr + <usize>branch * stride * 3;
      const bound: f32 = left > TOGETHER ? -Infinity : low;
      if (left === 1) sumBlock<One>(fromPtr, addedPtr, byPtr, outPtr, stride, bound, first, last);
      else if (left === 2) sumBlock<Two>(fromPtr, addedPtr, byPtr, outPtr, stride, bound, first, last);
      else if (left === 3) sumBlock<Three>(fromPtr, addedPtr, byPtr, outPtr, stride, bound, first, last);
      else sumBlock<Four>(fromPtr, addedPtr, byPtr, outPtr, stride, bound, first, last);
      addedPtr = outPtr;
    }
  }
}

/** Four channels at a time of pixels that stay in L1. */
function sumBlock<Branches>(
  imagesPtr: usize,
  addendPtr: usize,
  coefficientsPtr: usize,
  outPtr: usize,
  stride: usize,
  low: f32,
  first: usize,
  last: usize,
): void {
  const lows = f32x4.splat(low);
  const branch = stride * 3;
  const z0Ptr = load<usize>(imagesPtr);
  let z1Ptr: usize = 0;
  let z2Ptr: usize = 0;
  let z3Ptr: usize = 0;
  if (idof<Branches>() !== idof<One>()) z1Ptr = load<usize>(imagesPtr, 4);
  if (idof<Branches>() === idof<Three>() || idof<Branches>() === idof<Four>()) z2Ptr = load<usize>(imagesPtr, 8);
  if (idof<Branches>() === idof<Four>()) z3Ptr = load<usize>(imagesPtr, 12);
  for (let at: usize = 0; at < stride; at += 16) {
    let byPtr = coefficientsPtr + at;
    const mean0 = v128.load(byPtr);
    const scale0 = v128.load(byPtr + stride);
    let beta = v128.load(byPtr + stride * 2);
    let mean1 = mean0;
    let scale1 = mean0;
    let mean2 = mean0;
    let scale2 = mean0;
    let mean3 = mean0;
    let scale3 = mean0;
    if (idof<Branches>() !== idof<One>()) {
      byPtr += branch;
      mean1 = v128.load(byPtr);
      scale1 = v128.load(byPtr + stride);
      beta = f32x4.add(beta, v128.load(byPtr + stride * 2));
    }
    if (idof<Branches>() === idof<Three>() || idof<Branches>() === idof<Four>()) {
      byPtr += branch;
      mean2 = v128.load(byPtr);
      scale2 = v128.load(byPtr + stride);
      beta = f32x4.add(beta, v128.load(byPtr + stride * 2));
    }
    if (idof<Branches>() === idof<Four>()) {
      byPtr += branch;
      mean3 = v128.load(byPtr);
      scale3 = v128.load(byPtr + stride);
      beta = f32x4.add(beta, v128.load(byPtr + stride * 2));
    }
    for (let pixel = first + at; pixel < last; pixel += stride) {
      let y = multiplyAdd(f32x4.sub(v128.load(z0Ptr + pixel), mean0), scale0, beta);
      if (idof<Branches>() !== idof<One>()) {
        y = multiplyAdd(f32x4.sub(v128.load(z1Ptr + pixel), mean1), scale1, y);
      }
      if (idof<Branches>() === idof<Three>() || idof<Branches>() === idof<Four>()) {
        y = multiplyAdd(f32x4.sub(v128.load(z2Ptr + pixel), mean2), scale2, y);
      }
      if (idof<Branches>() === idof<Four>()) {
        y = multiplyAdd(f32x4.sub(v128.load(z3Ptr + pixel), mean3), scale3, y);
      }
      if (addendPtr !== 0) y = f32x4.add(y, v128.load(addendPtr + pixel));
      v128.store(outPtr + pixel, clampLow(y, lows));
    }
  }
}
