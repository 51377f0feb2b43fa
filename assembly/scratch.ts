/**
 * Working memory of a thread: each kernel that uses it says how much it needs, and the largest need is its size.
 *
 *   GEMM convolution CONVOLUTION_BYTES, and a line of a thin image if that fits (im2col.ts) product of matrices
 *   MATRICES_BYTES Winograd's weights WEIGHTS_BYTES Winograd, depthwise as many tiles, or taps, as fit: the plan asks
 *   before it chooses them
 */
import { CONVOLUTION_BYTES } from './conv/descriptor';
import { WEIGHTS_BYTES } from './conv/winogradWeights';
import { MATRICES_BYTES } from './nn/matMul';
import { SCRATCH_BYTES } from './tuning';

/** Bytes of working memory that kernels need at their `scratchPtr`. */
export function scratchBytes(): i32 {
  return max(SCRATCH_BYTES, <i32>max(CONVOLUTION_BYTES, max(MATRICES_BYTES, WEIGHTS_BYTES)));
}
