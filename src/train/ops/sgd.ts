/** A step of PyTorch's SGD over all parameters, when all else of a run is done. */
import type { NodeBase, Optional } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel, FLOAT_FLOPS, VALUES_TOGETHER } from '../../plan/steps/cut.js';
import { finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/** How parameters are changed; lr is not among it, since it may change with every step. */
export interface SgdSettings {
  readonly momentum: number;
  readonly weightDecay: number;
  readonly nesterov: boolean;
  readonly dampening: number;
  /** The most that the norm of all gradients may be; larger ones are scaled. */
  readonly clipNorm: number | undefined;
}

/**
 * settings: [lr, 1 at the first step else 0]. Then for each parameter its gradient, its values, and its velocity, which is
 * left out without momentum. It is the last node, so that no gradient is written over before the end of the run.
 * output: [1], what gradients were multiplied by to clip them.
 */
export interface SgdNode extends NodeBase {
  readonly op: 'sgd';
  readonly inputs: readonly [settings: string, ...parameters: Optional[]];
  readonly settings: SgdSettings;
}

export const sgd: OperationRule<SgdNode> = {
  inputs: ({ inputs }) => inputs.map((_, i) => ({ as: 'planar', isOptional: i > 0 && i % 3 === 0 })),
  dims: () => [1],
  layout: () => 'planar',
  step,
};

/** As PyTorch's clip_grad_norm_ has it. */
const CLIP_EPS = 1e-6;

function step(node: SgdNode, context: StepContext): Step {
  const { runtime } = context;
  const { heap } = runtime;
  const kernels = trainKernels(runtime);
  const { momentum, weightDecay, nesterov, dampening, clipNorm } = node.settings;
  const [settings, ...others] = node.inputs;
  const findSettings = finder(settings, context);
  const scale = finder(node.outputs[0], context);
  const parameters = Array.from({ length: others.length / 3 }, (_, i) => {
    const count = sizeOf(context.dims(others[i * 3]!));
    const cut = { units: count, multiple: VALUES_TOGETHER, flops: 3 * count * FLOAT_FLOPS };
    return {
      gradient: finder(others[i * 3], context),
      values: finder(others[i * 3 + 1], context),
      velocity: finder(others[i * 3 + 2], context),
      count,
      change: cutKernel(runtime, kernels, 'sgdStep', cut),
    };
  });
  context.afterwards((at) => {
    const [lr, isFirst] = heap.floats(findSettings(at), 2) as unknown as [number, number];
    const [factor] = heap.floats(scale(at), 1) as unknown as [number];
    const how = [lr, momentum, dampening, weightDecay, factor, nesterov ? 1 : 0, isFirst] as const;
    for (const { gradient, values, velocity, change } of parameters) {
      change(values(at), gradient(at), velocity(at), ...how);
    }
  });
  return (at) => {
    let factor = 1;
    if (clipNorm !== undefined) {
      let squares = 0;
      for (const { gradient, count } of parameters) squares += kernels.squaredNorm(gradient(at), count);
      factor = Math.min(1, clipNorm / (Math.sqrt(squares) + CLIP_EPS));
    }
    heap.floats(scale(at), 1)[0] = factor;
  };
}
