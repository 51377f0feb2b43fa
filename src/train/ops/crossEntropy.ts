/** The mean cross-entropy of a batch, with its gradient. */
import type { FullNode } from '../../nodes/node.js';
import { fail } from '../../nodes/shapeErrors.js';
import type { OperationRule } from '../../ops/operation.js';
import { type Find, finder, type Step, type StepContext } from '../../plan/steps/step.js';
import { extentOf } from '../../sizes.js';
import { trainKernels } from '../kernels.js';

/**
 * logits [N, classes], labels [N]: whole numbers from 0 to below classes.
 * outputs: the gradient of the logits; the mean loss, and how many of the rows have their largest logit at their label.
 */
export interface CrossEntropyNode extends FullNode {
  readonly op: 'crossEntropy';
  readonly inputs: readonly [logits: string, labels: string];
  readonly outputs: readonly [gradient: string, score: string];
  /** Share of the target that all classes divide among themselves. */
  readonly smoothing: number;
}

export const crossEntropy: OperationRule<CrossEntropyNode> = {
  inputs: () => [{}, { as: 'planar' }],
  dims: (node, [logits]) => {
    if (logits!.length !== 2) fail(node, 'output of the model', logits!, '2 dims [N, classes]');
    return logits!;
  },
  furtherDims: () => [[2]],
  layout: () => 'channelsLast',
  overwrites: 'all',
  step,
};

function step(node: CrossEntropyNode, context: StepContext): Step {
  const { heap } = context.runtime;
  const kernels = trainKernels(context.runtime);
  const { batch, channels, lanes } = extentOf(context.dims(node.inputs[0]));
  // Losses, f64[batch], and labels, i32[batch].
  const workspace = context.workspace(batch * 12);
  const [logits, labels] = node.inputs.map((name) => finder(name, context)) as [Find, Find];
  const [gradient, score] = node.outputs.map((name) => finder(name, context)) as [Find, Find];
  return (at) => {
    const lossPtr = workspace();
    const labelsPtr = lossPtr + batch * 8;
    heap.words(labelsPtr, batch).set(heap.floats(labels(at), batch));
    const correct = kernels.countCorrect(logits(at), labelsPtr, channels, lanes, batch);
    const shape = [channels, lanes, node.smoothing, 1 / batch, 0, batch] as const;
    kernels.crossEntropy(logits(at), labelsPtr, lossPtr, gradient(at), ...shape);
    const sum = heap.doubles(lossPtr, batch).reduce((total, loss) => total + loss, 0);
    heap.floats(score(at), 2).set([sum / batch, correct]);
  };
}
