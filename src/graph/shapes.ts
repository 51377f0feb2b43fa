/** Infers the shapes of a graph's values from its inputs': when it runs, and before that as far as they are known. */

import type { Dim, Dims, KnownDims, NamedDims } from '../nodes/dims.js';
import type { Optional } from '../nodes/node.js';
import { fail } from '../nodes/shapeErrors.js';
import { frontAxis } from '../ops/axes.js';
import { ruleOf } from '../ops/operation.js';
import { fitsMemory, MAX_VALUES, sizeOf } from '../sizes.js';
import type { Graph, GraphNode } from './graph.js';

const MAX_DIMS = 8;

/** @throws RangeError naming the layer, what it expects, and what came */
export function inferShapes(graph: Graph, inputDims: readonly Dims[]): Map<string, Dims> {
  const shapes = new Map<string, Dims>();
  graph.values?.forEach(({ tensor }, name) => {
    shapes.set(name, tensor.dims);
  });
  graph.inputs.forEach((name, i) => {
    shapes.set(name, inputDims[i]!);
  });
  for (const node of graph.nodes) {
    const dims = node.inputs.map((name) => shapes.get(name!));
    for (const one of dims) if (one !== undefined) checkSize(node, 'input', one);
    const dimOf = (value: string, axis: number): Dim => {
      const ofValue = shapes.get(value);
      return ofValue?.[frontAxis(node, axis, ofValue)];
    };
    const rule = ruleOf(node);
    // Given numbers, rules return numbers.
    const first = rule.dims(node, dims, dimOf) as Dims;
    [first, ...(rule.furtherDims?.(node, dims) ?? [])].forEach((output, i) => {
      checkSize(node, 'output', output);
      shapes.set(node.outputs[i]!, output);
    });
  }
  return shapes;
}

/** What is known of values' dims; undefined where not even the rank is. */
export type KnownShapes = ReadonlyMap<string, NamedDims | undefined>;

/** What is known of the dims of a graph's values before it runs. */
export function inferKnownShapes(graph: Graph): KnownShapes {
  const shapes = new Map<string, NamedDims | undefined>();
  for (const name of graph.inputs) {
    const dims = graph.inputDims
      ?.get(name)
      ?.map((dim, axis) => (typeof dim === 'number' ? dim : { value: name, axis }));
    shapes.set(name, dims);
  }
  graph.values?.forEach(({ tensor }, name) => {
    shapes.set(name, tensor.dims);
  });
  for (const node of graph.nodes)
    shapes.set(
      node.outputs[0],
      inferKnownDims(node, (name) => shapes.get(name)),
    );
  return shapes;
}

/**
 * What is known of the dims of a node's output. Dims that do not fit count as unknown; they are refused when the graph
 * runs.
 * @param dimsOf any value before it
 */
export function inferKnownDims(
  node: GraphNode,
  dimsOf: (value: string) => NamedDims | undefined,
): NamedDims | undefined {
  const rule = ruleOf(node);
  const names: readonly Optional[] = node.inputs;
  const inputs = names.map((name) => (name === undefined ? undefined : dimsOf(name)));
  const infer = (): KnownDims | undefined => {
    const areKnown = names.every((name, i) => name === undefined || inputs[i] !== undefined);
    if (!areKnown) return rule.dimsOfUnknown?.(node, inputs);
    return rule.dims(node, inputs, (value, axis) => dimsOf(value)?.at(axis) ?? { value, axis });
  };
  return attempt(infer)?.map((dim, axis) => dim ?? { value: node.outputs[0], axis });
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Operations that only move values accept empty ones; those that compute refuse them. */
function checkSize(node: GraphNode, argument: string, dims: Dims): void {
  if (sizeOf(dims) === 0 && ruleOf(node).movesOnly !== true) fail(node, argument, dims, 'dims of at least 1');
  if (dims.length > MAX_DIMS) fail(node, argument, dims, `at most ${MAX_DIMS} dims`);
  if (!fitsMemory(dims) || dims.some((dim) => !(dim >= 0))) fail(node, argument, dims, `at most ${MAX_VALUES} values`);
}
