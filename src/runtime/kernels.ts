/** The ABI of assembly/index.ts as TypeScript sees it. Pointers and counts are 32-bit numbers, sizes in bytes. */

type Kernel = (...args: number[]) => void;

/** A WebAssembly.Global that never changes. */
interface Constant {
  readonly value: number;
}

export interface Kernels {
  heapBase(): number;
  scratchBytes(): number;
  /** 1 in the relaxed build, 0 in the baseline one. */
  readonly IS_RELAXED: Constant;
  readonly TILE_ROWS: Constant;
  readonly DEPTH_CHUNK: Constant;
  /** (descriptor, in, out, residual, scratch, firstPixel, lastPixel, firstChannel, lastChannel) */
  conv2d: Kernel;
  /** (descriptor, in, out, residual, scratch, firstPixel, lastPixel) */
  depthwiseConv2d: Kernel;
  /** (descriptor, in, out, residual, scratch, firstTile, lastTile, firstChannel, lastChannel, blockTiles) */
  winogradConv2d: Kernel;
  /** (inChannels, rows) */
  winogradDepth(inChannels: number, rows: number): number;
  /** (points, tiles, depth, outChannels, streamed) */
  winogradScratchBytes(points: number, tiles: number, depth: number, outChannels: number, streamed: number): number;
  /** (weight, scale, packed, first, channels, outChannels, inChannels, kernels, r, high, wide, segment, work) */
  packWinogradWeights: Kernel;
  /** (m, columns, a, b, depth, tile) */
  gemmMicroFloat: Kernel;
  /** 0 or 1 */
  hasBatch(m: number): number;
  /** (m, count, a, aStep, aPairStep, b, bStep, bPairStep, depth, tile) */
  gemmMicroBatch: Kernel;
  /** (m, columns, a, b, depth, tile) */
  gemmMicroStreams: Kernel;
  /** (weight, scale, packed, first, channels, outChannels, inChannels, taps, segment), channels of a group */
  packWeights: Kernel;
  /** (weight, scale, packed, channels, taps) */
  packDepthwiseWeights: Kernel;
  /** (op, table, a, b, out, low) */
  binary: Kernel;
  /** (op, in, out, count, alpha, beta) */
  unary: Kernel;
  /** (ptr, count, limit), 0 or 1 */
  allBelow(ptr: number, count: number, limit: number): number;
  /** (ptr, bytes) */
  clear: Kernel;
  /** (in, out, batch, channels, pixels) */
  toChannelsLast: Kernel;
  /** (in, out, batch, channels, pixels) */
  toPlanar: Kernel;
  /** (steps, factor, addend) */
  multiplyAddPeak(steps: number, factor: number, addend: number): number;
  /** (in, out, rows, columns, rowDivisors, columnDivisors, batch, outHeight, outWidth, kernelHeight, kernelWidth, inImageStride, lanes) */
  avgPool2d: Kernel;
  /** (in, out, batch, pixels, lanes) */
  globalAvgPool2d: Kernel;
  /** (in, out, batch, pixels, lanes) */
  globalMaxPool2d: Kernel;
  /** (in, out, rows, columns, batch, outHeight, outWidth, kernelHeight, kernelWidth, inImageStride, lanes) */
  maxPool2d: Kernel;
  /** (a, b, out, m, depth, n, scratch) */
  matMul: Kernel;
  /** (in, out, outer, outerStride, inner, axis, axisStride, isLog), strides in floats */
  softmax: Kernel;
  /** (table, in, out) */
  copyStrided: Kernel;
  /** (kept, reduced, in, out, count) */
  reduceMean: Kernel;
  /** (ptr, count, value) */
  fill: Kernel;
  /** (ptr, pixels, channels, lanes) */
  clearLanes: Kernel;
  /** (out, count, seed, bound) */
  fillUniform: Kernel;
  /** (in, pixels, lanes, mean, variance) */
  batchStatistics: Kernel;
  /** (in, inStride, out, residual, coefficients, pixels, lanes, low) */
  normalize: Kernel;
  /** (gamma, beta, mean, variance, eps, channels, lanes, coefficients) */
  prepareNormalize: Kernel;
  /** (running, batch, channels, momentum, factor) */
  updateRunning: Kernel;
  /** (from, to, count) */
  widenFloats: Kernel;
  /** (branch, scale, kernel, outChannels, inChannels, height, width, fullHeight, fullWidth, row, column) */
  addBranch: Kernel;
  /** (from, to, count) */
  addDoubles: Kernel;
  /** (gamma, beta, mean, variance, eps, channels, scale, shift) */
  foldBatchNorm: Kernel;
  /** (from, to, count) */
  roundDoubles: Kernel;
}
