/** An image from its phases: from every stride-th pixel of it, down and across, in images of their own. */
import type { NodeBase } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS } from '../../plan/steps/cut.js';
import { finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** inputs: the phases; those that are left out are zeros. */
export interface InterleaveNode extends NodeBase {
  readonly op: 'interleave';
  /** First row and column of each phase. */
  readonly starts: readonly (readonly [row: number, column: number])[];
  readonly stride: readonly [number, number];
  /** Of the image. */
  readonly dims: readonly number[];
}

export const interleave: OperationRule<InterleaveNode> = {
  inputs: ({ inputs }) => inputs.map(() => ({ isOptional: true })),
  dims: ({ dims }) => dims,
  layout: () => 'channelsLast',
  step,
};

function step(node: InterleaveNode, context: StepContext): Step {
  const [batch, , height, width] = node.dims as [number, number, number, number];
  const { lanes } = extentOf(node.dims);
  const [rowStep, columnStep] = node.stride;
  const output = finder(node.outputs[0], context);
  const copy = cutKernel(context.runtime, trainKernels(context.runtime), 'interleavePhase', {
    units: batch,
    flops: (batch * height * width * lanes * FLOAT_FLOPS) / node.inputs.length,
  });
  const phases = node.inputs.map((name, i) => ({ find: finder(name, context), start: node.starts[i]! }));
  return (at) => {
    const outPtr = output(at);
    for (const { find, start } of phases) {
      const [row, column] = start;
      copy(find(at), outPtr, height, width, lanes, row, rowStep, column, columnStep);
    }
  };
}
