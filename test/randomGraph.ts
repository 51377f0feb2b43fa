/**
 * Random graphs whose every value is known from the oracles: nodes of all kinds over values of all ranks, outputs that
 * are inputs, constants, listed twice, or read on.
 */
import { type Graph, type GraphNode, Tensor } from 'acnet-wasm';
import * as array from './arrayOracle.js';
import { graphFrom, type NodeSpec, type NormSpec } from './graphSpec.js';
import * as oracle from './oracle.js';
import { randomNd, seededRandom } from './support.js';

const MAX_VALUES = 1500;
const MAX_DIMS = 6;

export interface RandomGraph {
  graph: Graph;
  /** What to feed, and what should come out. */
  inputs: Record<string, oracle.Nd>;
  outputs: Record<string, oracle.Nd>;
  /** Largest magnitude of any value in it. */
  largest: number;
}

export function randomGraph(seed: number, nodeCount: number): RandomGraph {
  return new Maker(seed).make(nodeCount);
}

type Omitted = 'path' | 'layer' | 'inputs' | 'outputs' | 'parallel';
type Parameters = { weight?: Tensor; bias?: Tensor | undefined; norm?: NormSpec };
/** The eps of a BatchNorm is with its statistics. */
type OmitEps<T> = T extends { op: 'batchNorm' } ? Omit<T, 'eps'> : T;
type Settings<T> = T extends GraphNode ? Omit<OmitEps<T>, Omitted> & Parameters : never;

class Maker {
  readonly #random: () => number;
  readonly #values = new Map<string, oracle.Nd>();
  readonly #constants = new Map<string, Tensor>();
  readonly #nodes: NodeSpec[] = [];

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  make(nodeCount: number): RandomGraph {
    const inputNames = Array.from({ length: this.#whole(1, 2) }, (_, i) => `input${i}`);
    for (const name of inputNames) this.#values.set(name, randomNd(this.#random, this.#dims(), -2, 2));
    const kinds = Object.keys(this.makers) as (keyof typeof this.makers)[];
    for (let tries = 0; this.#nodes.length < nodeCount && tries < nodeCount * 40; tries++) {
      // Mostly from the latest values, so that chains become long.
      const names = [...this.#values.keys()];
      const name = this.#pick(this.#random() < 0.6 ? names.slice(-2) : names);
      this.makers[this.#pick(kinds)](name, this.#values.get(name)!);
    }
    const names = [...this.#values.keys()];
    const outputNames = Array.from({ length: this.#whole(1, 4) }, () => this.#pick(names));
    if (this.#random() < 0.8) outputNames[0] = names.at(-1)!;
    const isUsed = this.#nodes.length > 0 && this.#random() < 0.3;
    if (isUsed) outputNames.push(this.#pick(this.#nodes).output);
    const pickValues = (list: readonly string[]) => Object.fromEntries(list.map((n) => [n, this.#values.get(n)!]));
    return {
      graph: graphFrom({ inputs: inputNames, outputs: outputNames, nodes: this.#nodes, constants: this.#constants }),
      inputs: pickValues(inputNames),
      outputs: pickValues(outputNames),
      largest: [...this.#values.values()].reduce((most, { data }) => Math.max(most, oracle.largestMagnitude(data)), 1),
    };
  }

  /** Makers of nodes over a value; one that cannot use it makes none. */
  private readonly makers = {
    unary: (name: string, x: oracle.Nd) => {
      const op = this.#pick(['relu', 'leakyRelu', 'clip', 'sigmoid', 'hardSigmoid', 'hardSwish'] as const);
      const [alpha, beta] = {
        relu: [0, 0],
        leakyRelu: [0.3, 0],
        clip: this.#pick([
          [-0.5, 0.75],
          [0.25, 1],
          [-1, -0.125],
        ]) as [number, number],
        sigmoid: [0, 0],
        hardSigmoid: [0.25, 0.4],
        hardSwish: [0, 0],
      }[op] as [number, number];
      const settings = op === 'leakyRelu' ? { alpha } : op === 'clip' || op === 'hardSigmoid' ? { alpha, beta } : {};
      const value = array.map(x, (v) => array.unaries[op](v, Math.fround(alpha), Math.fround(beta)));
      this.#add({ op, ...settings }, [name], value);
    },
    function: (name: string, x: oracle.Nd) => {
      const op = this.#pick(Object.keys(array.functions) as (keyof typeof array.functions)[]);
      this.#add({ op }, [name], array.map(x, array.functions[op]));
    },
    pair: (name: string, x: oracle.Nd) => {
      const op = this.#pick(Object.keys(array.pairs) as (keyof typeof array.pairs)[]);
      const other = this.#constant(x.dims.slice(this.#whole(0, x.dims.length)));
      this.#add({ op }, [other, name], array.binary(this.#values.get(other)!, x, array.pairs[op]));
    },
    choice: (name: string, x: oracle.Nd) => {
      const condition = this.#condition(x.dims);
      const keeps = this.#random() < 0.5;
      const value = array.binary(this.#values.get(condition)!, x, (a, b) => ((a !== 0) === keeps ? b : 0));
      this.#add({ op: keeps ? 'keepIf' : 'keepUnless' }, [condition, name], value);
    },
    reduce: (name: string, x: oracle.Nd) => {
      const op = this.#pick(Object.keys(array.reductions) as (keyof typeof array.reductions)[]);
      const axes = this.#shuffled(x.dims.map((_, axis) => axis)).slice(0, this.#whole(1, 2));
      this.#add({ op, axes, keepDims: true }, [name], array.reduce(x, axes, array.reductions[op]));
    },
    standardize: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const axes = this.#shuffled(x.dims.map((_, axis) => axis)).slice(0, this.#whole(1, 2));
      this.#add({ op: 'standardize', axes, eps: 0.5 }, [name], array.standardize(x, axes, 0.5));
    },
    cumSum: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const [axis, exclusive, reverse] = [this.#axis(x), this.#random() < 0.5, this.#random() < 0.5];
      const value = array.cumSum(x, this.#front(axis, x), exclusive, reverse);
      this.#add({ op: 'cumSum', axis, exclusive, reverse }, [name], value);
    },
    gather: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const axis = this.#whole(0, x.dims.length - 1);
      const size = x.dims[axis]!;
      const places = Array.from({ length: this.#whole(1, 4) }, () => this.#whole(-size, size - 1));
      const constant = this.#named({ data: Float64Array.from(places), dims: [places.length] });
      this.#add({ op: 'gather', axis }, [name, constant], array.gather(x, axis, places));
    },
    expand: (name: string, x: oracle.Nd) => {
      const more = x.dims.length < MAX_DIMS && this.#random() < 0.4 ? [this.#whole(1, 3)] : [];
      const target = [...more, ...x.dims.map((dim) => (dim === 1 ? this.#whole(1, 3) : dim))];
      this.#add({ op: 'expand', target }, [name], array.expand(x, target));
    },
    depthToSpace: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 4) return;
      const block = this.#pick([
        [1, 2],
        [2, 1],
        [2, 2],
        [1, 3],
      ] as const);
      const channelFirst = this.#random() < 0.5;
      if (x.dims[1]! % (block[0] * block[1]) === 0) {
        const value = array.depthToSpace(x, block, channelFirst);
        this.#add({ op: 'depthToSpace', block, channelFirst }, [name], value);
      }
    },
    binary: (name: string, x: oracle.Nd) => this.#makeBinary(name, x),
    softmax: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const axis = this.#axis(x);
      const op = this.#pick(['softmax', 'logSoftmax'] as const);
      const value = array.softmax(x, this.#front(axis, x), op === 'logSoftmax');
      this.#add({ op, axis }, [name], value);
    },
    concat: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const axis = this.#random() < 0.6 && x.dims.length > 1 ? 1 : this.#axis(x);
      const fixed = this.#front(axis, x);
      const fits = ({ dims }: oracle.Nd) =>
        dims.length === x.dims.length && dims.every((dim, other) => other === fixed || dim === x.dims[other]);
      const others = [...this.#values].filter(([, value]) => fits(value)).map(([other]) => other);
      const names = [name, this.#pick(others)];
      if (this.#random() < 0.4) {
        names.push(this.#constant(x.dims.map((dim, other) => (other === fixed ? this.#whole(1, 3) : dim))));
      }
      const parts = names.map((part) => this.#values.get(part)!);
      this.#add({ op: 'concat', axis }, names, array.concat(parts, fixed));
    },
    flatten: (name: string, x: oracle.Nd) => {
      if (x.dims.length < 2) return;
      const front = this.#whole(0, x.dims.length);
      const axis = front < x.dims.length && this.#random() < 0.3 ? front - x.dims.length : front;
      const size = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
      const value = array.reshape(x, [size(x.dims.slice(0, front)), size(x.dims.slice(front))]);
      this.#add({ op: 'flatten', axis }, [name], value);
    },
    reshape: (name: string, x: oracle.Nd) => {
      const dims: number[] = [];
      for (let rest = x.data.length; dims.length < MAX_DIMS - 1 && (rest > 1 || this.#random() < 0.2); ) {
        const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0);
        const dim = dims.length === MAX_DIMS - 2 ? rest : this.#pick(divisors);
        dims.push(dim);
        rest /= dim;
        if (dims.length === MAX_DIMS - 1 && rest > 1) return;
      }
      this.#add({ op: 'reshape', target: this.#disguise(dims, x) }, [name], array.reshape(x, dims));
    },
    squeeze: (name: string, x: oracle.Nd) => {
      const ones = x.dims.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
      if (this.#random() < 0.5) {
        this.#add(
          { op: 'squeeze', axes: undefined },
          [name],
          array.reshape(
            x,
            x.dims.filter((dim) => dim !== 1),
          ),
        );
      } else if (ones.length > 0) {
        const one = this.#pick(ones);
        const axes = [this.#random() < 0.5 ? one : one - x.dims.length];
        const dims = x.dims.filter((_, axis) => axis !== one);
        this.#add({ op: 'squeeze', axes }, [name], array.reshape(x, dims));
      }
    },
    unsqueeze: (name: string, x: oracle.Nd) => {
      const rank = x.dims.length + 2;
      if (rank > MAX_DIMS) return;
      const first = this.#whole(0, rank - 2);
      const second = this.#whole(first + 1, rank - 1);
      const dims = [...x.dims];
      dims.splice(first, 0, 1);
      dims.splice(second, 0, 1);
      this.#add({ op: 'unsqueeze', axes: [second, first - rank] }, [name], array.reshape(x, dims));
    },
    transpose: (name: string, x: oracle.Nd) => {
      const axes = x.dims.map((_, axis) => axis);
      if (this.#random() < 0.2) {
        this.#add({ op: 'transpose', permutation: undefined }, [name], array.transpose(x, [...axes].reverse()));
        return;
      }
      const permutation = this.#shuffled(axes);
      this.#add({ op: 'transpose', permutation }, [name], array.transpose(x, permutation));
    },
    slice: (name: string, x: oracle.Nd) => {
      const axes = this.#shuffled(x.dims.map((_, axis) => axis)).slice(0, this.#whole(1, 3));
      const ranges = axes.map(() => ({
        start: this.#pick([0, 1, 2, -1, -2, -100, 100]),
        end: this.#pick([1, 2, 3, -1, -3, 1e9, -1e9]),
        step: this.#pick([1, 1, 2, -1, -2]),
      }));
      const all = x.dims.map((dim, axis) => ranges[axes.indexOf(axis)] ?? { start: 0, end: dim, step: 1 });
      const value = array.slice(x, all);
      if (value.data.length === 0) return;
      const [starts, ends, steps] = [
        ranges.map(({ start }) => start),
        ranges.map(({ end }) => end),
        ranges.map(({ step }) => step),
      ];
      const named = axes.map((axis) => (this.#random() < 0.3 ? axis - x.dims.length : axis));
      this.#add({ op: 'slice', axes: named, starts, ends, steps }, [name], value);
    },
    pad: (name: string, x: oracle.Nd) => {
      const mode = this.#pick(['constant', 'reflect', 'edge', 'wrap'] as const);
      const most = (dim: number) => (mode === 'reflect' ? Math.min(2, dim - 1) : 2);
      const one = (dim: number) => (this.#random() < 0.5 ? 0 : this.#whole(dim > 4 ? -1 : 0, most(dim)));
      const pads = [...x.dims.map(one), ...x.dims.map(one)];
      const rank = x.dims.length;
      // After cropping, reflection must still find enough.
      const fits = x.dims.every((dim, axis) => {
        const left = dim + Math.min(0, pads[axis]!) + Math.min(0, pads[axis + rank]!);
        return left > (mode === 'reflect' ? Math.max(pads[axis]!, pads[axis + rank]!) : 0);
      });
      if (!fits) return;
      const value = this.#pick([0, 0.5, -1]);
      this.#add({ op: 'pad', pads, mode, value }, [name], array.pad(x, pads, mode, value));
    },
    reduceMean: (name: string, x: oracle.Nd) => {
      const keepDims = this.#random() < 0.5;
      const every = x.dims.map((_, axis) => axis);
      const axes = this.#shuffled(every).slice(0, this.#whole(1, 3));
      if (this.#random() < 0.1) {
        this.#add({ op: 'reduceMean', axes: undefined, keepDims }, [name], array.reduceMean(x, every, keepDims));
      } else {
        const named = axes.map((axis) => (this.#random() < 0.3 ? axis - x.dims.length : axis));
        this.#add({ op: 'reduceMean', axes: named, keepDims }, [name], array.reduceMean(x, axes, keepDims));
      }
    },
    identity: (name: string, x: oracle.Nd) => this.#add({ op: 'identity' }, [name], x),
    matMul: (name: string, x: oracle.Nd) => {
      if (x.dims.length === 0) return;
      const depth = x.dims.at(-1)!;
      const batch = x.dims.length > 2 ? x.dims.slice(0, -2).map((dim) => (this.#random() < 0.5 ? 1 : dim)) : [];
      const dims = this.#pick([[depth], [depth, this.#whole(1, 11)], [...batch, depth, this.#whole(1, 9)]]);
      const other = this.#constant(dims);
      this.#add({ op: 'matMul' }, [name, other], array.matMul(x, this.#values.get(other)!));
      if (x.dims.length === 1 || x.dims.length > 3) return;
      const left = this.#constant(this.#pick([[x.dims.at(-2)!], [this.#whole(1, 6), x.dims.at(-2)!]]));
      this.#add({ op: 'matMul' }, [left, name], array.matMul(this.#values.get(left)!, x));
    },
    conv2d: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 4) return;
      const kernel = this.#pick([1, 3]);
      const weight = randomNd(this.#random, [this.#whole(1, 9), x.dims[1]!, kernel, kernel], -0.3, 0.3);
      const bias = randomNd(this.#random, [weight.dims[0]!]);
      const pad = kernel >> 1;
      const window = {
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1],
        pads: [pad, pad, pad, pad],
      } as const;
      const settings = { op: 'conv2d', window, paddingMode: 'zeros', groups: 1 } as const;
      const tensors = { weight: tensorOf(weight), bias: tensorOf(bias) };
      const value = oracle.conv2d(x, weight, bias.data, { ...window, paddingMode: 'zeros', groups: 1 });
      this.#add({ ...settings, ...tensors }, [name], value);
    },
    pool: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 4 || x.dims[2]! < 2 || x.dims[3]! < 2) return;
      const window = { kernel: [2, 2], stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] } as const;
      const op = this.#pick(['maxPool2d', 'avgPool2d'] as const);
      const options = { ...window, padding: [0, 0], ceilMode: false, countIncludePad: true } as const;
      const value = op === 'maxPool2d' ? oracle.maxPool2d(x, options) : oracle.avgPool2d(x, options);
      this.#add({ op, window, ceilMode: false, countIncludePad: true }, [name], value);
    },
    resize: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 4) return;
      const options = {
        mode: this.#pick(['nearest', 'linear'] as const),
        coordinates: this.#pick(['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] as const),
        rounding: this.#pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const),
      };
      const [height, width] = x.dims.slice(2) as [number, number];
      const scales = [this.#pick([0.5, 1, 1.5, 2]), this.#pick([0.75, 1, 2, 2.5])] as const;
      const scaled = [Math.floor(height * scales[0]), Math.floor(width * scales[1])] as const;
      if (this.#random() < 0.5 && scaled[0] > 0 && scaled[1] > 0) {
        this.#add(
          { op: 'resize', ...options, target: [], scales },
          [name],
          array.resize(x, scaled, { ...options, scales }),
        );
        return;
      }
      const other = this.#pick([...this.#values].filter(([, { dims }]) => dims.length > 0));
      const axis = this.#whole(0, other[1].dims.length - 1);
      const size = [other[1].dims[axis]!, this.#whole(1, 7)] as const;
      const target = [{ value: other[0], axis }, size[1]];
      this.#add({ op: 'resize', ...options, target }, [name], array.resize(x, size, options));
    },
    globalPool: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 4) return;
      const op = this.#pick(['globalAvgPool2d', 'globalMaxPool2d'] as const);
      this.#add({ op }, [name], op === 'globalAvgPool2d' ? oracle.globalAvgPool2d(x) : array.globalMaxPool2d(x));
    },
    batchNorm: (name: string, x: oracle.Nd) => {
      if (x.dims.length < 2) return;
      const parameter = (low: number, high: number) => randomNd(this.#random, [x.dims[1]!], low, high);
      const [gamma, beta, mean, variance] = [parameter(-1, 1), parameter(-1, 1), parameter(-1, 1), parameter(0.5, 2)];
      const value = array.build(x.dims, (index) => {
        const c = index[1]!;
        const scale = gamma.data[c]! / Math.sqrt(variance.data[c]! + 1e-5);
        return (array.at(x, index) - mean.data[c]!) * scale + beta.data[c]!;
      });
      const [g, b, m, v] = [gamma, beta, mean, variance].map(tensorOf) as [Tensor, Tensor, Tensor, Tensor];
      const norm = { gamma: g, beta: b, mean: m, variance: v, eps: 1e-5 };
      this.#add({ op: 'batchNorm', norm, momentum: undefined }, [name], value);
    },
    linear: (name: string, x: oracle.Nd) => {
      if (x.dims.length !== 2) return;
      const weight = randomNd(this.#random, [this.#whole(1, 9), x.dims[1]!], -0.3, 0.3);
      this.#add({ op: 'linear', weight: tensorOf(weight), bias: undefined }, [name], oracle.linear(x, weight));
    },
  };

  #makeBinary(name: string, x: oracle.Nd): void {
    const op = this.#pick(['add', 'sub', 'mul', 'div'] as const);
    const f = {
      add: (a: number, b: number) => a + b,
      sub: (a: number, b: number) => a - b,
      mul: (a: number, b: number) => a * b,
      div: (a: number, b: number) => a / b,
    }[op];
    let other: string;
    if (op === 'div' || this.#random() < 0.5) {
      const dims = x.dims.slice(this.#whole(0, x.dims.length)).map((dim) => (this.#random() < 0.4 ? 1 : dim));
      const perChannel = x.dims.length === 4 && this.#random() < 0.4 ? [x.dims[1]!, 1, 1] : dims;
      other = this.#constant(op === 'div' || this.#random() < 0.7 ? perChannel : x.dims, 0.5, 2);
    } else {
      const fits = [...this.#values].filter(([, { dims }]) => {
        const both = array.broadcastDims(dims, x.dims);
        const goes = (own: readonly number[]) =>
          own.every((dim, axis) => dim === 1 || dim === both[axis + both.length - own.length]);
        return both.length <= MAX_DIMS && goes(dims) && goes(x.dims);
      });
      other = this.#pick(fits)[0];
    }
    const names = op !== 'div' && this.#random() < 0.4 ? [other, name] : [name, other];
    const [a, b] = names.map((one) => this.#values.get(one)!) as [oracle.Nd, oracle.Nd];
    this.#add({ op }, names, array.binary(a, b, f));
  }

  #add(settings: Settings<GraphNode>, inputs: readonly string[], value: oracle.Nd): void {
    const isTame = value.data.length <= MAX_VALUES && oracle.largestMagnitude(value.data) < 1e3;
    if (!isTame || value.dims.length > MAX_DIMS) return;
    const output = `value${this.#nodes.length}`;
    const names = { path: output, layer: settings.op };
    this.#nodes.push({ ...settings, ...names, inputs, output });
    this.#values.set(output, value);
  }

  #constant(dims: readonly number[], low = -1, high = 1): string {
    return this.#named(randomNd(this.#random, dims, low, high));
  }

  /** Zeros and ones. */
  #condition(dims: readonly number[]): string {
    const { data } = randomNd(this.#random, dims);
    return this.#named({ data: Float64Array.from(data, (value) => (value < 0 ? 0 : 1)), dims });
  }

  #named(value: oracle.Nd): string {
    const name = `constant${this.#constants.size}`;
    this.#constants.set(name, tensorOf(value));
    this.#values.set(name, value);
    return name;
  }

  /** The same dims as a reshape may be told them: -1, 0, or a dim of another value. */
  #disguise(dims: readonly number[], x: oracle.Nd): (number | { value: string; axis: number })[] {
    const target: (number | { value: string; axis: number })[] = [...dims];
    if (dims.length === 0) return target;
    const free = this.#whole(0, dims.length - 1);
    if (this.#random() < 0.5) target[free] = -1;
    dims.forEach((dim, axis) => {
      if (target[axis] === -1) return;
      const equal = [...this.#values].find(([, value]) => value.dims.includes(dim));
      if (x.dims[axis] === dim && this.#random() < 0.3) target[axis] = 0;
      else if (equal !== undefined && this.#random() < 0.3) {
        target[axis] = { value: equal[0], axis: equal[1].dims.indexOf(dim) };
      }
    });
    return target;
  }

  #dims(): number[] {
    const rank = this.#pick([0, 1, 2, 2, 3, 4, 4, 4, 4, 5]);
    return Array.from({ length: rank }, () => this.#whole(1, 5));
  }

  #axis(x: oracle.Nd): number {
    return this.#whole(-x.dims.length, x.dims.length - 1);
  }

  #front(axis: number, x: oracle.Nd): number {
    return axis < 0 ? axis + x.dims.length : axis;
  }

  #whole(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#whole(0, from.length - 1)]!;
  }

  #shuffled<T>(from: readonly T[]): T[] {
    const left = [...from];
    const shuffled: T[] = [];
    while (left.length > 0) shuffled.push(...left.splice(this.#whole(0, left.length - 1), 1));
    return shuffled;
  }
}

function tensorOf({ data, dims }: oracle.Nd): Tensor {
  return new Tensor('float32', Float32Array.from(data), [...dims]);
}
