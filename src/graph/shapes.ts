/** Shapes of a graph's values from the shapes of its inputs. Every check that depends on a shape is here. */
import { format, sizeOf } from '../tensor.js';
import type { BatchNormNode, Conv2dNode, Graph, LinearNode, Node, Pair, PoolNode, Window } from './graph.js';

type Dims = readonly number[];

/** @throws RangeError naming the layer, what it expects, and what came */
export function inferShapes(graph: Graph, inputDims: readonly Dims[]): Map<string, Dims> {
  const shapes = new Map<string, Dims>();
  graph.inputs.forEach((name, i) => {
    shapes.set(name, inputDims[i]!);
  });
  for (const node of graph.nodes) {
    const dims = node.inputs.map((name) => shapes.get(name)!);
    for (const one of dims) checkNotEmpty(node, one);
    shapes.set(node.output, outputDims(node, dims));
  }
  return shapes;
}

function outputDims(node: Node, inputs: readonly Dims[]): Dims {
  const [first] = inputs as [Dims];
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
    case 'add':
      return addDims(node, inputs);
    case 'concat':
      return concatDims(node, inputs);
    case 'globalAvgPool2d':
      expectImage(node, first);
      return [first[0]!, first[1]!, 1, 1];
    case 'flatten':
      return first.length < 2 ? fail(node, 'input', first, 'at least 2 dims') : [first[0]!, sizeOf(first.slice(1))];
    case 'softmax':
      return first.length < 2 ? fail(node, 'input', first, 'at least 2 dims') : first;
    case 'relu':
      return first;
    default:
      throw new Error(`no shape of ${node.op} yet`);
  }
}

function conv2dDims(node: Conv2dNode, input: Dims): Dims {
  expectImage(node, input);
  const [outChannels, inPerGroup] = node.weight.dims as [number, number];
  expectChannels(node, input, inPerGroup * node.groups);
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
  expectImage(node, input);
  const [height, width] = windowCounts(node, node.window, input, node.ceilMode);
  return [input[0]!, input[1]!, height, width];
}

function addDims(node: Node, inputs: readonly Dims[]): Dims {
  const [first, ...others] = inputs as [Dims, ...Dims[]];
  for (const other of others) {
    if (format(other) !== format(first)) {
      throw new RangeError(`${title(node)}: inputs must have the same dims, got ${format(first)} and ${format(other)}`);
    }
  }
  return first;
}

function concatDims(node: Node, inputs: readonly Dims[]): Dims {
  const [first, ...others] = inputs as [Dims, ...Dims[]];
  if (first.length < 2) fail(node, 'input', first, 'at least 2 dims');
  for (const other of others) {
    if (other.length !== first.length || other.some((dim, axis) => axis !== 1 && dim !== first[axis])) {
      throw new RangeError(
        `${title(node)}: inputs must have the same dims but for channels, got ${format(first)} and ${format(other)}`,
      );
    }
  }
  return first.map((dim, axis) => (axis === 1 ? inputs.reduce((sum, dims) => sum + dims[1]!, 0) : dim));
}

/** Windows down and across. In ceil mode a last window may hang over the padding, but must start before its end. */
function windowCounts(node: Node, window: Window, input: Dims, ceilMode: boolean): Pair {
  const { kernel, stride, dilation, pads } = window;
  const count = (axis: 0 | 1): number => {
    const size = input[2 + axis]!;
    const span = size + pads[axis] + pads[axis + 2]! - dilation[axis] * (kernel[axis] - 1) - 1;
    if (span < 0) {
      const reach = dilation[axis] * (kernel[axis] - 1) + 1;
      throw new RangeError(
        `${title(node)}: kernel of ${axis === 0 ? 'height' : 'width'} ${reach} (with dilation) is larger than the padded ` +
          `input of ${span + reach} (dims ${format(input)})`,
      );
    }
    if (!ceilMode) return Math.floor(span / stride[axis]) + 1;
    const windows = Math.ceil(span / stride[axis]) + 1;
    return (windows - 1) * stride[axis] >= size + pads[axis] ? windows - 1 : windows;
  };
  return [count(0), count(1)];
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

function checkNotEmpty(node: Node, input: Dims): void {
  if (sizeOf(input) === 0) fail(node, 'input', input, 'dims of at least 1');
}

function fail(node: Node, argument: string, dims: Dims, expected: string): never {
  throw new RangeError(`${title(node)}: ${argument} must have ${expected}, got ${format(dims)}`);
}

/** `ACBlock.forward`, with the layer's path where it is part of a network. */
function title(node: Node): string {
  return node.path === '' ? `${node.layer}.forward` : `${node.layer}.forward (${node.path})`;
}
