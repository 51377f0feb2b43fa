/** What a training step cannot do without, in bytes, to hold the runtime's peak against. */
import type { Plan } from '../../plan/plan.js';
import { bytesOf } from '../../sizes.js';

export interface StepMemory {
  /** What is made on the way forward, or given, and read on the way back. */
  readonly activations: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly momentum: number;
}

/**
 * @param inputDims of the images
 * @param values of all parameters that are trained
 */
export function stepMemory(plan: Plan, inputDims: readonly number[], values: number, hasMomentum: boolean): StepMemory {
  const turn = plan.steps.findIndex(({ op }: { op: string }) => op === 'crossEntropy');
  const across = plan.lifetimes.filter(({ first, last }) => first < turn && last > turn);
  const activations = across.reduce((sum, { bytes }) => sum + bytes, bytesOf(inputDims, 'channelsLast'));
  const parameters = values * 4;
  return { activations, parameters, gradients: parameters, momentum: hasMomentum ? parameters : 0 };
}
