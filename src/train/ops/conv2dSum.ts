/**
 * The sum of convolutions of several images, or of one: what the input of parallel branches gets from them, and kernels of
 * one row or column, for which training has an algorithm of its own.
 */
import type { Conv2dNode, ParallelKernel } from '../../nodes/conv.js';
import type { InputRule, NodeBase, Optional } from '../../nodes/node.js';
import { title } from '../../nodes/shapeErrors.js';
import { conv2d } from '../../ops/conv2d.js';
import type { OperationRule } from '../../ops/operation.js';
import { convolution } from '../../plan/conv/convolution.js';
import type { Step, StepContext } from '../../plan/steps/step.js';
import { sizeOf } from '../../sizes.js';
import { canBeLine, lineStep } from '../lineConvolution.js';

/** inputs: an addend of the output's dims, perhaps, and image and weight of each part. */
export interface Conv2dSumNode extends NodeBase {
  readonly op: 'conv2dSum';
  readonly inputs: readonly [addend: Optional, ...parts: string[]];
  readonly parts: readonly SumPart[];
}

export type SumPart = ParallelKernel & Pick<Conv2dNode, 'precise'>;

const PART: readonly InputRule[] = [{}, { name: 'weight', as: 'planar' }];

export const conv2dSum: OperationRule<Conv2dSumNode> = {
  inputs: ({ parts }) => [{ isOptional: true }, ...parts.flatMap(() => PART)],
  dims: (node, [, image, weight]) => conv2d.dims(convolutionsOf(node)[0]!, [image, weight], () => undefined),
  layout: () => 'channelsLast',
  step,
  multiplyAdds: (_node, output, inputs) => {
    const weights = inputs.filter((_, i) => i > 0 && i % 2 === 0);
    return weights.reduce((sum, dims) => sum + sizeOf(output) * sizeOf(dims!.slice(1)), 0);
  },
};

/** The first one writes the output, the others add to it. */
function convolutionsOf({ path, layer, inputs: [addend, ...inputs], outputs, parts }: Conv2dSumNode): Conv2dNode[] {
  return parts.map((part, i) => {
    const read = [inputs[2 * i]!, inputs[2 * i + 1]!, undefined, i === 0 ? addend : outputs[0]] as const;
    return { op: 'conv2d', path, layer, inputs: read, outputs, paddingMode: 'zeros', groups: 1, ...part };
  });
}

function step(node: Conv2dSumNode, context: StepContext): Step {
  const steps = convolutionsOf(node).map((part) => {
    if (!canBeLine(part, context)) return convolution(part, context);
    return lineStep(title(part), part, context, () => convolution({ ...part, algorithm: 'gemm' }, context));
  });
  return (at) => {
    for (const one of steps) one(at);
  };
}
