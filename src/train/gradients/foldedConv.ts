/** Gradients of convolutions and BatchNorms that were folded into one convolution. */
import type { GradientRule } from '../../passes/differentiate.js';
import { type CentredGradientNode, centredGradient } from '../ops/centredGradient.js';
import type { FoldedConvNode } from '../ops/foldedConv.js';
import { type FoldNormsNode, foldedInputs } from '../ops/foldNorms.js';
import { type FoldNormsGradientNode, foldNormsGradient } from '../ops/foldNormsGradient.js';
import { weightGradient } from '../ops/weightGradient.js';

/** Nobody asks for the image's: otherwise there would be no folding. */
export const foldedConvGradient: GradientRule<FoldedConvNode> = (node, gradient, backward) => {
  const { path, layer, window, weightDims, wholeDims, low, pool } = node;
  const [output, places] = node.outputs;
  const [centred, sums] = backward.emit<CentredGradientNode>(
    {
      op: 'centredGradient',
      path,
      layer,
      inputs: [gradient, low === 0 ? output : undefined, places],
      dims: wholeDims,
      pool,
    },
    centredGradient,
    2,
  );
  const inputs = [node.inputs[0], centred] as const;
  const [ofWeight] = backward.emit(
    { op: 'weightGradient', path, layer, inputs, window, paddingMode: 'zeros', groups: 1, dims: weightDims },
    weightGradient,
  );
  return [undefined, ofWeight, sums];
};

/** The sums are the gradient of every beta. */
export const foldNormsGradientRule: GradientRule<FoldNormsNode> = (node, gradient, backward) => {
  const { path, layer, branches, window } = node;
  const inputs = foldedInputs(node);
  const outputs = backward.emit<FoldNormsGradientNode>(
    {
      op: 'foldNormsGradient',
      path,
      layer,
      inputs: [node.inputs[0], gradient, ...inputs.flatMap((ofBranch) => ofBranch.slice(0, 2))],
      branches,
      window,
    },
    foldNormsGradient,
    2 * branches.length,
  );
  const ofBeta = backward.gradientOf(node.outputs[1]);
  const ofBranches = branches.flatMap((_, i) => [
    outputs[i],
    outputs[branches.length + i],
    ofBeta,
    undefined,
    undefined,
  ]);
  return [undefined, ...ofBranches];
};
