/** The gradients of the weights and the gammas of folded convolutions and BatchNorms (foldNorms.ts). */
import type { NodeBase, Optional, Window } from '../../nodes/node.js';
import type { OperationRule } from '../../ops/operation.js';
import { cutKernel } from '../../plan/steps/cut.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { sizeOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';
import { type FoldedBranch, foldFlops, PLANAR, writeTaps } from './foldNorms.js';

/**
 * inputs: the moments, the gradient of the sum's weight by a gradient less its mean, and of each branch weight and gamma.
 * outputs: the gradient of each weight, then that of each gamma.
 */
export interface FoldNormsGradientNode extends NodeBase {
  readonly op: 'foldNormsGradient';
  readonly inputs: readonly [moments: string, gradient: string, ...branches: Optional[]];
  readonly branches: readonly FoldedBranch[];
  readonly window: Window;
}

export const foldNormsGradient: OperationRule<FoldNormsGradientNode> = {
  inputs: ({ inputs }) => inputs.map(() => PLANAR),
  dims: (_node, [, , weight]) => weight!,
  furtherDims: ({ branches }, inputs) => {
    const weights = branches.map((_, i) => inputs[2 + 2 * i] as readonly number[]);
    return [...weights.slice(1), ...weights.map(([channels]) => [channels!])];
  },
  layout: () => 'planar',
  step,
};

function step(node: FoldNormsGradientNode, context: StepContext): Step {
  const { runtime } = context;
  const kernels = trainKernels(runtime);
  const [moments, gradient, ...ofBranches] = node.inputs;
  const [findMoments, findGradient] = [moments, gradient].map((name) => finder(name, context)) as [Find, Find];
  const taps = sizeOf(context.dims(gradient).slice(1));
  const { length } = node.branches;
  const branches = node.branches.map(({ window, eps }, i) => {
    const [weight, gamma] = ofBranches.slice(2 * i, 2 * i + 2) as [string, Optional];
    const dims = context.dims(weight);
    const cut = { units: dims[0]!, flops: 2 * foldFlops(dims), takesScratch: true } as const;
    const tapsPtr = writeTaps(context, window, node.window, dims[1]!);
    const names = [weight, gamma, node.outputs[i], node.outputs[length + i]];
    const finds = names.map((name) => finder(name, context)) as [Find, Find, Find, Find];
    return { finds, tapsPtr, count: sizeOf(dims.slice(1)), eps, run: cutKernel(runtime, kernels, 'foldNormGrad', cut) };
  });
  return (at) => {
    const [momentsPtr, gradPtr] = [findMoments(at), findGradient(at)];
    for (const { finds, tapsPtr, count, eps, run } of branches) {
      const [weightPtr, gammaPtr, weightGradPtr, gammaGradPtr] = finds.map((find) => find(at)) as [
        number,
        number,
        number,
        number,
      ];
      run(momentsPtr, taps, weightPtr, tapsPtr, count, gammaPtr, eps, gradPtr, weightGradPtr, gammaGradPtr);
    }
  };
}
