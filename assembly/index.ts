/** The whole ABI: every function that TypeScript may call. Pointers in, nothing allocated. */
export { conv2d } from './conv/conv2d';
export { depthwiseConv2d } from './conv/depthwise';
export { winogradConv2d } from './conv/winograd';
export { GROUP_CHANNELS, winogradDepth, winogradScratchBytes } from './conv/winogradBlock';
export { packWinogradWeights } from './conv/winogradWeights';
export { hasBatch, microAnyRows } from './gemm/micro';
export { packDepthwiseWeights, packWeights } from './gemm/pack';
export { microBatch4x8, microBatch5x8, microBatch6x8 } from './gemm/registerTiles';
export { allBelow, binary, binaryRange, findLarge, unary } from './nn/elementwise';
export { clear, toChannelsLast, toPlanar } from './nn/layout';
export { matMul } from './nn/matMul';
export { avgPool2d, globalAvgPool2d, globalMaxPool2d, maxPool2d } from './nn/pool';
export { fillUniform } from './nn/random';
export { accumulate, reduce, standardize, topPlaces } from './nn/reduce';
export { resizeLinear, resizeNearest } from './nn/resize';
export { softmax } from './nn/softmax';
export { clearLanes, copyStrided, fill, gather, reduceMean } from './nn/strided';
export { batchStatistics, normalize, prepareNormalize, updateRunning, widenFloats } from './norm/batchNorm';
export { scratchBytes } from './scratch';
export { IS_RELAXED } from './simd';
export { DEPTH_CHUNK, TILE_ROWS } from './tuning';

/** First byte that the module's own data does not use. */
export function heapBase(): usize {
  return __heap_base;
}
