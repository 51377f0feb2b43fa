/** Shapes of a graph's values from the shapes of its inputs. */
import { type Dims, ruleOf } from '../ops/operation.js';
import { fail } from '../ops/shapeErrors.js';
import { fitsMemory, MAX_VALUES, sizeOf } from '../sizes.js';
import type { Graph, Node } from './graph.js';

const MOST_DIMS = 8;

/** @throws RangeError naming the layer, what it expects, and what came */
export function inferShapes(graph: Graph, inputDims: readonly Dims[]): Map<string, Dims> {
  const shapes = new Map<string, Dims>();
  graph.constants?.forEach((tensor, name) => {
    shapes.set(name, tensor.dims);
  });
  graph.inputs.forEach((name, i) => {
    shapes.set(name, inputDims[i]!);
  });
  for (const node of graph.nodes) {
    const dims = node.inputs.map((name) => shapes.get(name)!);
    for (const one of dims) checkSize(node, 'input', one);
    const output = ruleOf(node).dims(node, dims, (value) => shapes.get(value));
    checkSize(node, 'output', output);
    shapes.set(node.output, output);
  }
  return shapes;
}

/** What only moves values about has nothing to do where there are none; what computes refuses. */
function checkSize(node: Node, argument: string, dims: Dims): void {
  if (sizeOf(dims) === 0 && ruleOf(node).movesOnly !== true) fail(node, argument, dims, 'dims of at least 1');
  if (dims.length > MOST_DIMS) fail(node, argument, dims, `at most ${MOST_DIMS} dims`);
  if (!fitsMemory(dims)) fail(node, argument, dims, `at most ${MAX_VALUES} values`);
}
