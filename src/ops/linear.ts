/** A matrix of features times a weight, with a bias, an addend and a ReLU. */

import { type LinearNode, WEIGHTED_INPUTS } from '../nodes/conv.js';
import { differ, type KnownDims } from '../nodes/dims.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { convolution } from '../plan/conv/convolution.js';
import { showDims } from '../shown.js';
import { sizeOf } from '../sizes.js';
import { checkVector, expectAddend, expectVector } from './checks.js';
import { addendFlag, reluFlag } from './flags.js';
import type { OperationRule } from './operation.js';

export const linear: OperationRule<LinearNode> = {
  inputs: () => WEIGHTED_INPUTS,
  check: ({ inputs }, expect, stored) => {
    const weight = stored(inputs[1]);
    if (weight === undefined) return;
    expect(weight.size > 0 && weight.dims.length === 2, 'a weight', 'of 2 dims', showDims(weight.dims));
    checkVector(expect, 'a bias', stored(inputs[2]), weight.dims[0]!);
  },
  dims: (node, [matrix, weight, bias, addend]) => {
    const output = linearDims(node, matrix!, weight!);
    expectVector(node, 'bias', bias, output[1]!);
    expectAddend(node, addend, output);
    return output;
  },
  dimsOfUnknown: (node, [matrix, weight]) => linearDims(node, matrix ?? UNKNOWN_MATRIX, weight ?? UNKNOWN_MATRIX),
  layout: () => 'channelsLast',
  overwrites: 'addend',
  step: convolution,
  multiplyAdds: (_node, output, [, weight]) => sizeOf(output) * weight![1]!,
  flags: (node) => [
    ...(node.inputs[2] === undefined ? [] : ['bias']),
    ...addendFlag(node.inputs[3]),
    ...reluFlag(node),
  ],
};

const UNKNOWN_MATRIX: KnownDims = [undefined, undefined];

function linearDims(node: LinearNode, input: KnownDims, weight: KnownDims): KnownDims {
  if (weight.length !== 2) fail(node, 'weight', weight, '2 dims [outFeatures, inFeatures]');
  const [outFeatures, inFeatures] = weight;
  if (input.length !== 2) fail(node, 'input', input, '2 dims [N, features]');
  if (differ(input[1], inFeatures)) {
    throw new RangeError(
      `${title(node)}: input has ${input[1]} features, this layer expects ${inFeatures} (dims ${showDims(input)})`,
    );
  }
  return [input[0], outFeatures];
}
