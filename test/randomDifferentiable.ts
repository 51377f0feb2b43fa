/**
 * Random graphs of all operations that have gradients. Every weight is an input; unread values are outputs, so that all
 * of a graph has gradients.
 */
import type { Graph } from '../src/graph/graph.js';
import { inferShapes } from '../src/graph/shapes.js';
import { type GraphSpec, graphOf } from './gradientCheck.js';
import type { Nd } from './oracle.js';
import { randomNd, seededRandom } from './support.js';

const MAX_VALUES = 300;
const MAX_RANK = 5;
/** BatchNorms over fewer values per channel turn rounding into differences. */
const MIN_NORM_VALUES = 8;

type Dims = readonly number[];
type Settings = Record<string, unknown>;

interface Bounds {
  readonly dims: Dims;
  readonly low: number;
  readonly high: number;
}

export class RandomDifferentiable {
  readonly graph: Graph;
  /** Operations in it. */
  readonly operations: readonly string[];
  readonly #random: () => number;
  readonly #inputs: Bounds[] = [];
  readonly #nodes: GraphSpec['nodes'][number][] = [];
  /** Dims of all values, in order. */
  #dims = new Map<string, Dims>();
  readonly #read = new Set<string>();

  constructor(seed: number, nodeCount: number) {
    this.#random = seededRandom(seed);
    this.#input(this.#random() < 0.75 ? this.#imageDims() : [this.#whole(2, 5), this.#whole(2, 8)]);
    const { convolution, block, pool, unary } = this.makers;
    const makers = [...Object.values(this.makers), convolution, block, pool, unary];
    for (let tries = 0; this.#nodes.length < nodeCount && tries < nodeCount * 40; tries++) {
      // Mostly from the latest values, so that chains become long.
      const names = [...this.#dims.keys()].filter((name) => name === 'input0' || name.startsWith('v'));
      const name = this.#pick(this.#random() < 0.7 ? names.slice(-2) : names);
      this.#pick(makers)(name, this.#dims.get(name)!);
    }
    const unread = this.#nodes.flatMap((_, i) => (this.#read.has(`v${i}`) ? [] : `v${i}`));
    this.graph = graphOf({ dims: this.#inputs.map(({ dims }) => dims), nodes: this.#nodes }, unread);
    this.operations = this.#nodes.map(({ op }) => op);
  }

  /** New values for the inputs, and gradients for the outputs. */
  draw(): { inputs: Nd[]; seeds: Nd[] } {
    const inputs = this.#inputs.map(({ dims, low, high }) => randomNd(this.#random, dims, low, high));
    const seeds = this.graph.outputs.map((name) => randomNd(this.#random, this.#dims.get(name)!));
    return { inputs, seeds };
  }

  /** Makers of nodes over a value; one that cannot use it makes none. */
  private readonly makers = {
    convolution: (x: string, dims: Dims) => this.#makeConvolution(x, dims),
    batchNorm: (x: string, dims: Dims) => {
      if (dims.length === 4) this.#makeNorm(x, dims);
    },
    block: (x: string, dims: Dims) => this.#makeBlock(x, dims),
    linear: (x: string, dims: Dims) => {
      if (dims.length < 2) return;
      const rows = dims.length === 2 ? x : this.#add('flatten', [x], { axis: 1 });
      const outputs = this.#whole(1, 6);
      const bias = this.#random() < 0.5 ? this.#input([outputs]) : undefined;
      this.#add('linear', [rows, this.#input([outputs, this.#dims.get(rows)![1]!]), bias]);
    },
    pool: (x: string, dims: Dims) => this.#makePool(x, dims),
    globalPool: (x: string, dims: Dims) => {
      if (dims.length === 4) this.#add(this.#pick(['globalAvgPool2d', 'globalMaxPool2d']), [x]);
    },
    unary: (x: string) => {
      const op = this.#pick(['relu', 'leakyRelu', 'clip', 'sigmoid', 'hardSigmoid', 'hardSwish']);
      const settings: Record<string, Settings> = {
        leakyRelu: { alpha: 0.25 },
        clip: { alpha: -0.5, beta: 0.75 },
        hardSigmoid: this.#pick([{}, { alpha: 0.25, beta: 0.375 }]),
      };
      this.#add(op, [x], settings[op]);
    },
    binary: (x: string, dims: Dims) => {
      const op = this.#pick(['add', 'sub', 'mul', 'div']);
      const others = [...this.#dims].filter(([name, other]) => name.startsWith('v') && broadcasts(dims, other));
      const isOld = op !== 'div' && others.length > 0 && this.#random() < 0.6;
      const some = dims.map((size) => (this.#random() < 0.6 ? size : 1)).slice(this.#random() < 0.3 ? 1 : 0);
      const other = isOld ? this.#pick(others)[0] : op === 'div' ? this.#input(some, 0.5, 2) : this.#input(some);
      this.#add(op, op !== 'div' && this.#random() < 0.5 ? [other, x] : [x, other]);
    },
    quotient: (x: string, dims: Dims) => {
      // The divisor is a value between 0 and 1, plus an addend.
      const divisor = this.#add('add', [this.#add('sigmoid', [x]), this.#input([1], 0.5, 1)]);
      this.#add('div', [this.#input(dims), divisor]);
    },
    matMul: (x: string, dims: Dims) => {
      if (dims.length === 0 || dims.length > 4) return;
      const depth = dims.at(-1)!;
      const batch = dims.slice(0, -2).map((size) => (this.#random() < 0.5 ? 1 : size));
      const right = this.#pick([[depth], [depth, this.#whole(1, 6)], [...batch, depth, this.#whole(1, 5)]]);
      if (this.#random() < 0.5 || dims.length === 1) this.#add('matMul', [x, this.#input(right)]);
      else this.#add('matMul', [this.#input(this.#pick([[dims.at(-2)!], [this.#whole(1, 4), dims.at(-2)!]])), x]);
    },
    softmax: (x: string, dims: Dims) => {
      if (dims.length > 0) this.#add(this.#pick(['softmax', 'logSoftmax']), [x], { axis: this.#axis(dims) });
    },
    reduceMean: (x: string, dims: Dims) => {
      if (dims.length === 0) return;
      const axes = this.#shuffled(dims.map((_, axis) => axis)).slice(0, this.#whole(1, 2));
      this.#add('reduceMean', [x], {
        axes: this.#random() < 0.2 ? undefined : axes.map((axis) => (this.#random() < 0.3 ? axis - dims.length : axis)),
        keepDims: this.#random() < 0.5,
      });
    },
    concat: (x: string, dims: Dims) => {
      if (dims.length === 0) return;
      const axis = this.#axis(dims);
      const fixed = axis < 0 ? axis + dims.length : axis;
      const fits = (other: Dims) =>
        other.length === dims.length && other.every((size, i) => i === fixed || size === dims[i]);
      const others = [...this.#dims].filter(([, other]) => fits(other)).map(([name]) => name);
      const fresh = this.#input(dims.map((size, i) => (i === fixed ? this.#whole(1, 3) : size)));
      this.#add('concat', this.#shuffled([x, this.#pick(others), fresh]), { axis });
    },
    slice: (x: string, dims: Dims) => {
      if (dims.length === 0) return;
      const axes = this.#shuffled(dims.map((_, axis) => axis)).slice(0, this.#whole(1, 2));
      const ranges = axes.map((axis) => {
        const isBackwards = this.#random() < 0.3;
        const start = this.#whole(0, Math.floor((dims[axis]! - 1) / 2));
        const first = isBackwards ? dims[axis]! - 1 - start : start;
        return { start: first, end: isBackwards ? -1e9 : 1e9, step: this.#whole(1, 2) * (isBackwards ? -1 : 1) };
      });
      this.#add('slice', [x], {
        axes: axes.map((axis) => (this.#random() < 0.3 ? axis - dims.length : axis)),
        starts: ranges.map(({ start }) => start),
        ends: ranges.map(({ end }) => end),
        steps: ranges.map(({ step }) => step),
      });
    },
    pad: (x: string, dims: Dims) => {
      const ofImage = dims.length === 4 && this.#random() < 0.6;
      const mode = ofImage ? this.#pick(['constant', 'reflect', 'edge', 'wrap']) : 'constant';
      const most = (size: number) => Math.min(2, mode === 'reflect' ? size - 1 : size);
      const one = (size: number, axis: number) => {
        if ((ofImage && axis < 2) || this.#random() < 0.5) return 0;
        return this.#whole(mode === 'constant' && size > 3 ? -1 : 0, most(size));
      };
      this.#add('pad', [x], { pads: [...dims.map(one), ...dims.map(one)], mode, value: 0.5 });
    },
    transpose: (x: string, dims: Dims) => {
      const permutation = this.#random() < 0.2 ? undefined : this.#shuffled(dims.map((_, axis) => axis));
      this.#add('transpose', [x], { permutation });
    },
    reshape: (x: string, dims: Dims) => {
      const size = dims.reduce((a, b) => a * b, 1);
      const first = this.#pick(divisorsOf(size));
      const second = this.#pick(divisorsOf(size / first));
      this.#add('reshape', [x], { target: this.#pick([[first, second, -1], [first, -1], [-1]]) });
    },
    image: (x: string, dims: Dims) => {
      // Back to something that convolutions take.
      const size = dims.reduce((a, b) => a * b, 1);
      if (dims.length === 4 || size % 9 !== 0) return;
      this.#add('reshape', [x], {
        target: this.#pick([
          [1, -1, 3, 3],
          [-1, 1, 3, 3],
        ]),
      });
    },
    flatten: (x: string, dims: Dims) => {
      if (dims.length > 1) this.#add('flatten', [x], { axis: this.#whole(0, dims.length) });
    },
    squeeze: (x: string) => this.#add('squeeze', [x], { axes: undefined }),
    unsqueeze: (x: string, dims: Dims) => {
      if (dims.length < MAX_RANK) this.#add('unsqueeze', [x], { axes: [this.#whole(0, dims.length)] });
    },
    identity: (x: string) => this.#add('identity', [x]),
  };

  #makeConvolution(x: string, dims: Dims): void {
    if (dims.length !== 4) return;
    const [, channels, ...size] = dims as [number, number, number, number];
    const kernel = [this.#whole(1, 3), this.#whole(1, 3)];
    const paddingMode = this.#pick(['zeros', 'zeros', 'reflect', 'replicate', 'circular']);
    const most = [0, 1].map((axis) => Math.min(2, paddingMode === 'reflect' ? size[axis]! - 1 : size[axis]!));
    const least = paddingMode === 'zeros' ? -1 : 0;
    const pads = [0, 1, 0, 1].map((axis) => (this.#random() < 0.3 ? 0 : this.#whole(least, most[axis]!)));
    const window = { kernel, stride: this.#pair(), dilation: this.#pair(), pads };
    if (!fits(window, size)) return;
    const groups = this.#random() < 0.5 ? 1 : this.#pick(divisorsOf(channels));
    const outChannels = groups * this.#whole(1, groups > 2 ? 2 : 4);
    const weight = this.#input([outChannels, channels / groups, ...kernel]);
    const bias = this.#random() < 0.3 ? this.#input([outChannels]) : undefined;
    this.#add('conv2d', [x, weight, bias], { window, paddingMode, groups });
  }

  #makePool(x: string, dims: Dims): void {
    if (dims.length !== 4) return;
    const op = this.#pick(['maxPool2d', 'avgPool2d']);
    const kernel = [this.#whole(1, 3), this.#whole(1, 3)];
    const [down, across] = kernel.map((size) => this.#whole(0, size >> 1));
    const dilation = op === 'maxPool2d' && this.#random() < 0.3 ? this.#pair() : [1, 1];
    const window = { kernel, stride: this.#pair(), dilation, pads: [down!, across!, down!, across!] };
    if (!fits(window, dims.slice(2))) return;
    this.#add(op, [x], { window, ceilMode: false, countIncludePad: op === 'avgPool2d' && this.#random() < 0.5 });
  }

  #makeNorm(x: string, [batch, channels, height, width]: Dims): string {
    if (batch! * height! * width! < MIN_NORM_VALUES) return x;
    const parameter = (low: number, high: number) => this.#input([channels!], low, high);
    const [gamma, beta] = this.#random() < 0.2 ? [] : [parameter(0.5, 1.5), parameter(-1, 1)];
    const momentum = this.#random() < 0.8 ? 0.1 : undefined;
    const inputs = [x, gamma, beta, parameter(-0.2, 0.2), parameter(0.5, 2)];
    return this.#add('batchNorm', inputs, { eps: 1e-5, momentum });
  }

  /** What an ACBlock describes: branches, their BatchNorms, sums, sometimes an addend, a ReLU, a max pool. */
  #makeBlock(x: string, dims: Dims): void {
    if (dims.length !== 4) return;
    const [, channels] = dims as [number, number, number, number];
    const outChannels = this.#whole(1, 5);
    const stride = this.#random() < 0.7 ? [1, 1] : this.#pair();
    const branches = this.#shuffled([
      [3, 3],
      [3, 1],
      [1, 3],
    ]).slice(0, this.#whole(2, 3));
    const sums = branches.map((kernel) => {
      const pads = [kernel[0]! >> 1, kernel[1]! >> 1];
      const window = { kernel, stride, dilation: [1, 1], pads: [...pads, ...pads] };
      const weight = this.#input([outChannels, channels, ...kernel]);
      const z = this.#add('conv2d', [x, weight], { window, paddingMode: 'zeros', groups: 1 });
      return this.#makeNorm(z, this.#dims.get(z)!);
    });
    if (this.#random() < 0.3) sums.push(this.#input(this.#dims.get(sums[0]!)!));
    let sum = sums[0]!;
    for (const other of sums.slice(1)) sum = this.#add('add', [sum, other]);
    const isPooled = this.#random() < 0.3;
    if (isPooled) {
      const window = { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], pads: [0, 0, 0, 0] };
      const [, , ...size] = this.#dims.get(sum)!;
      if (fits(window, size)) sum = this.#add('maxPool2d', [sum], { window, ceilMode: false, countIncludePad: false });
    }
    if (this.#random() < 0.7) this.#add('relu', [sum]);
  }

  /** Returns the output's name; if that would have more than MAX_VALUES, adds nothing and returns its input. */
  #add(op: string, inputs: readonly (string | undefined)[], settings: Settings = {}): string {
    const nodes = [...this.#nodes, { op, inputs, ...settings }];
    const spec = { dims: this.#inputs.map(({ dims }) => dims), nodes };
    const dims = inferShapes(graphOf(spec), spec.dims);
    const name = `v${this.#nodes.length}`;
    if (dims.get(name)!.reduce((a, b) => a * b, 1) > MAX_VALUES) return inputs[0]!;
    this.#nodes.push(nodes.at(-1)!);
    this.#dims = dims;
    for (const read of inputs) if (read !== undefined) this.#read.add(read);
    return name;
  }

  /** Returns its name. */
  #input(dims: Dims, low = -1, high = 1): string {
    const name = `input${this.#inputs.length}`;
    this.#inputs.push({ dims, low, high });
    this.#dims.set(name, dims);
    return name;
  }

  #imageDims(): number[] {
    return [this.#whole(1, 2), this.#whole(1, 5), this.#whole(3, 5), this.#whole(3, 6)];
  }

  #axis(dims: Dims): number {
    const axis = this.#whole(0, dims.length - 1);
    return this.#random() < 0.3 ? axis - dims.length : axis;
  }

  #pair(): [number, number] {
    return [this.#whole(1, 2), this.#whole(1, 2)];
  }

  #whole(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  #shuffled<T>(list: readonly T[]): T[] {
    const from = [...list];
    return list.map(() => from.splice(Math.floor(this.#random() * from.length), 1)[0]!);
  }
}

interface Window {
  readonly kernel: readonly number[];
  readonly dilation: readonly number[];
  readonly pads: readonly number[];
}

/** Whether there is room for a window. */
function fits({ kernel, dilation, pads }: Window, size: Dims): boolean {
  return [0, 1].every((axis) => {
    const room = size[axis]! + pads[axis]! + pads[axis + 2]!;
    return (
      size[axis]! + Math.min(0, pads[axis]!) + Math.min(0, pads[axis + 2]!) > 0 &&
      room >= dilation[axis]! * (kernel[axis]! - 1) + 1
    );
  });
}

function broadcasts(a: Dims, b: Dims): boolean {
  const rank = Math.min(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => [a.at(-1 - i)!, b.at(-1 - i)!]).every(
    ([one, other]) => one === other || one === 1 || other === 1,
  );
}

function divisorsOf(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1).filter((one) => count % one === 0);
}
