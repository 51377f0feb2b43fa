/** Pooling over the whole of an image: the mean, or the largest value. */

import type { FullNode } from '../nodes/node.js';
import { cutKernel, FLOAT_FLOPS } from '../plan/steps/cut.js';
import { input, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { expectImage } from './checks.js';
import type { OperationRule } from './operation.js';

/** Of the whole image: [N, C, H, W] to [N, C, 1, 1]. */
export interface GlobalPoolNode extends FullNode {
  readonly op: 'globalAvgPool2d' | 'globalMaxPool2d';
}

export const globalPool: OperationRule<GlobalPoolNode> = {
  dims: (node, [input]) => {
    expectImage(node, input!);
    return [input![0], input![1], 1, 1];
  },
  layout: () => 'channelsLast',
  step,
};

function step(node: GlobalPoolNode, context: StepContext): Step {
  const { batch, pixels, lanes } = input(node, context);
  const { runtime } = context;
  const run = cutKernel(runtime, runtime.kernels, node.op, {
    units: batch,
    flops: batch * pixels * lanes * FLOAT_FLOPS,
  });
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    run(inPtr, outPtr, pixels, lanes);
  };
}
