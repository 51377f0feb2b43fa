/**
 * The convolution that convolutions and BatchNorms were folded into (foldNorms.ts), with the max pool and the ReLU behind it,
 * of an image less its mean, whose padding is there. The bias takes off what the weights make of the means of the taps, so
 * the gradient of its weights is that of
 *
 *   y = W (x - mean of x) + summand
 */
import { type Conv2dNode, WEIGHTED_INPUTS } from '../../nodes/conv.js';
import type { FullNode, Window } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { type PoolNode, pool } from '../../ops/pool.js';
import { convolution } from '../../plan/conv/convolution.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext, writeTable } from '../../plan/steps/step.js';
import { extentOf, sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { addressTable } from './normSum.js';
import { writePoolWindows } from './poolWindows.js';

/** outputs: what comes out; with a pool also the places that it came from, i32 seen as floats, and what was pooled. */
export interface FoldedConvNode extends FullNode {
  readonly op: 'foldedConv';
  readonly inputs: readonly [image: string, weight: string, bias: string];
  readonly outputs: readonly [output: string, ...pooled: string[]];
  readonly window: Window;
  /** Of the weight, and of what comes of the convolution. */
  readonly weightDims: readonly number[];
  readonly wholeDims: readonly number[];
  /** Lower bound: 0 where there is a ReLU behind it, else -infinity. */
  readonly low: number;
  readonly pool?: PoolNode;
}

export const foldedConv: OperationRule<FoldedConvNode> = {
  inputs: () => WEIGHTED_INPUTS.slice(0, 3),
  dims: ({ pool: node, wholeDims }) => (node === undefined ? wholeDims : pool.dims(node, [wholeDims], () => undefined)),
  furtherDims: (node) => {
    if (node.pool === undefined) return [];
    const pooled = pool.dims(node.pool, [node.wholeDims], () => undefined) as readonly number[];
    return [[extentOf(pooled).bytes / 4], node.wholeDims];
  },
  layout: () => 'channelsLast',
  step,
  multiplyAdds: ({ weightDims, wholeDims }) => sizeOf(wholeDims) * sizeOf(weightDims.slice(1)),
};

function step(node: FoldedConvNode, context: StepContext): Step {
  const { path, layer, inputs, outputs, window, low, pool: pooling } = node;
  const [output, places, whole = output] = outputs;
  const plain: Conv2dNode = {
    op: 'conv2d',
    path,
    layer,
    inputs,
    outputs: [whole],
    window,
    paddingMode: 'zeros',
    groups: 1,
    relu: low === 0,
    // A direct sum errs less than Winograd.
    algorithm: 'gemm',
  };
  const convolve = convolution(plain, context);
  if (pooling === undefined) return convolve;
  const gather = poolStep(context, pooling, whole, output, places!);
  return (at) => {
    convolve(at);
    gather(at);
  };
}

/** As behind a sum of BatchNorms, of one that changes nothing. */
function poolStep(context: StepContext, node: PoolNode, whole: string, output: string, places: string): Step {
  const { runtime } = context;
  const dims = context.dims(whole);
  const { batch, pixels, lanes } = extentOf(dims);
  const coefficients = new Float32Array(3 * lanes).fill(1, lanes, 2 * lanes);
  const coefficientsPtr = writeTable(context, coefficients);
  const images = addressTable(context, [finder(whole, context)]);
  const [findOutput, findPlaces] = [output, places].map((name) => finder(name, context)) as [Find, Find];
  const windowsPtr = writePoolWindows(context, node, dims, context.dims(output));
  const flops = batch * pixels * lanes * FLOAT_FLOPS;
  const run = cutKernel(runtime, trainKernels(runtime), 'normSumPool', { units: batch, flops, takesScratch: true });
  return (at) =>
    run(images(at), 1, coefficientsPtr, findOutput(at), findPlaces(at), windowsPtr, lanes, Number.NEGATIVE_INFINITY);
}
