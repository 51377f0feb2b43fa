/** The ABI of the kernels for training, a binary of its own over the same memory: no allocation, no state, no data. */
export { IS_RELAXED } from './simd';
export { centreGrad, maskedSums, writeGradMeans } from './train/centreGrad';
export { depthwiseWeightGrad, writeDepthwiseWeightGrad } from './train/depthwiseGrad';
export { foldNorm, foldNormGrad, writeFolded } from './train/foldNorm';
export { lineConv2d, lineConvScratchBytes } from './train/lineConv';
export { LINE_WEIGHTS_BYTES, packLineWeights } from './train/lineWeights';
export {
  applyNormGrad,
  columnSums,
  normGrad,
  normGradSums,
  writeBetaGrad,
  writeColumnSums,
} from './train/normGrad';
export { normSumPool } from './train/normPool';
export { gatherMoments, normMoments, normMomentsBytes } from './train/normStatistics';
export { normSum } from './train/normSum';
export { sgdStep, squaredNorm } from './train/optimizer';
export { avgPool2dGrad, globalAvgPool2dGrad, globalMaxPool2dGrad, maxPool2dGrad } from './train/poolGrad';
export { countCorrect, crossEntropy, softmaxGrad } from './train/softmaxGrad';
export {
  centreImages,
  tapProducts,
  tapProductsBytes,
  writeCentre,
  writeTapMoments,
} from './train/tapMoments';
export { THIN_ROWS } from './train/tuning';
export { interleavePhase, turnWeights } from './train/turn';
export { unaryGrad } from './train/unaryGrad';
export { conv2dWeightGrad, weightGradBlocks, weightGradScratchBytes, writeWeightGrad } from './train/weightGrad';
export {
  WRITE_BYTES,
  winogradGradBlocks,
  winogradGradScratchBytes,
  winogradWeightGrad,
  writeWinogradWeightGrad,
} from './train/winogradGrad';
