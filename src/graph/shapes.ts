/** Shapes of a graph's values from the shapes of its inputs. Every check that depends on a shape is here. */
import { countOf, extentOf, fitsMemory, MAX_COUNT, MAX_VALUES, product, sameDims, sizeOf } from '../sizes.js';
import { format } from '../tensor.js';
import {
  binaryDims,
  concatDims,
  flattenDims,
  frontAxis,
  matMulDims,
  paddedAxes,
  permutationOf,
  reduceDims,
  reshapeDims,
  sliceRanges,
  squeezeDims,
} from './arrayShapes.js';
import type { BatchNormNode, Conv2dNode, Graph, LinearNode, Node, Pair, PoolNode, Window } from './graph.js';
import { fail, title } from './shapeErrors.js';

type Dims = readonly number[];

const MOST_DIMS = 8;

/** @throws RangeError naming the layer, what it expects, and what came */
export function inferShapes(graph: Graph, inputDims: readonly Dims[]): Map<string, Dims> {
  const shapes = new Map<string, Dims>();
  graph.constants?.forEach((tensor, name) => {
    shapes.set(name, tensor.dims);
  });
  graph.inputs.forEach((name, i) => {
    shapes.set(name, inputDims[i]!);
  });
  for (const node of graph.nodes) {
    const dims = node.inputs.map((name) => shapes.get(name)!);
    for (const one of dims) checkSize(node, 'input', one);
    const output = outputDims(node, dims, shapes);
    checkSize(node, 'output', output);
    shapes.set(node.output, output);
  }
  return shapes;
}

function outputDims(node: Node, inputs: readonly Dims[], shapes: ReadonlyMap<string, Dims>): Dims {
  const output = outputOf(node, inputs, shapes);
  if (node.op === 'conv2d' || node.op === 'batchNorm' || node.op === 'linear') expectResidual(node, inputs[1], output);
  return output;
}

function outputOf(node: Node, inputs: readonly Dims[], shapes: ReadonlyMap<string, Dims>): Dims {
  const [first, second] = inputs as [Dims, Dims];
  switch (node.op) {
    case 'conv2d':
      return conv2dDims(node, first);
    case 'batchNorm':
      return batchNormDims(node, first);
    case 'linear':
      return linearDims(node, first);
    case 'maxPool2d':
    case 'avgPool2d':
      return poolDims(node, first);
    case 'globalAvgPool2d':
    case 'globalMaxPool2d':
      expectImage(node, first);
      return [first[0]!, first[1]!, 1, 1];
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return binaryDims(node, first, second);
    case 'softmax':
    case 'logSoftmax':
      frontAxis(node, node.axis, first);
      return first;
    case 'concat':
      return concatDims(node, inputs);
    case 'flatten':
      return flattenDims(node, first);
    case 'reshape':
      return reshapeDims(node, first, (value) => shapes.get(value));
    case 'squeeze':
    case 'unsqueeze':
      return squeezeDims(node, first);
    case 'transpose':
      return permutationOf(node, first).map((axis) => first[axis]!);
    case 'slice':
      return sliceRanges(node, first).map(({ count }) => count);
    case 'pad':
      return paddedAxes(node, first).map(({ outSize }) => outSize);
    case 'reduceMean':
      return reduceDims(node, first);
    case 'matMul':
      return matMulDims(node, first, second);
    case 'relu':
    case 'leakyRelu':
    case 'clip':
    case 'sigmoid':
    case 'hardSigmoid':
    case 'hardSwish':
    case 'identity':
      return first;
  }
}

function conv2dDims(node: Conv2dNode, input: Dims): Dims {
  expectWindowable(node, input);
  const [outChannels, inPerGroup] = node.weight.dims as [number, number];
  expectChannels(node, input, product(inPerGroup, node.groups));
  checkPaddingMode(node, input);
  const [height, width] = windowCounts(node, node.window, input, false);
  return [input[0]!, outChannels, height, width];
}

function checkPaddingMode(node: Conv2dNode, input: Dims): void {
  if (node.paddingMode !== 'reflect' && node.paddingMode !== 'circular') return;
  const [top, left, bottom, right] = node.window.pads;
  for (const [axis, size, pad] of [
    ['height', input[2]!, Math.max(top, bottom)],
    ['width', input[3]!, Math.max(left, right)],
  ] as const) {
    const largest = node.paddingMode === 'reflect' ? size - 1 : size;
    if (pad > largest) {
      throw new RangeError(
        `${title(node)}: padding ${pad} is too large for paddingMode '${node.paddingMode}' on an input of ${axis} ` +
          `${size}, at most ${largest} fits (dims ${format(input)})`,
      );
    }
  }
}

function batchNormDims(node: BatchNormNode, input: Dims): Dims {
  if (input.length < 2) fail(node, 'input', input, 'at least 2 dims');
  expectChannels(node, input, node.norm.mean.dims[0]!);
  const values = sizeOf(input) / input[1]!;
  if (node.momentum !== undefined && values < 2) {
    throw new RangeError(
      `${title(node)}: training needs more than one value per channel for its statistics, got ${values} ` +
        `(dims ${format(input)})`,
    );
  }
  return input;
}

function linearDims(node: LinearNode, input: Dims): Dims {
  const [outFeatures, inFeatures] = node.weight.dims as [number, number];
  if (input.length !== 2) fail(node, 'input', input, '2 dims [N, features]');
  if (input[1] !== inFeatures) {
    throw new RangeError(
      `${title(node)}: input has ${input[1]} features, this layer expects ${inFeatures} (dims ${format(input)})`,
    );
  }
  return [input[0]!, outFeatures];
}

function poolDims(node: PoolNode, input: Dims): Dims {
  expectWindowable(node, input);
  const [height, width] = windowCounts(node, node.window, input, node.ceilMode);
  return [input[0]!, input[1]!, height, width];
}

/** Windows down and across. In ceil mode a last window may hang over the padding, but must start before its end. */
function windowCounts(node: Node, window: Window, input: Dims, ceilMode: boolean): Pair {
  const { kernel, stride, dilation, pads } = window;
  const count = (axis: 0 | 1): number => {
    const size = input[2 + axis]!;
    const reach = countOf(title(node), 'a kernel with its dilation', product(dilation[axis], kernel[axis] - 1) + 1);
    const span = paddedSize(node, size, pads[axis], pads[axis + 2]!) - reach;
    if (span < 0) {
      throw new RangeError(
        `${title(node)}: kernel of ${axis === 0 ? 'height' : 'width'} ${reach} (with dilation) is larger than the padded ` +
          `input of ${span + reach} (dims ${format(input)})`,
      );
    }
    if (!ceilMode) return Math.floor(span / stride[axis]) + 1;
    const windows = Math.ceil(span / stride[axis]) + 1;
    return product(windows - 1, stride[axis]) >= size + pads[axis] ? windows - 1 : windows;
  };
  return [count(0), count(1)];
}

/** The size of an axis with what is added before and behind it, or taken away. */
function paddedSize(node: Node, size: number, before: number, after: number): number {
  for (const pad of [before, after]) countOf(title(node), 'padding', Math.abs(pad));
  return size + before + after;
}

/** Distances within an image stand in tables as numbers of at least 0, a negative one means padding. */
function expectWindowable(node: Node, input: Dims): void {
  expectImage(node, input);
  const { pixels, lanes } = extentOf(input);
  if (product(pixels, lanes, 4) <= MAX_COUNT) return;
  fail(node, 'input', input, `images of at most ${MAX_COUNT} bytes (channels rounded up to a multiple of 4)`);
}

function expectImage(node: Node, input: Dims): void {
  if (input.length !== 4) fail(node, 'input', input, '4 dims [N, C, H, W]');
}

function expectChannels(node: Node, input: Dims, channels: number): void {
  if (input[1] === channels) return;
  const thing = node.layer === 'ACBlock' ? 'block' : 'layer';
  throw new RangeError(
    `${title(node)}: input has ${input[1]} channels, this ${thing} expects ${channels} (dims ${format(input)})`,
  );
}

/** A residual is added value by value. */
function expectResidual(node: Node, residual: Dims | undefined, output: Dims): void {
  if (residual !== undefined && !sameDims(residual, output)) {
    throw new RangeError(`${title(node)}: residual must have dims ${format(output)}, got ${format(residual)}`);
  }
}

/** What only moves values about has nothing to do where there are none; what computes refuses. */
function checkSize(node: Node, argument: string, dims: Dims): void {
  if (sizeOf(dims) === 0 && !movesOnly(node)) fail(node, argument, dims, 'dims of at least 1');
  if (dims.length > MOST_DIMS) fail(node, argument, dims, `at most ${MOST_DIMS} dims`);
  if (!fitsMemory(dims)) fail(node, argument, dims, `at most ${MAX_VALUES} values`);
}

function movesOnly({ op }: Node): boolean {
  switch (op) {
    case 'identity':
    case 'reshape':
    case 'squeeze':
    case 'unsqueeze':
    case 'transpose':
    case 'slice':
    case 'pad':
    case 'concat':
      return true;
    default:
      return false;
  }
}
