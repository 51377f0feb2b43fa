/**
 * Which layout each value of a plan is in. Convolutions and pools work on channels-last values; what treats tensors as
 * arrays finds its values by strides, whatever their layout, and writes the layout that those who read it want.
 */
import type { Graph, Node } from '../graph/graph.js';
import { extentOf, sameDims } from '../sizes.js';
import type { Layout } from '../tensor.js';

type Dims = readonly number[];
type Shapes = ReadonlyMap<string, Dims>;

/**
 * How an operation stands to layouts.
 *   planar, channelsLast  all that it reads and writes is in this one
 *   input                 it writes the layout of its first input
 *   view                  it gives the bytes of its input another name, if they are in the right order
 *   any                   it reads any and writes any
 */
export type LayoutRule = Layout | 'input' | 'view' | 'any';

export function layoutRule(node: Node, shapes: Shapes): LayoutRule {
  switch (node.op) {
    case 'conv2d':
    case 'batchNorm':
    case 'linear':
    case 'maxPool2d':
    case 'avgPool2d':
    case 'globalAvgPool2d':
    case 'globalMaxPool2d':
      return 'channelsLast';
    case 'matMul':
      return 'planar';
    case 'softmax':
    case 'logSoftmax':
      return isOverChannels(node.axis, shapes.get(node.output)!) ? 'input' : 'planar';
    case 'relu':
    case 'leakyRelu':
    case 'clip':
    case 'sigmoid':
    case 'hardSigmoid':
    case 'hardSwish':
      return 'input';
    case 'identity':
    case 'flatten':
    case 'reshape':
    case 'squeeze':
    case 'unsqueeze':
      return 'view';
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
    case 'concat':
    case 'slice':
    case 'pad':
    case 'transpose':
    case 'reduceMean':
      return 'any';
  }
}

/** Whether an axis is the one along which channels lie side by side. */
export function isOverChannels(axis: number, dims: Dims): boolean {
  return dims.length >= 2 && (axis === 1 || axis === 1 - dims.length);
}

/** Whether both shapes are the same batch, channels and pixels: channels-last values of both have the same bytes. */
export function hasSameExtent(a: Dims, b: Dims): boolean {
  const [one, other] = [extentOf(a), extentOf(b)];
  return one.batch === other.batch && one.channels === other.channels && one.pixels === other.pixels;
}

/** The layout that those who read a value would have it in, as far as they care. channelsLast wins. */
export function wantedLayouts(graph: Graph, shapes: Shapes): Map<string, Layout> {
  const wanted = new Map<string, Layout>();
  const want = (value: string, layout: Layout | undefined): void => {
    if (layout !== undefined && wanted.get(value) !== 'channelsLast') wanted.set(value, layout);
  };
  for (const node of [...graph.nodes].reverse()) {
    const rule = layoutRule(node, shapes);
    const ofOutput = wanted.get(node.output);
    for (const name of node.inputs) {
      if (rule === 'planar' || rule === 'channelsLast') want(name, rule);
      else if (rule === 'input') want(name, ofOutput);
      else if (rule === 'view') {
        want(name, hasSameExtent(shapes.get(name)!, shapes.get(node.output)!) ? ofOutput : 'planar');
      } else if (node.op === 'transpose') want(name, 'planar');
      else if (keepsAxes(node, shapes.get(name)!, shapes.get(node.output)!)) want(name, ofOutput);
    }
  }
  return wanted;
}

/** Whether an operation of any layouts reads this input fastest in the layout that it writes. */
export function keepsAxes(node: Node, input: Dims, output: Dims): boolean {
  switch (node.op) {
    case 'concat':
    case 'slice':
    case 'pad':
      return true;
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return sameDims(input, output);
    default:
      return false;
  }
}

/** Where nobody cares: images and matrices as layers take them. */
export function usualLayout(dims: Dims): Layout {
  return dims.length === 2 || dims.length === 4 ? 'channelsLast' : 'planar';
}
