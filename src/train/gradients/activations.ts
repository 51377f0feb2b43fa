/** Gradients of activations and pools. */
import type { GlobalPoolNode } from '../../ops/globalPool.js';
import type { PoolNode } from '../../ops/pool.js';
import type { UnaryNode } from '../../ops/unary.js';
import type { Backward, GradientRule } from '../../passes/differentiate.js';
import { type PoolGradientNode, poolGradient } from '../ops/poolGradients.js';
import { type UnaryGradientNode, unaryGradient } from '../ops/unaryGradient.js';

/** By what comes out, or by what goes in: for ReLU that leaves what goes in to be written over. */
export const unaryGradientRule: GradientRule<UnaryNode> = (node, gradient, backward) => {
  const { op, path, layer } = node;
  const value = op === 'relu' || op === 'sigmoid' ? node.outputs[0] : node.inputs[0]!;
  return backward.emit<UnaryGradientNode>(
    { op: 'unaryGradient', path, layer, inputs: [gradient, value], of: node },
    unaryGradient,
  );
};

function ofPool(node: PoolNode | GlobalPoolNode, gradient: string, backward: Backward): [string, ...string[]] {
  const { op, path, layer } = node;
  const image = node.inputs[0]!;
  const isMean = op === 'avgPool2d' || op === 'globalAvgPool2d';
  const inputs = isMean ? ([gradient] as const) : ([gradient, image] as const);
  return backward.emit<PoolGradientNode>(
    { op: 'poolGradient', path, layer, inputs, of: node, dims: backward.dims(image) },
    poolGradient,
  );
}

export const poolGradientRule: GradientRule<PoolNode> = ofPool;
export const globalPoolGradient: GradientRule<GlobalPoolNode> = ofPool;
