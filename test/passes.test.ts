/**
 * reparameterize: what is merged and folded, what is left alone, and that the function stays the same. Graphs are run in
 * float64 before and after; the difference is that of weights rounded to float32, measured against the sum of
 * magnitudes that went into each output.
 */
import { readFileSync } from 'node:fs';
import {
  ACBlock,
  type ACBlockOptions,
  type Graph,
  type GraphNode,
  InferenceSession,
  printGraph,
  readOnnx,
  reparameterize,
  summarize,
  type Tensor,
  toGraph,
} from 'acnet-wasm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runGraph } from './graphOracle.js';
import { graphFrom, type NodeSpec, parametersOf } from './graphSpec.js';
import { largestMagnitude, type Nd } from './oracle.js';
import { randomGraph } from './randomGraph.js';
import {
  largestDifference,
  randomNd,
  readFixture,
  relativeError,
  sameBits,
  seededRandom,
  supportedBuilds,
  take,
  toTensor,
  withRuntime,
} from './support.js';

type Op<K extends GraphNode['op']> = GraphNode & { readonly op: K };
type Four = readonly [number, number, number, number];

const SEED = 20190811;
/** Rounding of a float32. */
const ROUNDING = 2 ** -24;
const END = 2 ** 31 - 1;

interface ConvSpec {
  out?: number;
  kernel?: readonly [number, number];
  stride?: readonly [number, number];
  dilation?: readonly [number, number];
  pads?: Four;
  groups?: number;
  bias?: boolean;
  paddingMode?: Op<'conv2d'>['paddingMode'];
  relu?: boolean;
}

/** Writes graphs down, node by node, with random parameters. */
class Builder {
  readonly nodes: NodeSpec[] = [];
  readonly constants = new Map<string, Tensor>();
  readonly channels = new Map<string, number>();
  readonly random: () => number;

  constructor(channels: number, seed = 1) {
    this.channels.set('x', channels);
    this.random = seededRandom(seed);
  }

  add(node: Record<string, unknown>, channels: number | undefined, output = `${node.op}${this.nodes.length}`): string {
    this.nodes.push({ path: `layer${this.nodes.length}`, ...node, output } as unknown as NodeSpec);
    if (channels !== undefined) this.channels.set(output, channels);
    return output;
  }

  tensor(dims: readonly number[], low = -1, high = 1): Tensor {
    return toTensor(randomNd(this.random, dims, low, high));
  }

  conv(input: string, spec: ConvSpec = {}, output?: string): string {
    const { kernel = [3, 3], stride = [1, 1], dilation = [1, 1], groups = 1, paddingMode = 'zeros' } = spec;
    const inChannels = this.channels.get(input)!;
    const out = spec.out ?? inChannels;
    const pads = spec.pads ?? samePads(kernel, dilation);
    const weight = this.tensor([out, inChannels / groups, ...kernel]);
    const bias = spec.bias === true ? this.tensor([out]) : undefined;
    const window = { kernel, stride, dilation, pads };
    const flags = spec.relu === true ? { relu: true } : {};
    return this.add(
      { op: 'conv2d', inputs: [input], weight, bias, window, paddingMode, groups, ...flags },
      out,
      output,
    );
  }

  norm(input: string, output?: string, momentum?: number): string {
    const channels = this.channels.get(input)!;
    const norm = {
      gamma: this.tensor([channels]),
      beta: this.tensor([channels]),
      mean: this.tensor([channels]),
      variance: this.tensor([channels], 0.1, 2),
      eps: 1e-5,
    };
    return this.add({ op: 'batchNorm', inputs: [input], norm, momentum }, channels, output);
  }

  unit(input: string, spec: ConvSpec = {}): string {
    return this.norm(this.conv(input, spec));
  }

  binary(op: 'add' | 'sub' | 'mul' | 'div', a: string, b: string, output?: string, relu = false): string {
    const channels = this.channels.get(a) ?? this.channels.get(b);
    return this.add({ op, inputs: [a, b], ...(relu && { relu }) }, channels, output);
  }

  sum(...terms: string[]): string {
    return terms.reduce((total, term) => this.binary('add', total, term));
  }

  constant(dims: readonly number[], low = 0.5, high = 2): string {
    const name = `constant${this.constants.size}`;
    this.constants.set(name, this.tensor(dims, low, high));
    return name;
  }

  simple(op: 'relu' | 'identity', input: string, output?: string): string {
    return this.add({ op, inputs: [input] }, this.channels.get(input), output);
  }

  crop(input: string, starts: readonly number[], ends: readonly number[], axes: readonly number[] = [2, 3]): string {
    const steps = axes.map(() => 1);
    return this.add({ op: 'slice', inputs: [input], axes, starts, ends, steps }, this.channels.get(input));
  }

  pad(input: string, [top, left, bottom, right]: Four, mode: Op<'pad'>['mode'] = 'constant', value = 0): string {
    const pads = [0, 0, top, left, 0, 0, bottom, right];
    return this.add({ op: 'pad', inputs: [input], pads, mode, value }, this.channels.get(input));
  }

  avgPool(input: string, kernel: readonly [number, number], pads: Four, countIncludePad = true): string {
    const window = { kernel, stride: [1, 1], dilation: [1, 1], pads };
    const node = { op: 'avgPool2d', inputs: [input], window, ceilMode: false, countIncludePad };
    return this.add(node, this.channels.get(input));
  }

  graph(outputs: readonly string[], inputDims?: readonly (number | string)[]): Graph {
    const dims = inputDims ?? ['N', this.channels.get('x')!, 'H', 'W'];
    const { nodes, constants } = this;
    return graphFrom({ inputs: ['x'], outputs, nodes, constants, inputDims: new Map([['x', dims]]) });
  }
}

function samePads(kernel: readonly [number, number], dilation: readonly [number, number] = [1, 1]): Four {
  const total = kernel.map((size, axis) => dilation[axis]! * (size - 1)) as [number, number];
  const before = total.map((size) => Math.floor(size / 2)) as [number, number];
  return [before[0], before[1], total[0] - before[0], total[1] - before[1]];
}

/** Runs the pass and compares the functions; the given graph must not change. */
function check(graph: Graph, size: readonly [number, number] = [9, 10], batch = 2): ReturnType<typeof reparameterize> {
  const before = printGraph(graph);
  const result = reparameterize(graph);
  assert.is(printGraph(graph), before, 'the given graph is unchanged');
  assert.equal(result.graph.inputs, graph.inputs);
  assert.equal(result.graph.outputs, graph.outputs);
  const feeds = { x: feed(graph, size, batch) };
  const expected = runGraph(graph, feeds);
  const scale = runGraph(graph, feeds, true);
  const actual = runGraph(result.graph, feeds);
  for (const name of graph.outputs) {
    const [got, wanted, magnitude] = [actual[name]!, expected[name]!, scale[name]!];
    assert.equal([...got.dims], [...wanted.dims], `${name}: dims`);
    for (let i = 0; i < wanted.data.length; i++) {
      const allowed = ROUNDING * (graph.nodes.length + 1) * magnitude.data[i]!;
      const difference = Math.abs(got.data[i]! - wanted.data[i]!);
      assert.ok(
        difference <= allowed,
        `${name}[${i}]: ${got.data[i]} after, ${wanted.data[i]} before, allowed ${allowed}`,
      );
    }
  }
  const again = reparameterize(result.graph);
  assert.is(again.graph, result.graph, 'a second time there is nothing to do');
  return result;
}

function feed(graph: Graph, size: readonly [number, number], batch: number): Nd {
  const given = graph.inputDims!.get('x')!;
  const first = graph.nodes.find((node): node is Op<'conv2d'> => node.op === 'conv2d');
  const channels =
    typeof given[1] === 'number' ? given[1] : parametersOf(graph, first!).weight.dims[1]! * first!.groups;
  const dims = given.length === 4 ? [batch, channels, ...size] : [batch, channels];
  const known = dims.map((value, axis) => (typeof given[axis] === 'number' ? (given[axis] as number) : value));
  return randomNd(seededRandom(99), known);
}

/** Operations of the result, in order. */
function ops({ graph }: { graph: Graph }): string[] {
  return graph.nodes.map(({ op }) => op);
}

function expectOneConv(
  graph: Graph,
  branches: number,
  kernel: readonly [number, number],
  size?: [number, number],
): Op<'conv2d'> {
  const result = check(graph, size);
  assert.equal(ops(result), ['conv2d'], printGraph(result.graph));
  assert.equal(result.merged, [{ output: graph.outputs[0]!, branches, kernel }]);
  return result.graph.nodes[0] as Op<'conv2d'>;
}

function expectUnmerged(graph: Graph, size?: [number, number]): void {
  assert.equal(check(graph, size).merged, []);
}

/* Blocks. */

test('an ACBlock is one convolution', () => {
  const b = new Builder(4);
  const square = b.unit('x');
  const y = b.sum(square, b.unit('x', { kernel: [3, 1] }), b.unit('x', { kernel: [1, 3] }));
  const conv = expectOneConv(b.graph([y]), 3, [3, 3]);
  assert.equal(conv.window.pads, [1, 1, 1, 1]);
  assert.ok(conv.inputs[2] !== undefined);
});

test('an ACBlock without padding crops the input of its branches', () => {
  const b = new Builder(4);
  const ver = b.unit(b.crop('x', [0, 1], [END, -1]), { kernel: [3, 1], pads: [0, 0, 0, 0] });
  const hor = b.unit(b.crop('x', [1], [-1], [2]), { kernel: [1, 3], pads: [0, 0, 0, 0] });
  const y = b.sum(b.unit('x', { pads: [0, 0, 0, 0] }), ver, hor);
  assert.equal(expectOneConv(b.graph([y]), 3, [3, 3]).window.pads, [0, 0, 0, 0]);
});

test('a RepVGG block: 3 x 3, 1 x 1, BatchNorm of the input', () => {
  for (const groups of [1, 2, 4]) {
    const b = new Builder(4);
    const y = b.sum(b.norm('x'), b.unit('x', { groups }), b.unit('x', { kernel: [1, 1], groups }));
    expectOneConv(b.graph([y]), 3, [3, 3]);
  }
});

test('an average pooling and the input itself', () => {
  const b = new Builder(3);
  const y = b.sum('x', b.conv('x', { kernel: [5, 5] }), b.avgPool('x', [3, 3], [1, 1, 1, 1]));
  expectOneConv(b.graph([y]), 3, [5, 5]);
});

test('the input times a constant', () => {
  for (const op of ['mul', 'sub'] as const) {
    const b = new Builder(3);
    const y = b.sum(b.conv('x'), b.binary(op, 'x', b.constant([3, 1, 1])));
    expectOneConv(b.graph([y], ['N', 'C', 'H', 'W']), 2, [3, 3]);
    const c = new Builder(3);
    expectUnmerged(c.graph([c.sum(c.conv('x'), c.binary(op, 'x', c.constant([9, 1])))]));
  }
});

test('a pooling that does not count padding divides by a varying number', () => {
  const b = new Builder(3);
  expectUnmerged(b.graph([b.sum(b.conv('x'), b.avgPool('x', [3, 3], [1, 1, 1, 1], false))]));
});

test('dilation: taps on the grid of the other kernel', () => {
  const b = new Builder(4);
  const square = b.conv('x', { dilation: [2, 2] });
  const ver = b.conv('x', { kernel: [3, 1], dilation: [2, 1] });
  const y = b.sum(square, ver, b.conv('x', { kernel: [1, 1], bias: true }));
  assert.equal(expectOneConv(b.graph([y]), 3, [3, 3]).window.dilation, [2, 2]);
});

test('dilation: taps between those of the other kernel stay apart', () => {
  const b = new Builder(4);
  expectUnmerged(b.graph([b.sum(b.conv('x', { dilation: [2, 2] }), b.conv('x'))]));
  // The finer grid of 5 x 5 has all taps of the dilated kernel.
  const c = new Builder(4);
  expectOneConv(c.graph([c.sum(c.conv('x', { dilation: [2, 2] }), c.conv('x', { kernel: [5, 5] }))]), 2, [5, 5]);
});

test('windows that are not aligned: the larger one that has all taps, if that costs no more', () => {
  const b = new Builder(2);
  const y = b.sum(b.conv('x', { pads: [2, 1, 0, 1] }), b.conv('x', { pads: [1, 1, 1, 1] }));
  assert.equal(expectOneConv(b.graph([y]), 2, [4, 3]).window.pads, [2, 1, 1, 1]);
  const c = new Builder(2);
  expectUnmerged(c.graph([c.sum(c.conv('x', { kernel: [3, 1] }), c.conv('x', { kernel: [1, 3] }))]));
});

test('groups: the coarser ones, if that costs no more', () => {
  const b = new Builder(8);
  expectOneConv(b.graph([b.sum(b.conv('x', { groups: 2 }), b.conv('x', { kernel: [1, 1], groups: 4 }))]), 2, [3, 3]);
  const c = new Builder(8);
  expectOneConv(c.graph([c.sum(c.conv('x'), c.conv('x', { groups: 8, kernel: [3, 1] }))]), 2, [3, 3]);
  const d = new Builder(8);
  expectUnmerged(d.graph([d.sum(d.conv('x', { groups: 8 }), d.conv('x', { kernel: [1, 1] }))]));
  const e = new Builder(12);
  expectUnmerged(e.graph([e.sum(e.conv('x', { groups: 4 }), e.conv('x', { groups: 6 }))]));
});

test('strides that differ stay apart, equal ones do not', () => {
  const b = new Builder(3);
  const y = b.sum(b.conv('x', { stride: [2, 2] }), b.conv('x', { kernel: [1, 1], stride: [2, 2] }));
  expectOneConv(b.graph([y]), 2, [3, 3]);
  const c = new Builder(3);
  const whole = c.conv('x', { kernel: [9, 10], pads: [0, 0, 0, 0], stride: [2, 1] });
  expectUnmerged(c.graph([c.sum(whole, c.conv('x', { kernel: [9, 10], pads: [0, 0, 0, 0] }))]));
});

test('outputs that could be of different sizes, where the input says that they are not', () => {
  const build = (dims?: readonly (number | string)[]) => {
    const b = new Builder(3);
    const square = b.conv('x', { stride: [2, 2], pads: [0, 0, 1, 1] });
    const point = b.conv('x', { kernel: [1, 1], stride: [2, 2], pads: [0, 0, 0, 0] });
    return b.graph([b.sum(point, square)], dims);
  };
  expectOneConv(build(['N', 3, 8, 10]), 2, [3, 3], [8, 10]);
  expectUnmerged(build(), [8, 10]);
});

test('an output of one pixel that is broadcast stays apart', () => {
  const b = new Builder(3);
  expectUnmerged(b.graph([b.sum(b.conv('x'), b.conv('x', { kernel: [9, 10], pads: [0, 0, 0, 0] }))]));
  const c = new Builder(3);
  expectUnmerged(c.graph([c.sum(c.conv('x', { out: 1 }), c.conv('x'))]));
});

test('padding modes', () => {
  for (const paddingMode of ['reflect', 'replicate', 'circular'] as const) {
    const b = new Builder(3);
    const y = b.sum(
      b.unit('x', { paddingMode }),
      b.unit('x', { kernel: [3, 1], pads: [1, 0, 1, 0], paddingMode }),
      b.unit('x', { kernel: [1, 1] }),
      b.norm('x'),
    );
    assert.is(expectOneConv(b.graph([y]), 4, [3, 3]).paddingMode, paddingMode);
    const c = new Builder(3);
    expectUnmerged(c.graph([c.sum(c.conv('x', { paddingMode }), c.conv('x'))]));
  }
});

/* Sums. */

test('any association, other terms stay', () => {
  const shapes: ((b: Builder, t: string[]) => string)[] = [
    (b, [p, q, r, s, t]) => b.sum(p!, q!, r!, s!, t!),
    (b, [p, q, r, s, t]) => b.sum(p!, b.sum(q!, b.sum(r!, b.sum(s!, t!)))),
    (b, [p, q, r, s, t]) => b.sum(b.sum(p!, s!), b.sum(q!, b.sum(t!, r!))),
    (b, [p, q, r, s, t]) => b.sum(s!, b.sum(p!, q!), t!, r!),
  ];
  for (const shape of shapes) {
    const b = new Builder(3);
    const other = b.simple('relu', b.conv('x'));
    const terms = [b.unit('x'), b.unit('x', { kernel: [3, 1] }), b.unit('x', { kernel: [1, 3] }), other, 'x'];
    // A product reads the input too, so that it is not just an identity beside convolutions.
    const y = shape(b, terms);
    const result = check(b.graph([y]));
    assert.equal(ops(result), ['conv2d', 'relu', 'conv2d', 'add']);
    assert.equal(
      result.merged.map(({ branches, kernel }) => ({ branches, kernel })),
      [{ branches: 4, kernel: [3, 3] }],
    );
    assert.ok(result.graph.nodes.some(({ outputs }) => outputs[0] === result.merged[0]!.output));
  }
});

test('a merged sum keeps its name where other terms are added to it', () => {
  const b = new Builder(3);
  const block = b.sum(b.unit('x'), b.unit('x', { kernel: [3, 1] }));
  const y = b.sum(block, b.simple('relu', 'x'));
  const result = check(b.graph([y]));
  assert.equal(result.merged, [{ output: block, branches: 2, kernel: [3, 3] }]);
});

test('sums of several inputs: a convolution for each', () => {
  const b = new Builder(3);
  const z = b.simple('relu', 'x');
  const y = b.sum(b.conv('x'), b.conv(z), b.conv('x', { kernel: [1, 1] }), b.conv(z, { kernel: [1, 3] }));
  const result = check(b.graph([y]));
  assert.equal(ops(result), ['relu', 'conv2d', 'conv2d', 'add']);
  assert.is(result.merged.length, 2);
});

test('the same branch twice', () => {
  const b = new Builder(3);
  const branch = b.conv('x', { bias: true });
  expectOneConv(b.graph([b.sum(branch, branch, b.conv('x', { kernel: [1, 1] }))]), 3, [3, 3]);
});

test('a branch or a sum that is read elsewhere is left alone', () => {
  const b = new Builder(3);
  const shared = b.conv('x');
  const y = b.sum(shared, b.conv('x', { kernel: [1, 1] }));
  expectUnmerged(b.graph([y, b.simple('relu', shared)]));
  expectUnmerged(b.graph([y, shared]));
  const c = new Builder(3);
  const inner = c.sum(c.simple('relu', 'x'), c.conv('x'));
  const outer = c.sum(inner, c.conv('x', { kernel: [1, 1] }));
  expectUnmerged(c.graph([outer, inner]));
});

test('an activation in between stops it, one at the end stays', () => {
  const b = new Builder(3);
  const inner = b.binary('add', b.simple('relu', 'x'), b.conv('x'), undefined, true);
  expectUnmerged(b.graph([b.sum(inner, b.conv('x', { kernel: [1, 1] }))]));
  const c = new Builder(3);
  expectUnmerged(c.graph([c.sum(c.conv('x', { relu: true }), c.conv('x', { kernel: [1, 1] }))]));
  const d = new Builder(3);
  const y = d.binary('add', d.conv('x'), d.conv('x', { kernel: [1, 1] }), undefined, true);
  assert.is(expectOneConv(d.graph([y]), 2, [3, 3]).relu, true);
});

test('a sum of sums with a BatchNorm between: one convolution that counts all', () => {
  const b = new Builder(3);
  const inner = b.norm(b.sum(b.unit('x'), b.unit('x', { kernel: [3, 1] })));
  expectOneConv(b.graph([b.sum(inner, b.unit('x', { kernel: [1, 1] }))]), 3, [3, 3]);
});

test('batch statistics are left alone', () => {
  const b = new Builder(3);
  const y = b.sum(b.norm(b.conv('x'), undefined, 0.1), b.conv('x', { kernel: [1, 1] }));
  const graph = b.graph([y]);
  assert.is(reparameterize(graph).graph, graph);
  const d = new Builder(3);
  expectUnmerged(d.graph([d.sum(d.norm('x', undefined, 0.1), d.conv('x'))]));
  const c = new Builder(3);
  c.norm('x', 'unread', 0.1);
  const unread = c.graph([c.conv('x')]);
  assert.is(reparameterize(unread).graph, unread, 'nor is one that nobody reads dropped: it moves its statistics');
});

test('weights that are not finite are left alone', () => {
  const b = new Builder(3);
  const infinite = b.conv('x');
  b.nodes[0]!.weight!.data[4] = Number.POSITIVE_INFINITY;
  const graph = b.graph([b.sum(infinite, b.conv('x', { kernel: [1, 1] }))]);
  assert.is(reparameterize(graph).graph, graph);
});

test('what is computed in float64 is rounded once', () => {
  const b = new Builder(8);
  const point: ConvSpec = { kernel: [1, 1], pads: [0, 0, 0, 0], groups: 8 };
  const scaled = b.binary('mul', b.binary('mul', b.conv('x', point), b.constant([])), b.constant([8, 1, 1]));
  const y = b.sum(scaled, b.conv('x', point));
  const [first, second] = [b.nodes[0], b.nodes[3]].map((node) => node!.weight!.data);
  const [p, q] = [...b.constants.values()].map(({ data }) => data);
  const { graph } = reparameterize(b.graph([y]));
  const { weight } = parametersOf(graph, graph.nodes[0]!);
  for (const [o, value] of weight.data.entries()) {
    assert.is(value, Math.fround(first![o]! * p![0]! * q![o]! + second![o]!));
  }
});

/* BatchNorms and constants. */

test('BatchNorm behind a convolution, with bias, in every padding mode', () => {
  for (const paddingMode of ['zeros', 'reflect', 'replicate', 'circular'] as const) {
    for (const bias of [false, true]) {
      const b = new Builder(4);
      const y = b.norm(b.norm(b.conv('x', { paddingMode, bias, groups: 2, out: 6 })));
      assert.equal(ops(check(b.graph([y]))), ['conv2d']);
    }
  }
});

test('BatchNorm before a convolution, where nothing is padded with zeros', () => {
  const run = (spec: ConvSpec) => {
    const b = new Builder(4);
    return ops(check(b.graph([b.conv(b.norm('x'), spec)])));
  };
  assert.equal(run({ pads: [0, 0, 0, 0], groups: 2 }), ['conv2d']);
  assert.equal(run({ pads: [-1, 0, 0, -1], bias: true }), ['conv2d']);
  assert.equal(run({ kernel: [1, 1] }), ['conv2d']);
  assert.equal(run({ paddingMode: 'reflect' }), ['conv2d']);
  assert.equal(run({ pads: [0, 0, 0, 1] }), ['batchNorm', 'conv2d']);
  const b = new Builder(4);
  const scaled = b.binary('mul', 'x', b.constant([4, 1, 1]));
  assert.equal(ops(check(b.graph([b.conv(scaled)]))), ['conv2d'], 'without a shift zeros stay zeros');
  const c = new Builder(4);
  assert.equal(ops(check(c.graph([c.conv(c.binary('add', 'x', c.constant([4, 1, 1])))]))), ['add', 'conv2d']);
});

test('a BatchNorm that is read elsewhere, or has an activation, is left alone', () => {
  const b = new Builder(4);
  const norm = b.norm('x');
  assert.equal(ops(check(b.graph([b.conv(norm, { kernel: [1, 1] }), norm]))), ['batchNorm', 'conv2d']);
  const c = new Builder(4);
  const y = c.norm(c.conv('x', { relu: true }));
  assert.equal(ops(check(c.graph([y]))), ['conv2d', 'batchNorm']);
  for (const more of [{ relu: true }, { inputs: ['x', 'other'] }]) {
    const d = new Builder(4);
    const { channels, nodes } = d;
    d.simple('relu', 'x', 'other');
    const own = d.norm('x');
    nodes[1] = { ...nodes[1]!, ...more };
    assert.equal(ops(check(d.graph([d.norm(own)]))).slice(-2), ['batchNorm', 'batchNorm']);
    nodes.pop();
    channels.set(own, 4);
    assert.equal(ops(check(d.graph([d.conv(own, { kernel: [1, 1] })]))).slice(-2), ['batchNorm', 'conv2d']);
  }
});

test('a residual and an activation behind the BatchNorm go with it', () => {
  const b = new Builder(4);
  b.norm(b.conv('x'), 'y');
  b.nodes[1] = { ...b.nodes[1]!, inputs: [b.nodes[0]!.output, 'x'], relu: true } as NodeSpec;
  const result = check(b.graph(['y']));
  assert.equal(ops(result), ['conv2d']);
  const [image, , , addend] = result.graph.nodes[0]!.inputs;
  assert.equal([image, addend], ['x', 'x']);
});

test('constants per channel', () => {
  for (const op of ['add', 'sub', 'mul', 'div'] as const) {
    for (const dims of [[1, 4, 1, 1], [4, 1, 1], [1, 1, 1, 1], [1], []]) {
      const b = new Builder(4);
      const y = b.binary(op, b.conv('x', { bias: true }), b.constant(dims));
      assert.equal(ops(check(b.graph([y]))), ['conv2d'], `${op} [${dims}]`);
      if (op === 'div') continue;
      const c = new Builder(4);
      const left = c.binary(op, c.constant(dims), c.conv('x'));
      assert.equal(ops(check(c.graph([left]))), ['conv2d'], `[${dims}] ${op}`);
    }
  }
  const b = new Builder(4);
  assert.equal(ops(check(b.graph([b.binary('div', b.constant([4, 1, 1]), b.conv('x'))]))), ['conv2d', 'div']);
});

test('constants that are not per channel, or broadcast, are left alone', () => {
  for (const [dims, out] of [
    [[4], 4],
    [[4, 10], 4],
    [[1, 1, 4, 1], 4],
    [[1, 4, 9, 10], 4],
    [[1, 4, 1, 1], 1],
    [[1, 1, 4, 1, 1], 4],
    [[2, 4, 1, 1], 4],
  ] as const) {
    const b = new Builder(2);
    const y = b.binary('mul', b.conv('x', { out }), b.constant(dims));
    assert.equal(ops(reparameterize(b.graph([y]))), ['conv2d', 'mul'], `[${dims}]`);
  }
  // The value before may be smaller than what comes out.
  const b = new Builder(1);
  const y = b.binary('mul', 'x', b.constant([1, 4, 1, 1]));
  b.channels.set(y, 4);
  assert.equal(ops(check(b.graph([b.conv(y, { kernel: [1, 1] })]))), ['mul', 'conv2d']);
});

test('linear layers', () => {
  const b = new Builder(5);
  const weight = b.tensor([3, 5]);
  const before = b.norm(b.binary('add', 'x', b.constant([5])));
  const y = b.add({ op: 'linear', inputs: [before], weight, bias: undefined }, 3);
  const z = b.norm(b.binary('sub', b.binary('mul', y, b.constant([1, 3])), b.constant([3])));
  assert.equal(ops(check(b.graph([z], ['N', 5]))), ['linear']);
});

test('factors and terms without a convolution become one BatchNorm', () => {
  const b = new Builder(3);
  const y = b.binary(
    'add',
    b.binary('mul', b.norm(b.simple('relu', 'x')), b.constant([3, 1, 1])),
    b.constant([3, 1, 1]),
  );
  assert.equal(ops(check(b.graph([b.simple('relu', y)]))), ['relu', 'batchNorm', 'relu']);
});

/* Slices and pads. */

test('crops are negative pads', () => {
  const run = (
    crop: readonly number[],
    end: readonly number[],
    spec: ConvSpec,
    dims?: readonly (number | string)[],
  ) => {
    const b = new Builder(2);
    const y = b.conv(b.crop('x', crop, end), spec);
    const { graph } = check(b.graph([y], dims));
    return graph.nodes.length === 1 ? (graph.nodes[0] as Op<'conv2d'>).window.pads : undefined;
  };
  assert.equal(run([1, 2], [-3, END], { pads: [0, 0, 0, 0] }), [-1, -2, -3, 0]);
  assert.equal(run([1, 0], [END, END], { pads: [0, 2, 1, 1] }), [-1, 2, 1, 1]);
  assert.equal(run([1, 0], [END, END], { pads: [1, 0, 0, 0] }), undefined, 'cropped rows do not come back as padding');
  assert.equal(run([1, 0], [-1, END], { pads: [-1, 0, -1, 0] }), [-2, 0, -2, 0]);
  assert.equal(
    run([1, 0], [8, END], { pads: [0, 0, 0, 0] }),
    undefined,
    'where 8 is, counted from the end, is not known',
  );
  assert.equal(run([1, 0], [END, END], { paddingMode: 'circular', pads: [0, 1, 0, 1] }), [-1, 1, 0, 1]);
  assert.equal(run([1, 0], [END, END], { paddingMode: 'circular', pads: [0, 0, 1, 0] }), undefined);
});

test('crops that are counted from the start, where the size is known', () => {
  const run = (dims?: readonly (number | string)[]) => {
    const b = new Builder(2);
    const { graph } = check(b.graph([b.conv(b.crop('x', [1, -9], [8, 9]), { pads: [0, 0, 0, 0] })], dims));
    return graph.nodes.length === 1 ? (graph.nodes[0] as Op<'conv2d'>).window.pads : undefined;
  };
  assert.equal(run(['N', 2, 9, 10]), [-1, -1, -1, -1]);
  assert.equal(run(['N', 2, 'H', 10]), undefined);
});

test('a slice that others read stays for them', () => {
  const b = new Builder(2);
  const crop = b.crop('x', [1, 1], [-1, -1]);
  const y = b.sum(b.conv(crop, { pads: [0, 0, 0, 0] }), b.conv('x', { kernel: [5, 5], pads: [0, 0, 0, 0] }));
  const result = check(b.graph([y, crop]));
  assert.equal(ops(result), ['slice', 'conv2d']);
  assert.equal(result.merged[0]!.kernel, [5, 5]);
});

test('slices of batch or channels, or with steps, are left alone', () => {
  const b = new Builder(4);
  const y = b.conv(b.add({ op: 'slice', inputs: ['x'], axes: [1], starts: [1], ends: [END], steps: [1] }, 3));
  assert.equal(ops(check(b.graph([y]))), ['slice', 'conv2d']);
  const c = new Builder(2);
  const z = c.conv(c.add({ op: 'slice', inputs: ['x'], axes: [2], starts: [0], ends: [END], steps: [2] }, 2));
  assert.equal(ops(reparameterize(c.graph([z]))), ['slice', 'conv2d']);
});

test('slices of axes that images do not have are left alone', () => {
  for (const axis of [4, 2 ** 24 - 1, -5]) {
    const b = new Builder(2);
    const y = b.conv(b.add({ op: 'slice', inputs: ['x'], axes: [axis], starts: [1], ends: [END], steps: [1] }, 2));
    assert.equal(ops(reparameterize(b.graph([y]))), ['slice', 'conv2d'], `${axis}`);
  }
});

test('pads', () => {
  const run = (
    pads: Four,
    spec: ConvSpec,
    mode?: Op<'pad'>['mode'],
    value?: number,
    dims?: readonly (number | string)[],
  ) => {
    const b = new Builder(2);
    const { graph } = check(b.graph([b.conv(b.pad('x', pads, mode, value), spec)], dims));
    const conv = graph.nodes[0] as Op<'conv2d'>;
    return graph.nodes.length === 1 ? [conv.paddingMode, ...conv.window.pads] : undefined;
  };
  assert.equal(run([1, 2, 0, 1], { pads: [0, 0, 0, 0] }), ['zeros', 1, 2, 0, 1]);
  assert.equal(run([1, 2, 0, 1], { pads: [1, -1, 2, 0] }), ['zeros', 2, 1, 2, 1]);
  assert.equal(run([-1, 0, 0, 0], { pads: [0, 0, 1, 0] }), ['zeros', -1, 0, 1, 0]);
  assert.equal(run([-1, 0, 0, 0], { pads: [1, 0, 0, 0] }), undefined);
  assert.equal(run([1, 1, 1, 1], { pads: [0, 0, 0, 0] }, 'constant', 0.5), undefined);
  assert.equal(run([1, 1, 1, 1], { paddingMode: 'reflect' }), undefined);
  assert.equal(run([1, 1, 1, 1], { paddingMode: 'reflect', pads: [0, 0, 0, 0] }), ['zeros', 1, 1, 1, 1]);
  assert.equal(run([1, 2, 0, 1], { pads: [0, 0, 0, 0] }, 'reflect'), ['reflect', 1, 2, 0, 1]);
  assert.equal(run([1, 2, 0, 1], { pads: [0, -1, 0, 0] }, 'edge'), ['replicate', 1, 1, 0, 1]);
  assert.equal(run([1, 2, 0, 1], { pads: [0, 0, 0, 0] }, 'wrap'), undefined, 'it may wrap more than once');
  assert.equal(run([1, 2, 0, 1], { pads: [0, 0, 0, 0] }, 'wrap', 0, [2, 2, 9, 10]), ['circular', 1, 2, 0, 1]);
  assert.equal(run([1, 1, 1, 1], { pads: [1, 0, 0, 0] }, 'edge'), undefined);
});

/* Copies, names, dead nodes. */

test('identities vanish, inputs and outputs keep their names', () => {
  const b = new Builder(2);
  const copy = b.simple('identity', b.simple('identity', 'x'));
  const y = b.conv(copy);
  const other = b.simple('relu', b.simple('identity', y), 'other');
  const first = b.simple('identity', y, 'first');
  const second = b.simple('identity', b.simple('identity', first), 'second');
  const input = b.simple('identity', copy, 'input');
  const z = b.simple('relu', y, 'z');
  const result = check(b.graph([first, second, input, z, other]));
  assert.equal(ops(result).sort(), ['conv2d', 'identity', 'identity', 'relu', 'relu']);
  assert.equal(result.graph.nodes.find(({ op }) => op === 'conv2d')!.outputs, ['first']);
});

test('slices of everything and pads of nothing are copies', () => {
  const b = new Builder(2);
  const y = b.simple('relu', b.pad(b.crop('x', [0, 0], [END, END]), [0, 0, 0, 0]), 'y');
  assert.equal(ops(check(b.graph([y]))), ['relu']);
});

test('a merged block behind an identity is reported by the name that it has', () => {
  const b = new Builder(3);
  const y = b.simple('identity', b.sum(b.conv('x'), b.conv('x', { kernel: [1, 1] })), 'y');
  expectOneConv(b.graph([y]), 2, [3, 3]);
});

test('nodes and constants that nobody reads are removed', () => {
  const b = new Builder(2);
  b.binary('mul', b.conv('x'), b.constant([10]));
  const y = b.binary('mul', b.simple('relu', 'x'), b.constant([10]));
  const { graph } = check(b.graph([y]));
  assert.equal(ops({ graph }), ['relu', 'mul']);
  assert.equal([...graph.values!.keys()], ['constant1']);
});

test('a value whose size is read by a reshape stays', () => {
  const b = new Builder(2);
  const conv = b.conv('x');
  const y = b.norm(conv);
  const z = b.add({ op: 'reshape', inputs: [y], target: [{ value: conv, axis: 0 }, -1] }, undefined);
  assert.equal(ops(reparameterize(b.graph([z]))), ['conv2d', 'batchNorm', 'reshape']);
});

test('not a graph', () => {
  assert.throws(
    () => reparameterize(null as unknown as Graph),
    (error: unknown) => error instanceof TypeError && /graph must be a Graph/.test(error.message),
  );
  const b = new Builder(2);
  b.conv('x', {}, 'y');
  assert.throws(
    () => reparameterize({ ...b.graph(['y']), inputs: ['z'] }),
    (error: unknown) => error instanceof RangeError && /reads x, which nothing before it makes/.test(error.message),
  );
});

test('sums and chains of thousands', () => {
  const b = new Builder(1);
  const kernels = [
    [1, 1],
    [1, 3],
    [3, 1],
    [3, 3],
  ] as const;
  const terms = Array.from({ length: 4000 }, (_, i) => b.conv('x', { kernel: kernels[i % 4]! }));
  let deep = b.sum(...terms);
  for (let i = 0; i < 4000; i++) deep = i % 2 === 0 ? b.simple('identity', deep) : b.norm(deep);
  const result = reparameterize(b.graph([deep]));
  assert.equal(result.merged, [{ output: deep, branches: 4000, kernel: [3, 3] }]);
});

/* Any graph. */

interface BranchCase {
  kernel: [number, number];
  dilation: number;
  shift: [number, number];
  stride: number;
  groups: number;
  kind: 'conv' | 'unit' | 'norm' | 'identity' | 'pool' | 'relu' | 'scaled' | 'cropped' | 'padded';
  mode: Op<'conv2d'>['paddingMode'];
  bias: boolean;
  input: boolean;
  relu: boolean;
}

const branchCase: fc.Arbitrary<BranchCase> = fc.record({
  kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  dilation: fc.integer({ min: 1, max: 2 }),
  shift: fc.tuple(fc.integer({ min: -1, max: 1 }), fc.integer({ min: -1, max: 1 })),
  stride: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.constant(2)),
  groups: fc.constantFrom(1, 1, 1, 2, 4),
  kind: fc.constantFrom('conv', 'unit', 'unit', 'norm', 'identity', 'pool', 'relu', 'scaled', 'cropped', 'padded'),
  mode: fc.constantFrom('zeros', 'zeros', 'zeros', 'reflect', 'replicate', 'circular'),
  bias: fc.boolean(),
  input: fc.boolean(),
  relu: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

/** A branch whose output has the size [height, width] of its input if its stride is 1, otherwise half of it. */
function addBranch(b: Builder, source: string, c: BranchCase): string {
  const groups = c.groups;
  const dilation = [c.dilation, c.dilation] as const;
  const same = samePads(c.kernel, dilation);
  const pads: Four = [same[0] + c.shift[0], same[1] + c.shift[1], same[2] - c.shift[0], same[3] - c.shift[1]];
  const spec: ConvSpec = { kernel: c.kernel, dilation, pads, groups, bias: c.bias, paddingMode: c.mode };
  switch (c.kind) {
    case 'conv':
      return b.conv(source, { ...spec, relu: c.relu });
    case 'unit':
      return b.unit(source, spec);
    case 'norm':
      return b.norm(source);
    case 'identity':
      return b.simple('identity', source);
    case 'pool':
      return b.avgPool(source, [3, 3], [1, 1, 1, 1], c.bias);
    case 'relu':
      return b.simple('relu', b.conv(source, spec));
    case 'scaled':
      return b.binary(c.bias ? 'add' : 'mul', b.conv(b.norm(source), spec), b.constant([4, 1, 1]));
    case 'cropped': {
      // What is cropped is padded again, on the other side or on the same.
      const crop = b.crop(source, [1, 0], [END, c.bias ? -1 : END]);
      const [top, left, bottom, right] = pads;
      return b.conv(crop, {
        ...spec,
        paddingMode: 'zeros',
        pads: c.relu
          ? [top + 1, left, bottom, right + (c.bias ? 1 : 0)]
          : [top, left, bottom + 1, right + (c.bias ? 1 : 0)],
      });
    }
    case 'padded': {
      const modes = { zeros: 'constant', reflect: 'reflect', replicate: 'edge', circular: 'wrap' } as const;
      const padded = b.pad(source, [1, 1, 1, 1], modes[c.mode]);
      return b.conv(padded, {
        ...spec,
        paddingMode: 'zeros',
        pads: [pads[0] - 1, pads[1] - 1, pads[2] - 1, pads[3] - 1],
      });
    }
  }
}

interface GraphCase {
  seed: number;
  layers: { branches: BranchCase[]; order: number[]; relu: boolean; share: number }[];
  staticDims: boolean;
  shareOutput: boolean;
}

const graphCase: fc.Arbitrary<GraphCase> = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  layers: fc.array(
    fc.record({
      branches: fc.array(branchCase, { minLength: 1, maxLength: 5 }),
      order: fc.array(fc.nat(1000), { minLength: 5, maxLength: 5 }),
      relu: fc.boolean(),
      share: fc.integer({ min: 0, max: 12 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  staticDims: fc.boolean(),
  shareOutput: fc.boolean(),
});

function makeGraph({ seed, layers, staticDims, shareOutput }: GraphCase): Graph {
  const b = new Builder(4, seed);
  let x = 'x';
  const outputs: string[] = [];
  for (const { branches, order, relu, share } of layers) {
    const inner = b.simple('relu', x);
    const open = branches.map((c) => addBranch(b, c.input ? inner : x, c));
    // The same branch again, or a branch that others read.
    if (share < open.length) open.push(open[share]!);
    else if (share - 6 >= 0 && share - 6 < open.length && shareOutput) outputs.push(open[share - 6]!);
    for (let step = 0; open.length > 1; step++) {
      const at = order[step % order.length]! % (open.length - 1);
      const sum = b.binary('add', open[at]!, open[at + 1]!, undefined, order[step % order.length]! % 7 === 0);
      open.splice(at, 2, sum);
    }
    x = relu ? b.simple('relu', open[0]!) : open[0]!;
  }
  const last = b.simple('identity', x, 'y');
  return b.graph([last, ...outputs.filter((name) => name !== 'x')], staticDims ? ['N', 4, 5, 6] : undefined);
}

test('any graph computes what it did', () => {
  let merged = 0;
  fc.assert(
    fc.property(graphCase, (c) => {
      merged += check(makeGraph(c), [5, 6], 1).merged.length;
    }),
    { seed: SEED, numRuns: 150 },
  );
  assert.ok(merged > 50, `${merged} sums merged in all`);
});

/** Pairs of windows: some give outputs of the same size, some are broadcast, and some do not fit at all. */
test('any two windows', () => {
  const between = (min: number, max: number) => fc.integer({ min, max });
  const window = fc.record({
    kernel: fc.tuple(between(1, 4), between(1, 3)),
    dilation: fc.constantFrom([1, 1], [1, 1], [2, 1], [2, 2]) as fc.Arbitrary<[number, number]>,
    pads: fc.tuple(between(-2, 3), between(-2, 3), between(-2, 3), between(-2, 3)),
    groups: fc.constantFrom(1, 2),
  });
  const stride = fc.tuple(between(1, 3), between(1, 2));
  const pair = fc.record({
    windows: fc.tuple(window, window),
    strides: fc.tuple(stride, stride),
    sameStride: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
    sameSize: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
    staticDims: fc.boolean(),
  });
  let merged = 0;
  fc.assert(
    fc.property(pair, ({ windows: [one, other], strides, sameStride, sameSize, staticDims }) => {
      const b = new Builder(2);
      const reach = (axis: 0 | 1) => {
        const [own, given] = [other, one].map(({ kernel, dilation }) => dilation[axis] * (kernel[axis] - 1));
        return one.pads[axis] + one.pads[axis + 2]! - given! + own!;
      };
      const [top, left] = other.pads;
      const pads: Four = sameSize ? [top, left, reach(0) - top, reach(1) - left] : other.pads;
      const first = b.conv('x', { ...one, stride: strides[0] });
      const second = b.conv('x', { ...other, pads, stride: sameStride ? strides[0] : strides[1] });
      const graph = b.graph([b.sum(first, second)], staticDims ? [1, 2, 8, 9] : undefined);
      try {
        runGraph(graph, { x: feed(graph, [8, 9], 1) });
      } catch {
        fc.pre(false);
      }
      merged += check(graph, [8, 9], 1).merged.length;
    }),
    { seed: SEED, numRuns: 300 },
  );
  assert.ok(merged > 15, `${merged} merged in all`);
});

/* What runs the graphs: the executor fuses what is left, and must not fuse more. */

for (const simd of await supportedBuilds()) {
  test(`${simd}: the executor computes the graphs before and after`, () =>
    withRuntime(simd, async (runtime) => {
      await fc.assert(
        fc.asyncProperty(graphCase, async (c) => {
          const graph = makeGraph(c);
          const x = feed(graph, [5, 6], 1);
          const expected = runGraph(graph, { x });
          const scale = runGraph(graph, { x }, true);
          for (const each of [graph, reparameterize(graph).graph]) {
            const session = await InferenceSession.create(each, { runtime, reparameterize: false });
            const outputs = session.runSync({ x: toTensor(x) });
            for (const name of graph.outputs) {
              const allowed = 16 * ROUNDING * (graph.nodes.length + 1) * largestMagnitude(scale[name]!.data);
              const difference = largestDifference(take(outputs[name]!), expected[name]!.data);
              assert.ok(difference <= allowed, `${name}: difference ${difference}, allowed ${allowed}`);
            }
            await session.release();
          }
        }),
        { seed: SEED + 1, numRuns: 60 },
      );
    }));
}

test('random graphs of every operation compute what they did', () =>
  withRuntime('baseline', async (runtime) => {
    let changed = 0;
    for (let seed = 0; seed < 200; seed++) {
      const { graph, inputs, outputs, largest } = randomGraph(seed, 14);
      const result = reparameterize(graph).graph;
      if (result !== graph) changed++;
      const session = await InferenceSession.create(result, { runtime, reparameterize: false });
      const feeds = Object.entries(inputs).map(([name, array]) => [name, toTensor(array)] as const);
      const actual = session.runSync(Object.fromEntries(feeds));
      for (const [name, { data, dims }] of Object.entries(outputs)) {
        assert.equal([...actual[name]!.dims], [...dims], `seed ${seed}: dims of ${name}`);
        const difference = largestDifference(actual[name]!.data, data);
        assert.ok(difference <= 1e-5 * largest, `seed ${seed}: ${name} is off by ${difference}`);
      }
      for (const tensor of Object.values(actual)) tensor.dispose();
      await session.release();
    }
    assert.ok(changed > 20, `${changed} graphs changed`);
  }));

test('an ACBlock becomes what its switchToDeploy makes of it, to the bit', () =>
  withRuntime('baseline', (runtime) => {
    for (const options of [
      { kernelSize: 3, padding: 1 },
      { kernelSize: 5, padding: 1, stride: 2 },
      { kernelSize: [3, 5], padding: 2, dilation: 2, groups: 2 },
      { kernelSize: 4, padding: 'same', branchSize: [2, 3] },
      { kernelSize: 3, padding: 1, paddingMode: 'circular' },
    ] as const) {
      const block = new ACBlock(runtime, { ...(options as object as ACBlockOptions), inChannels: 4, outChannels: 6 });
      const random = seededRandom(7);
      const state = Object.entries(block.stateDict()).map(([key, { dims }]) => {
        return [key, toTensor(randomNd(random, dims, key.endsWith('var') ? 0.1 : -1, 2))] as const;
      });
      block.loadStateDict(Object.fromEntries(state)).eval();
      const { graph, merged } = reparameterize(toGraph(block));
      assert.equal(ops({ graph }), ['conv2d']);
      assert.is(merged.length, 1);
      const conv = graph.nodes[0] as Op<'conv2d'>;
      const { weight, bias } = block.equivalentKernelBias();
      const made = parametersOf(graph, conv);
      assert.equal([...made.weight.dims], [...weight.dims]);
      assert.ok(sameBits(made.weight.data, weight.data), JSON.stringify(options));
      assert.ok(sameBits(made.bias!.data, bias.data), JSON.stringify(options));
      block.switchToDeploy();
      const [deployed] = toGraph(block).nodes as [Op<'conv2d'>];
      assert.equal(conv.window, deployed.window);
      block.dispose();
    }
  }));

/** How many blocks each network has, and what is left of it. */
const NETWORKS = {
  'lenet5bn-acb-fashion-mnist': { blocks: 2, nodes: 10 },
  'lenet5bn-base-fashion-mnist': { blocks: 0, nodes: 10 },
  'cfqkbnc-small': { blocks: 3, nodes: 13 },
  src20: { blocks: 19, nodes: 52 },
};

for (const [name, { blocks, nodes }] of Object.entries(NETWORKS)) {
  test(`${name}: every block is one convolution, and the outputs are PyTorch's`, () =>
    withRuntime('baseline', async (runtime) => {
      const train = readOnnx(new Uint8Array(readFileSync(`test/fixtures/networks/${name}.onnx`)));
      const { graph, merged } = reparameterize(train);
      assert.is(merged.length, blocks);
      assert.ok(merged.every(({ branches }) => branches === 3));
      assert.is(graph.nodes.length, nodes, printGraph(graph));
      assert.not.ok(ops({ graph }).some((op) => op === 'batchNorm' || op === 'slice' || op === 'identity'));
      const { input, output } = readFixture(`networks/${name}.io.safetensors`).tensors;
      for (const each of [train, graph]) {
        const session = await InferenceSession.create(each, { runtime, reparameterize: false });
        const outputs = session.runSync({ [graph.inputs[0]!]: input! });
        const error = relativeError(take(outputs[graph.outputs[0]!]!), output!.data);
        assert.ok(error <= 1e-5, `error ${error}`);
        await session.release();
      }
    }));
}

/* For people. */

test('printGraph', () => {
  const b = new Builder(3);
  const conv = b.conv('x', { out: 8, stride: [2, 2], bias: true, relu: true });
  const y = b.add({ op: 'flatten', inputs: [conv], axis: 1 }, undefined, 'y');
  assert.is(
    printGraph(b.graph([y])),
    [
      'inputs: x [N, 3, H, W]',
      'op       path    inputs   output   weight        window                       flags',
      'conv2d   layer0  x        conv2d0  [8, 3, 3, 3]  3x3 stride 2x2 pads 1,1,1,1  bias relu',
      'flatten  layer1  conv2d0  y                                                   axis 1',
      'outputs: y',
    ].join('\n'),
  );
});

test('summarize', () => {
  const b = new Builder(3);
  const y = b.norm(b.conv('x', { out: 8, stride: [2, 2], bias: true }));
  const summary = summarize(b.graph([y]), [[2, 3, 9, 8]]);
  assert.equal(
    summary.nodes.map(({ dims, parameters, multiplyAdds }) => ({ dims, parameters, multiplyAdds })),
    [
      { dims: [2, 8, 5, 4], parameters: 8 * 27 + 8, multiplyAdds: 2 * 8 * 5 * 4 * 27 },
      { dims: [2, 8, 5, 4], parameters: 32, multiplyAdds: 0 },
    ],
  );
  assert.is(summary.parameters, 8 * 27 + 8 + 32);
  assert.is(summary.multiplyAdds, 2 * 8 * 5 * 4 * 27);
});

test.run();
