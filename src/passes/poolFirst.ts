/**
 * A mean and a 1x1 convolution commute: pooling goes first, so that the convolution has fewer pixels (a quarter of them
 * in the transitions of a DenseNet). Only where the weights of every mean have the sum 1, so that a bias stays what it
 * is. Values so large that the sum of a window overflows become infinite, as they do when pooled on their own.
 */
import {
  type Conv2dNode,
  countUses,
  type GlobalPoolNode,
  type Graph,
  type GraphNode,
  type PoolNode,
} from '../graph/graph.js';
import { isOpen } from './fuse.js';
import { producers } from './pass.js';

export function poolFirst(graph: Graph): Graph {
  const uses = countUses(graph);
  const before = producers(graph.nodes);
  const moved = new Map<GraphNode, GraphNode>();
  for (const pool of graph.nodes) {
    const conv = before.get(pool.inputs[0]!);
    if (conv?.op !== 'conv2d' || uses.get(conv.outputs[0]) !== 1 || !isPointwise(conv) || !isMean(pool)) continue;
    const [image, ...parameters] = conv.inputs;
    moved.set(conv, { ...pool, inputs: [image], outputs: conv.outputs });
    moved.set(pool, { ...conv, inputs: [pool.inputs[0]!, ...parameters], outputs: pool.outputs });
  }
  return moved.size === 0 ? graph : { ...graph, nodes: graph.nodes.map((node) => moved.get(node) ?? node) };
}

/** Whether it is linear and treats each pixel by itself. */
function isPointwise(node: Conv2dNode): boolean {
  const { kernel, stride, pads } = node.window;
  return isOpen(node) && [...kernel, ...stride].every((size) => size === 1) && pads.every((pad) => pad === 0);
}

/** Whether it is a mean that leaves fewer pixels. */
function isMean(node: GraphNode): node is PoolNode | GlobalPoolNode {
  if (node.op !== 'avgPool2d') return node.op === 'globalAvgPool2d';
  const { stride, pads } = node.window;
  return !node.ceilMode && pads.every((pad) => pad === 0) && stride.some((step) => step > 1);
}
