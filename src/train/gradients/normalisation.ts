/** The gradient of sums of BatchNorms, by the statistics of the batch or by running ones. */
import type { GradientRule } from '../../passes/differentiate.js';
import { branchInputs, type NormSumNode } from '../ops/normSum.js';
import { type NormSumGradientNode, normSumGradient } from '../ops/normSumGradient.js';

export const normSumGradientRule: GradientRule<NormSumNode> = (node, gradient, backward) => {
  const { path, layer, branches, low, pool } = node;
  const [addend] = node.inputs;
  const [sum, statistics, places] = node.outputs;
  const inputs = branchInputs(node);
  const images = inputs.map(([image]) => image);
  const gammas = inputs.map(([, gamma]) => gamma);
  const hasRelu = low === 0;
  const hasAddend = hasRelu && backward.needs(addend);
  const [...outputs] = backward.emit<NormSumGradientNode>(
    {
      op: 'normSumGradient',
      path,
      layer,
      inputs: [...images, gradient, hasRelu ? sum : undefined, statistics, ...gammas, places],
      branches,
      hasAddend,
      pool,
    },
    normSumGradient,
    2 * branches.length + 1 + (hasAddend ? 1 : 0),
  );
  const ofImages = outputs.splice(0, branches.length);
  const ofAddend = hasAddend ? outputs.shift() : gradient;
  const [ofBeta, ...ofGammas] = outputs;
  return [ofAddend, ...inputs.flatMap((_, i) => [ofImages[i], ofGammas[i], ofBeta, undefined, undefined])];
};
