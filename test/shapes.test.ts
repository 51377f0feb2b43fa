/** What is known of shapes before a graph runs, compared with those that it has when it does; unknown operations. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { useAllOperations } from '../src/graph/operations.js';
import { inferKnownShapes, inferShapes } from '../src/graph/shapes.js';
import { type Graph, printGraph, reparameterize, summarize } from '../src/index.js';
import { type RandomGraph, randomGraph } from './randomGraph.js';

const GRAPHS = 300;
const NODES = 12;

/** For each axis of an input whether its size is known beforehand. */
const KNOWLEDGE: readonly (readonly [name: string, isKnown: (axis: number) => boolean])[] = [
  ['all', () => true],
  ['all but the batch', (axis) => axis > 0],
  ['channels', (axis) => axis === 1],
  ['ranks', () => false],
];

function sourceGraph(made: RandomGraph): { graph: Graph; dims: (readonly number[])[] } {
  const graph = made.graph as unknown as Graph;
  return { graph, dims: graph.inputs.map((name) => made.inputs[name]!.dims) };
}

for (const [name, isKnown] of KNOWLEDGE) {
  test(`what is known holds when the graph runs, of inputs of which is known: ${name}`, () => {
    useAllOperations();
    let numbers = 0;
    for (let seed = 0; seed < GRAPHS; seed++) {
      const { graph, dims } = sourceGraph(randomGraph(seed, NODES));
      const inputDims = new Map(
        graph.inputs.map((input, i) => [
          input,
          dims[i]!.map((size, axis) => (isKnown(axis) ? size : `${input}.${axis}`)),
        ]),
      );
      const shapes = inferShapes(graph, dims);
      for (const [value, known] of inferKnownShapes({ ...graph, inputDims })) {
        const actual = shapes.get(value)!;
        if (known === undefined) {
          assert.is.not(name, 'all', `seed ${seed}: nothing is known of ${value}`);
          continue;
        }
        const sizes = known.map((dim) => (typeof dim === 'number' ? dim : shapes.get(dim.value)![dim.axis]));
        assert.equal(sizes, [...actual], `seed ${seed}: ${value}`);
        numbers += known.filter((dim) => typeof dim === 'number').length;
        if (name === 'all')
          assert.ok(
            known.every((dim) => typeof dim === 'number'),
            `seed ${seed}: ${value}`,
          );
      }
    }
    assert.ok(numbers > 0);
  });
}

test('without any dims of inputs, ranks follow from weights and targets', () => {
  useAllOperations();
  for (let seed = 0; seed < GRAPHS; seed++) {
    const { graph, dims } = sourceGraph(randomGraph(seed, NODES));
    const shapes = inferShapes(graph, dims);
    for (const [value, known] of inferKnownShapes({ ...graph, inputDims: new Map() })) {
      if (known !== undefined) assert.is(known.length, shapes.get(value)!.length, `seed ${seed}: ${value}`);
    }
  }
});

test('an operation that nobody knows is refused by name', () => {
  for (const op of ['convolve', 'constructor', '__proto__']) {
    const node = { op, path: 'body.0', layer: 'Layer', inputs: ['x'], outputs: ['y'] };
    const graph = { inputs: ['x'], outputs: ['y'], nodes: [node] } as unknown as Graph;
    for (const use of [printGraph, reparameterize, () => summarize(graph, [[1]])]) {
      assert.throws(
        () => use(graph),
        (error: Error) =>
          error instanceof RangeError &&
          error.message === `graph: op of Layer (body.0) must be the name of an operation, got "${op}"`,
        op,
      );
    }
  }
});

test.run();
