/** The gradients of BatchNorm, by the statistics of the batch or by running ones. */
import type { BatchNormNode } from '../../ops/batchNorm.js';
import type { GradientRule } from '../../passes/differentiate.js';
import { type BatchNormGradientNode, batchNormGradient } from '../ops/batchNormGradient.js';

export const batchNormGradientRule: GradientRule<BatchNormNode> = (node, gradient, backward) => {
  const { path, layer, eps, momentum } = node;
  const [image, gamma, , mean, variance] = node.inputs;
  const statistics = momentum === undefined ? ([mean, variance] as const) : ([undefined, undefined] as const);
  const inputs = [gradient, image, gamma, ...statistics] as const;
  return backward.emit<BatchNormGradientNode>(
    { op: 'batchNormGradient', path, layer, inputs, eps },
    batchNormGradient,
    3,
  );
};
