/** What is to be told of a step: in profiles, for instance. */
import type { GraphNode } from '../graph/graph.js';
import type { Algorithm } from '../nodes/algorithm.js';
import { ruleOf } from '../ops/operation.js';
import { chooseAlgorithm } from './conv/algorithm.js';
import { isMove, type Move } from './memory/lower.js';
import type { StepContext } from './steps/step.js';

export interface StepInfo {
  /** Operation of the node; `convert` and `copy` are the plan's own. */
  readonly op: GraphNode['op'] | Move['op'];
  /** Path of the layer; '' for a layer on its own, and for the plan's own steps. */
  readonly path: string;
  /** Name of the value that the step makes. */
  readonly output: string;
  readonly dims: readonly number[];
  /** Of convolutions and matrix products as the graph has them, whatever the algorithm makes of them; else 0. */
  readonly multiplyAdds: number;
  /** Kernels of a convolution or linear layer; of parallel convolutions, those of the first where they run apart. */
  readonly algorithm?: Algorithm;
}

/** Told of every step of a run, and how long it took. */
export type OnStep = (step: StepInfo, milliseconds: number) => void;

export function describeStep(node: GraphNode | Move, context: StepContext): StepInfo {
  const {
    op,
    outputs: [output],
  } = node;
  const path = 'path' in node ? node.path : '';
  const dims = context.dims(output);
  const multiplyAdds = isMove(node) ? 0 : multiplyAddsOf(node, context);
  const info = { op, path, output, dims, multiplyAdds };
  if (node.op !== 'conv2d' && node.op !== 'linear') return info;
  return { ...info, algorithm: chooseAlgorithm(node, context.runtime, context.dims) };
}

function multiplyAddsOf(node: GraphNode, context: StepContext): number {
  const inputs = node.inputs.map((name) => (name === undefined ? undefined : context.dims(name)));
  return ruleOf(node).multiplyAdds?.(node, context.dims(node.outputs[0]), inputs) ?? 0;
}
