/**
 * Differentiation, Graph to Graph: walks the nodes backwards once, adds up what reaches a value, and puts behind the graph
 * the nodes that compute it. A gradient is a value like any other.
 *
 * It runs before fusing and knows the dims of all values. Rules define the gradient of each operation, see
 * src/train/gradients.
 */
import { addendOf, type Graph, type GraphNode, type StoredValue } from '../graph/graph.js';
import type { Dims } from '../nodes/dims.js';
import type { NodeBase, Optional } from '../nodes/node.js';
import { binary } from '../ops/binary.js';
import { type OperationRule, useOperation } from '../ops/operation.js';
import { showName } from '../shown.js';
import type { Tensor } from '../tensor.js';
import { PassValues } from './pass.js';

/** What a rule may ask and do. */
export interface Backward {
  /** Whether the gradient of a value is needed. */
  needs(value: Optional): value is string;
  dims(value: string): Dims;
  /** What has reached a value so far. */
  gradientOf(value: string): Optional;
  /** Adds a node, and registers the rule of its operation; returns the names of all its outputs. */
  emit<N extends NodeBase>(node: Omit<N, 'outputs'>, rule: OperationRule<N>, outputs?: number): [string, ...string[]];
  /** Stores a constant; returns the name to read it by. */
  store(base: string, tensor: Tensor): string;
}

/**
 * Adds nodes that compute the gradients of a node's inputs.
 * @param gradient of its first output
 * @returns one for each input in order, undefined for those that are not needed or have none
 */
export type GradientRule<N extends NodeBase = NodeBase> = (
  node: N,
  gradient: string,
  backward: Backward,
) => readonly Optional[];

export interface Differentiated {
  /** The given graph with more nodes and the same outputs. */
  readonly graph: Graph;
  /** By the names of the wanted values; one that does not affect the seeds has none. */
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * @param shapes dims of all values
 * @param seeds values of the graph, and for each the value that is its gradient
 * @param wanted values whose gradients are asked for: inputs, stored values
 * @throws RangeError naming an operation that has no rule
 */
export function differentiate(
  graph: Graph,
  shapes: ReadonlyMap<string, Dims>,
  seeds: ReadonlyMap<string, string>,
  wanted: Iterable<string>,
  ruleOf: (op: string) => GradientRule | undefined,
): Differentiated {
  const tape = new Tape(graph, shapes, wanted);
  for (const [value, gradient] of seeds) tape.add(value, gradient, graph.nodes.at(-1)!);
  for (const node of [...graph.nodes].reverse()) {
    const gradient = tape.gradientOf(node.outputs[0]);
    if (gradient === undefined || !node.inputs.some((name) => tape.needs(name))) continue;
    const rule = ruleOf(node.op);
    if (rule === undefined) throw refusal(node, 'has no gradient');
    if (isFused(node)) throw refusal(node, 'must be differentiated before anything is fused into it');
    rule(node, gradient, tape).forEach((ofInput, i) => {
      if (ofInput !== undefined) tape.add(node.inputs[i]!, ofInput, node);
    });
  }
  return tape.finish(wanted);
}

/** The values whose gradients are wanted, and all that depend on them. */
export function dependents(graph: Graph, wanted: Iterable<string>): ReadonlySet<string> {
  const needed = new Set(wanted);
  for (const { inputs, outputs } of graph.nodes) {
    if (inputs.some((name) => name !== undefined && needed.has(name))) for (const name of outputs) needed.add(name);
  }
  return needed;
}

function isFused(node: GraphNode): boolean {
  const { relu, parallel } = node as { relu?: boolean; parallel?: unknown };
  return relu === true || parallel !== undefined || addendOf(node) !== undefined;
}

function refusal({ op, layer, path }: GraphNode, why: string): RangeError {
  return new RangeError(
    `differentiate: ${op} of ${showName(layer)}${path === '' ? '' : ` (${showName(path)})`} ${why}`,
  );
}

/** The nodes so far, and the gradients of values. */
class Tape implements Backward {
  readonly #graph: Graph;
  readonly #nodes: GraphNode[];
  readonly #constants = new Map<string, StoredValue>();
  readonly #names: PassValues;
  readonly #shapes: ReadonlyMap<string, Dims>;
  readonly #gradients = new Map<string, string>();
  readonly #needed: ReadonlySet<string>;

  constructor(graph: Graph, shapes: ReadonlyMap<string, Dims>, wanted: Iterable<string>) {
    this.#graph = graph;
    this.#nodes = [...graph.nodes];
    this.#names = new PassValues(graph);
    this.#shapes = shapes;
    this.#needed = dependents(graph, wanted);
  }

  needs(value: Optional): value is string {
    return value !== undefined && this.#needed.has(value);
  }

  dims(value: string): Dims {
    return this.#shapes.get(value)!;
  }

  gradientOf(value: string): Optional {
    return this.#gradients.get(value);
  }

  /** Adds to the gradient of a value, for the input of a node. */
  add(value: string, gradient: string, { path, layer }: NodeBase): void {
    if (!this.needs(value)) return;
    const sum = this.#gradients.get(value);
    const both = sum && this.emit({ op: 'add', path, layer, inputs: [sum, gradient] }, binary)[0];
    this.#gradients.set(value, both ?? gradient);
  }

  emit<N extends NodeBase>(node: Omit<N, 'outputs'>, rule: OperationRule<N>, count = 1): [string, ...string[]] {
    useOperation(node.op, rule as OperationRule);
    const outputs = Array.from({ length: count }, () => this.#names.newName(`gradient${this.#nodes.length}`));
    // The executor follows rules, and later passes only look for operations that they know.
    this.#nodes.push({ ...node, outputs } as unknown as GraphNode);
    return outputs as [string, ...string[]];
  }

  store(base: string, tensor: Tensor): string {
    const name = this.#names.newName(base);
    this.#constants.set(name, { tensor, role: 'frozen' });
    return name;
  }

  finish(wanted: Iterable<string>): Differentiated {
    const gradients = new Map<string, string>();
    for (const name of wanted) {
      const gradient = this.#gradients.get(name);
      if (gradient !== undefined) gradients.set(name, gradient);
    }
    const values = new Map([...(this.#graph.values ?? []), ...this.#constants]);
    // A rounding error that pushes a value across a ReLU's kink changes gradients, and all that is learnt from them.
    // Gradients themselves pass no kinks.
    const given = this.#graph.nodes.length;
    const nodes = this.#nodes.map((node, i) => (node.op === 'conv2d' && i < given ? { ...node, precise: true } : node));
    return { graph: { ...this.#graph, nodes, values }, gradients };
  }
}
