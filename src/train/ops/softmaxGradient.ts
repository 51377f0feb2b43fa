/** The gradient of softmax and its logarithm. */

import type { FullNode } from '../../nodes/node.js';
import { frontAxis } from '../../ops/axes.js';
import type { OperationRule } from '../../ops/operation.js';
import type { SoftmaxNode } from '../../ops/softmax.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** value: the output. */
export interface SoftmaxGradientNode extends FullNode {
  readonly op: 'softmaxGradient';
  readonly inputs: readonly [gradient: string, value: string];
  readonly of: SoftmaxNode;
}

export const softmaxGradient: OperationRule<SoftmaxGradientNode> = {
  dims: (_node, [gradient]) => gradient!,
  layout: () => 'planar',
  overwrites: 'all',
  step,
};

function step({ inputs, outputs, of }: SoftmaxGradientNode, context: StepContext): Step {
  const dims = context.dims(inputs[0]);
  const axis = frontAxis(of, of.axis, dims);
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const shape = [dims[axis]! * inner, inner, dims[axis]!, inner, of.op === 'logSoftmax'] as const;
  const run = cutKernel(context.runtime, trainKernels(context.runtime), 'softmaxGrad', {
    units: outer,
    flops: 2 * sizeOf(dims) * FLOAT_FLOPS,
  });
  const [gradient, value, output] = [...inputs, outputs[0]].map((name) => finder(name, context)) as [Find, Find, Find];
  return (at) => run(gradient(at), value(at), output(at), ...shape);
}
