/** A matrix of features times a weight, with a bias, a residual and a ReLU. */
import { convolution } from '../../plan/convolution.js';
import { sizeOf } from '../../sizes.js';
import { format } from '../../tensor.js';
import { checkVector, expectResidual } from '../checks.js';
import { differ, type KnownDims } from '../dims.js';
import { reluFlag, residualFlag } from '../flags.js';
import type { OperationRule } from '../operation.js';
import { fail, title } from '../shapeErrors.js';
import type { LinearNode } from './node.js';

export const linear: OperationRule<LinearNode> = {
  check: ({ weight, bias }, expect) => {
    expect(weight.size > 0 && weight.dims.length === 2, 'a weight', 'of 2 dims', format(weight.dims));
    checkVector(expect, 'a bias', bias, weight.dims[0]!);
  },
  dims: (node, [input, residual]) => {
    const output = linearDims(node, input!);
    expectResidual(node, residual, output);
    return output;
  },
  dimsOfUnknown: (node) => linearDims(node, [undefined, undefined]),
  layout: () => 'channelsLast',
  overwrites: 'residual',
  step: convolution,
  multiplyAdds: (node, output) => sizeOf(output) * node.weight.dims[1]!,
  flags: (node) => [...(node.bias === undefined ? [] : ['bias']), ...residualFlag(node), ...reluFlag(node)],
};

function linearDims(node: LinearNode, input: KnownDims): KnownDims {
  const [outFeatures, inFeatures] = node.weight.dims as [number, number];
  if (input.length !== 2) fail(node, 'input', input, '2 dims [N, features]');
  if (differ(input[1], inFeatures)) {
    throw new RangeError(
      `${title(node)}: input has ${input[1]} features, this layer expects ${inFeatures} (dims ${format(input)})`,
    );
  }
  return [input[0], outFeatures];
}
