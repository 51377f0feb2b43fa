/** The gradient of ReLU and its kin. */
import type { FullNode } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { coefficientsOf, type UnaryNode } from '../../ops/unary.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../../plan/steps/cut.js';
import { UNARY_OPS } from '../../plan/steps/records.js';
import { finder, floatCount, type Step, type StepContext } from '../../plan/steps/step.js';
import { trainKernels } from '../kernels.js';

/** value: the output of a relu or sigmoid, the input of the others. */
export interface UnaryGradientNode extends FullNode {
  readonly op: 'unaryGradient';
  readonly inputs: readonly [gradient: string, value: string];
  readonly of: UnaryNode;
}

export const unaryGradient: OperationRule<UnaryGradientNode> = {
  dims: (_node, [gradient]) => gradient!,
  layout: () => 'input',
  overwrites: 'all',
  step,
};

function step(node: UnaryGradientNode, context: StepContext): Step {
  const op = UNARY_OPS.indexOf(node.of.op);
  const [alpha, beta] = coefficientsOf(node.of);
  const count = floatCount(node.outputs[0], context);
  const [gradient, value] = [finder(node.inputs[0], context), finder(node.inputs[1], context)];
  const output = finder(node.outputs[0], context);
  const cut = { units: count, multiple: VALUES_TOGETHER, flops: 2 * count * FLOAT_FLOPS };
  const run = cutKernel(context.runtime, trainKernels(context.runtime), 'unaryGrad', cut);
  return (at) => run(op, gradient(at), value(at), output(at), alpha, beta);
}
