/**
 * The kernels of the convolutions that give a convolution's input its gradient: channels swapped, taps reversed, and with
 * a stride every so many of the taps.
 */
import type { FullNode } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { ports, type Step, type StepContext } from '../../plan/steps/step.js';
import { sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import type { Phase } from '../phases.js';

/** input: a weight [groups x outChannels, inChannels, height, width]. */
export interface TurnedWeightsNode extends FullNode {
  readonly op: 'turnedWeights';
  readonly groups: number;
  /** Which taps, down and across. */
  readonly taps: readonly [Phase, Phase];
}

export const turnedWeights: OperationRule<TurnedWeightsNode> = {
  inputs: () => [{ as: 'planar' }],
  dims: ({ groups, taps: [down, across] }, [weight]) => {
    const [outChannels, inChannels] = weight as [number, number];
    return [groups * inChannels, outChannels / groups, down.taps, across.taps];
  },
  layout: () => 'planar',
  step,
};

function step(node: TurnedWeightsNode, context: StepContext): Step {
  const { groups, taps } = node;
  const [outChannels, inChannels, ...kernel] = context.dims(node.inputs[0]!) as [number, number, number, number];
  const [down, across] = taps.map(({ firstTap, tapStep, taps: count }) => [firstTap, tapStep, count] as const) as [
    readonly [number, number, number],
    readonly [number, number, number],
  ];
  const find = ports(node, context);
  const run = cutKernel(context.runtime, trainKernels(context.runtime), 'turnWeights', {
    units: groups * inChannels,
    flops: 2 * sizeOf(context.dims(node.outputs[0])) * FLOAT_FLOPS,
  });
  return (at) => {
    const [fromPtr, , toPtr] = find(at);
    run(fromPtr, toPtr, outChannels / groups, inChannels, ...kernel, ...down, ...across);
  };
}
