/** Graphs in the short form of tests: nodes of one output that hold their parameters, which the Graph has by name. */
import type { Graph, GraphNode, Role, StoredValue, Tensor } from 'acnet-wasm';

export interface NormSpec {
  readonly gamma: Tensor | undefined;
  readonly beta: Tensor | undefined;
  readonly mean: Tensor;
  readonly variance: Tensor;
  readonly eps: number;
}

export interface NodeSpec {
  /** An operation's other settings, as in the Graph. */
  readonly [setting: string]: unknown;
  readonly op: string;
  /** The image, and an addend if there is one. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly weight?: Tensor | undefined;
  readonly bias?: Tensor | undefined;
  readonly norm?: NormSpec | undefined;
  readonly parallel?: readonly {
    readonly weight: Tensor;
    readonly bias?: Tensor | undefined;
    readonly window: object;
  }[];
}

export interface GraphSpec extends Pick<Graph, 'inputs' | 'outputs' | 'inputDims'> {
  readonly nodes: readonly NodeSpec[];
  readonly constants?: ReadonlyMap<string, Tensor>;
}

export function graphFrom({ inputs, outputs, nodes, constants, inputDims }: GraphSpec): Graph {
  const values = new Map<string, StoredValue>();
  for (const [name, tensor] of constants ?? []) values.set(name, { tensor, role: 'frozen' });
  const built = nodes.map((node) => nodeFrom(node, values));
  return { inputs, outputs, nodes: built, values, ...(inputDims && { inputDims }) };
}

function nodeFrom(spec: NodeSpec, values: Map<string, StoredValue>): GraphNode {
  const { output, weight, bias, norm, parallel, inputs, ...settings } = spec;
  const store = (name: string, tensor: Tensor | undefined, role: Role = 'frozen'): string | undefined => {
    if (tensor === undefined) return undefined;
    values.set(`${output}.${name}`, { tensor, role });
    return `${output}.${name}`;
  };
  const node: object = { path: '', layer: 'Test', ...settings, outputs: [output] };
  const [first, addend] = inputs;
  if (norm !== undefined) {
    const isTraining = settings.momentum !== undefined;
    const role = isTraining ? 'statistic' : 'frozen';
    const statistics = [store('mean', norm.mean, role), store('variance', norm.variance, role)];
    const parameters = [store('gamma', norm.gamma), store('beta', norm.beta), ...statistics];
    const all = { inputs: [first, ...parameters, addend], eps: norm.eps, ...(isTraining && { updates: statistics }) };
    return { ...node, ...all } as unknown as GraphNode;
  }
  if (weight === undefined) return { ...node, inputs } as GraphNode;
  const more = parallel?.flatMap((kernel, i) => [store(`weight${i}`, kernel.weight), store(`bias${i}`, kernel.bias)]);
  const all: object = {
    inputs: [first, store('weight', weight), store('bias', bias), addend, ...(more ?? [])],
    ...(parallel && { parallel: parallel.map(({ window }) => ({ window })) }),
  };
  return { ...node, ...all } as GraphNode;
}

/** The parameters of a convolution or linear layer. */
export function parametersOf({ values }: Graph, node: GraphNode): { weight: Tensor; bias: Tensor | undefined } {
  const [weight, bias] = [1, 2].map((i) => values?.get(node.inputs[i]!)?.tensor);
  return { weight: weight!, bias };
}
