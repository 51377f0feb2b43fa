/** Sums over all but the channels: the gradient of a bias. */
import type { FullNode } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { ports, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

export interface ChannelSumsNode extends FullNode {
  readonly op: 'channelSums';
}

export const channelSums: OperationRule<ChannelSumsNode> = {
  inputs: () => [{ as: 'channelsLast' }],
  dims: (_node, [input]) => [input![1]],
  layout: () => 'planar',
  step,
};

/** Pixels that are summed on their own; sums of sums are rounded less. */
export const CHUNK_PIXELS = 1024;

function step(node: ChannelSumsNode, context: StepContext): Step {
  const kernels = trainKernels(context.runtime);
  const { batch, pixels, channels, lanes } = extentOf(context.dims(node.inputs[0]!));
  const count = batch * pixels;
  const chunks = Math.ceil(count / CHUNK_PIXELS);
  const workspace = context.workspace(chunks * lanes * 8);
  const find = ports(node, context);
  const columnSums = cutKernel(context.runtime, kernels, 'columnSums', {
    units: chunks,
    flops: count * lanes * FLOAT_FLOPS,
  });
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    const sumsPtr = workspace();
    columnSums(inPtr, sumsPtr, count, lanes, CHUNK_PIXELS);
    kernels.writeColumnSums(sumsPtr, chunks, channels, lanes, outPtr);
  };
}
