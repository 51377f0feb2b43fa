/** The ABI of the kernels for training, a binary of its own over the same memory: no allocation, no state, no data. */
export { IS_RELAXED } from './simd';
export { conv2dWeightGrad, weightGradBlocks, weightGradScratchBytes, writeWeightGrad } from './train/weightGrad';
