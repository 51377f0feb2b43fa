/**
 * Makes ONNX models: chains of every operator that the package reads, and of blocks of branches that can be merged. The
 * maker knows the dims of its values, so that what it adds fits; in hostile models any number may then be replaced.
 *
 * An axis that may have any size has a name that ends in the size to feed: N2.
 */

import { type TensorProto, writeModel } from '../../src/formats/onnx/file/proto.js';
import { OPERATORS } from '../../src/formats/onnx/operators/readers.js';
import { floats, integers, modelOf, type NodeSpec, raw } from '../onnxModels.js';
import type { Random } from './random.js';

type Attributes = NonNullable<NodeSpec['attributes']>;

interface Value {
  readonly name: string;
  readonly dims: readonly number[];
}

type Pair = readonly [number, number];
type Four = readonly [number, number, number, number];

interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly pads: Four;
}

const OPSETS = [9, 10, 11, 12, 13, 13, 13, 14, 17, 18, 20, 21];
const MAX_VALUES = 3000;
const FLOAT = 1;
const SPECIAL = [Number.NaN, Number.POSITIVE_INFINITY, -0, 1e38, -3e38, 1e-45, 1e30];

export function makeModel(random: Random): Uint8Array {
  return writeModel(new Maker(random).make());
}

class Maker {
  readonly random: Random;
  readonly opset: number;
  /** How likely a number is to be replaced. */
  readonly hostility: number;
  readonly nodes: NodeSpec[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: Record<string, readonly (number | string)[] | undefined> = {};
  readonly inputTypes: Record<string, number> = {};
  values: Value[] = [];
  #names = 0;

  constructor(random: Random) {
    this.random = random;
    this.opset = random.pick(OPSETS);
    this.hostility = random.chance(0.7) ? 0 : random.pick([0.01, 0.03, 0.1]);
  }

  make() {
    const { random } = this;
    this.#addInput(random.chance(0.75) ? this.#imageDims() : this.#anyDims());
    if (random.chance(0.2)) this.#addInput(this.#anyDims());
    const kinds = Object.keys(MAKERS);
    const blocks = random.chance(0.9) ? random.whole(1, 2) : 0;
    const others = blocks > 0 ? random.whole(0, 3) : random.whole(1, 7);
    const order = random.some([...Array(blocks).fill('block'), ...Array(others).fill('other')], blocks + others);
    for (const what of order) {
      const x = random.chance(0.7) ? this.values.at(-1)! : random.pick(this.values);
      if (what === 'block') this.#block(x);
      else for (let tries = 0; tries < 8 && !MAKERS[random.pick(kinds)]!(this, x); tries++);
    }
    const names = new Set([this.values.at(-1)!.name]);
    for (let more = random.pick([0, 0, 0, 1, 2]); more > 0; more--) names.add(random.pick(this.values).name);
    const { nodes, initializers, inputs, inputTypes, opset } = this;
    return modelOf({ nodes, initializers, inputs, inputTypes, outputs: [...names], opset });
  }

  /** The number or, in a hostile model, perhaps another one. */
  number(value: number): number {
    return this.hostility > 0 && this.random.chance(this.hostility) ? this.random.hostile() : value;
  }

  numbers(values: readonly number[]): number[] {
    const list = values.map((value) => this.number(value));
    if (this.hostility > 0 && this.random.chance(this.hostility)) list.splice(this.random.whole(0, list.length), 1);
    return list;
  }

  name(base: string): string {
    return `${base}${this.#names++}`;
  }

  add(op: string, inputs: readonly string[], dims: readonly number[], attributes: Attributes = {}, more = 0): Value {
    const output = this.name(op.toLowerCase());
    const outputs = [output, ...Array.from({ length: more }, () => this.name('more'))];
    const name = this.random.chance(0.2) ? { name: this.name('node') } : {};
    this.nodes.push({ op, inputs, outputs, attributes, ...name });
    const value = { name: output, dims };
    // A value that is too large for further nodes can only be an output.
    if (sizeOf(dims) <= MAX_VALUES) this.values.push(value);
    return value;
  }

  /** An initializer of floats; sometimes through a Constant node or an Identity. */
  floats(dims: readonly number[], low = -1, high = 1): string {
    const name = this.name('w');
    const data = new Float32Array(sizeOf(dims));
    for (let i = 0; i < data.length; i++) data[i] = low + (high - low) * this.random.next();
    if (this.hostility > 0 && data.length > 0 && this.random.chance(2 * this.hostility)) {
      data[this.random.whole(0, data.length - 1)] = this.random.pick(SPECIAL);
    }
    const shape =
      this.hostility > 0 && this.random.chance(this.hostility / 2) ? dims.map((dim) => this.number(dim)) : dims;
    const tensor = raw(name, shape, FLOAT, data);
    if (this.random.chance(0.05)) {
      this.nodes.push({ op: 'Constant', inputs: [], outputs: [name], attributes: { value: { ...tensor, name: '' } } });
    } else if (this.random.chance(0.004)) {
      this.inputs[name] = dims;
    } else this.initializers.push(tensor);
    return name;
  }

  /** An initializer of these floats. */
  list(values: readonly number[]): string {
    const name = this.name('f');
    this.initializers.push(floats(name, [values.length], this.numbers(values)));
    return name;
  }

  ints(values: readonly number[], scalar = false): string {
    const name = this.name('i');
    const all = this.numbers(values);
    if (scalar) this.initializers.push(integers(name, all.slice(0, 1), all.length === 0 ? [0] : []));
    else if (this.random.chance(0.03)) {
      const value = integers('', all);
      this.nodes.push({ op: 'Constant', inputs: [], outputs: [name], attributes: { value } });
    } else this.initializers.push(integers(name, all));
    return name;
  }

  #addInput(dims: readonly number[]): void {
    const name = this.name('x');
    const declared = dims.map((dim, axis) => {
      const open = axis === 0 ? 0.4 : axis === 1 ? 0.08 : 0.15;
      return this.random.chance(open) ? `${'NCHW'[axis] ?? 'D'}${axis}_${dim}` : this.number(dim);
    });
    this.inputs[name] = this.random.chance(0.03) ? undefined : declared;
    this.values.push({ name, dims });
  }

  #imageDims(): number[] {
    const { random } = this;
    return [random.whole(1, 2), random.whole(1, 9), random.whole(1, 9), random.whole(1, 9)];
  }

  #anyDims(): number[] {
    const rank = this.random.pick([0, 1, 2, 2, 3, 3, 4, 5, 6]);
    return Array.from({ length: rank }, () => this.random.whole(1, 5));
  }

  // Blocks that merge

  /** Branches of one image that add up to one convolution, of the kinds that people train. */
  #block(from: Value): void {
    const { random } = this;
    const x = from.dims.length === 4 ? from : this.#toImage(from);
    if (x === undefined) return;
    const channels = x.dims[1]!;
    const kernel: Pair = random.pick([
      [3, 3],
      [3, 3],
      [5, 5],
      [3, 5],
      [1, 3],
      [2, 2],
      [4, 3],
    ] as const);
    const stride: Pair = random.chance(0.8) ? [1, 1] : [random.whole(1, 2), random.whole(1, 2)];
    const dilation: Pair = random.chance(0.8) ? [1, 1] : [random.whole(1, 2), random.whole(1, 2)];
    const groups = random.chance(0.8) ? 1 : random.pick([1, 2, 3, 4, channels].filter((one) => channels % one === 0));
    const same = random.chance(0.7);
    const out = same ? channels : groups * random.whole(1, 4);
    const pad = (axis: 0 | 1) => (random.chance(0.8) ? (dilation[axis] * (kernel[axis] - 1)) >> 1 : random.whole(0, 3));
    const [top, left] = [pad(0), pad(1)];
    const pads: Four = random.chance(0.8) ? [top, left, top, left] : [top, left, pad(0), pad(1)];
    const main: Window = { kernel, stride, dilation, pads };
    if (outDims(x.dims, out, main) === undefined) return;
    const terms: Value[] = [this.#unit(x, out, main, groups)!];
    for (let count = random.whole(1, 3); count > 0; count--) {
      const term = this.#term(x, out, main, groups);
      if (term?.dims.every((dim, axis) => dim === terms[0]!.dims[axis])) terms.push(term);
    }
    if (random.chance(0.15)) terms.push(this.add('Sigmoid', [terms[0]!.name], terms[0]!.dims));
    const sum = this.#sum(random.some(terms, terms.length));
    if (random.chance(0.5)) this.add('Relu', [sum.name], sum.dims);
  }

  #toImage(from: Value): Value | undefined {
    const size = sizeOf(from.dims);
    if (size > 500) return undefined;
    const channels = [1, 2, 3, 4, 5].filter((one) => size % one === 0).at(-1)!;
    const dims = [1, channels, size / channels, 1];
    return this.add('Reshape', [from.name, this.ints(dims)], dims);
  }

  #sum(terms: readonly Value[]): Value {
    const { random } = this;
    if (random.chance(0.1)) {
      return this.add(
        'Sum',
        terms.map(({ name }) => name),
        terms[0]!.dims,
      );
    }
    const left = [...terms];
    while (left.length > 1) {
      const [a, b] = random.some(left, 2) as [Value, Value];
      left.splice(left.indexOf(a), 1);
      left.splice(left.indexOf(b), 1, this.add('Add', [a.name, b.name], a.dims));
    }
    return left[0]!;
  }

  /** A branch beside the main convolution: a smaller kernel in its window, the image itself, a mean. */
  #term(x: Value, out: number, main: Window, groups: number): Value | undefined {
    const { random } = this;
    const { kernel, stride, dilation, pads } = main;
    const inPlace = stride[0] === 1 && stride[1] === 1 && out === x.dims[1];
    const kind = random.whole(0, 9);
    if (inPlace && kind === 0) return random.chance(0.5) ? x : this.#norm(x);
    if (inPlace && kind === 1) return this.#scale(x);
    if (out === x.dims[1] && kind === 2) {
      const attributes = {
        kernel_shape: [...kernel],
        strides: [...stride],
        pads: [...pads],
        count_include_pad: 1,
      };
      const dims = outDims(x.dims, out, { ...main, dilation: [1, 1] });
      return dims && this.add('AveragePool', [x.name], dims, attributes);
    }
    const size: Pair = random.pick([
      [1, 1],
      [kernel[0], 1],
      [1, kernel[1]],
      kernel,
      [random.whole(1, kernel[0]), random.whole(1, kernel[1])],
    ] as const);
    const first = [0, 1].map((axis) => {
      const room = kernel[axis]! - size[axis]!;
      return random.chance(0.9) ? (kernel[axis]! >> 1) - (size[axis]! >> 1) : random.whole(0, room);
    });
    const before = [0, 1].map((axis) => pads[axis]! - dilation[axis]! * first[axis]!);
    const after = [0, 1].map(
      (axis) => pads[axis + 2]! - dilation[axis]! * (kernel[axis]! - size[axis]! - first[axis]!),
    );
    const placed: Four = [before[0]!, before[1]!, after[0]!, after[1]!];
    const ownGroups = random.chance(0.9) ? groups : 1;
    // Exporters crop where the padding is negative.
    if (placed.some((pad) => pad < 0) && random.chance(0.7)) {
      const cropped = this.#crop(x, placed);
      const rest = placed.map((pad) => Math.max(0, pad)) as unknown as Four;
      return cropped && this.#unit(cropped, out, { ...main, kernel: size, pads: rest }, ownGroups);
    }
    return this.#unit(x, out, { ...main, kernel: size, pads: placed }, ownGroups);
  }

  #crop(x: Value, pads: Four): Value | undefined {
    const starts = [Math.max(0, -pads[0]), Math.max(0, -pads[1])];
    const ends = [0, 1].map((axis) => (pads[axis + 2]! < 0 ? pads[axis + 2]! : 2 ** 31 - 1));
    const dims = x.dims.map((dim, axis) => (axis < 2 ? dim : dim - starts[axis - 2]! - Math.max(0, -pads[axis]!)));
    return dims.some((dim) => dim < 1) ? undefined : this.slice(x, [2, 3], starts, ends, [1, 1], dims);
  }

  #unit(x: Value, out: number, window: Window, groups: number): Value | undefined {
    const convolved = this.conv(x, out, window, groups);
    if (convolved === undefined || this.random.chance(0.3)) return convolved;
    return this.random.chance(0.85) ? this.#norm(convolved) : this.#scale(convolved);
  }

  conv(x: Value, out: number, window: Window, groups: number): Value | undefined {
    const dims = outDims(x.dims, out, window);
    if (dims === undefined) return undefined;
    const { kernel, stride, dilation, pads } = window;
    const depth = (x.dims[1]! / groups) * kernel[0] * kernel[1];
    const inputs = [x.name, this.floats([out, x.dims[1]! / groups, ...kernel], -2 / depth, 2 / depth)];
    if (this.random.chance(0.3)) inputs.push(this.floats([out]));
    const attributes: Attributes = {
      ...((this.random.chance(0.7) || this.hostility > 0) && { kernel_shape: this.numbers(kernel) }),
      ...((stride.some((one) => one !== 1) || this.random.chance(0.5)) && { strides: this.numbers(stride) }),
      ...((dilation.some((one) => one !== 1) || this.random.chance(0.5)) && { dilations: this.numbers(dilation) }),
      ...((pads.some((one) => one !== 0) || this.random.chance(0.5)) && { pads: this.numbers(pads) }),
      ...((groups !== 1 || this.random.chance(0.3)) && { group: this.number(groups) }),
    };
    return this.add('Conv', inputs, dims, attributes);
  }

  #norm(x: Value): Value {
    const channels = x.dims[1]!;
    const inputs = [
      x.name,
      this.floats([channels], 0.2, 1),
      this.floats([channels], -0.5, 0.5),
      this.floats([channels], -0.5, 0.5),
      this.floats([channels], 0.5, 2),
    ];
    return this.add('BatchNormalization', inputs, x.dims, { epsilon: { f: 1e-5 } });
  }

  norm(x: Value): Value | undefined {
    return x.dims.length < 2 ? undefined : this.#norm(x);
  }

  #scale(x: Value): Value {
    const op = this.random.pick(['Mul', 'Mul', 'Add', 'Div', 'Sub']);
    const dims = this.random.chance(0.7) ? [x.dims[1]!, 1, 1] : this.random.pick([[], [1], [1, x.dims[1]!, 1, 1]]);
    return this.add(op, [x.name, this.floats(dims, 0.5, 1.5)], x.dims);
  }

  slice(
    x: Value,
    axes: readonly number[],
    starts: readonly number[],
    ends: readonly number[],
    steps: readonly number[],
    dims: readonly number[],
  ): Value {
    if (this.opset < 10) {
      const attributes = { axes: this.numbers(axes), starts: this.numbers(starts), ends: this.numbers(ends) };
      return this.add('Slice', [x.name], dims, attributes);
    }
    const inputs = [x.name, this.ints(starts), this.ints(ends), this.ints(axes)];
    if (steps.some((step) => step !== 1) || this.random.chance(0.5)) inputs.push(this.ints(steps));
    return this.add('Slice', inputs, dims);
  }

  pad(x: Value, pads: readonly number[], mode: string, dims: readonly number[]): Value {
    const attributes = mode === 'constant' && this.random.chance(0.5) ? {} : { mode };
    if (this.opset < 11) return this.add('Pad', [x.name], dims, { ...attributes, pads: this.numbers(pads) });
    const inputs = [x.name, this.ints(pads)];
    if (this.random.chance(0.3)) inputs.push(this.floats([]));
    return this.add('Pad', inputs, dims, attributes);
  }

  /** A list that is an attribute before an opset and an input from it on. */
  withList(
    op: string,
    since: number,
    x: Value,
    list: readonly number[] | undefined,
    dims: readonly number[],
    attributes: Attributes = {},
  ): Value {
    if (list === undefined) return this.add(op, [x.name], dims, attributes);
    if (this.opset < since) return this.add(op, [x.name], dims, { ...attributes, axes: this.numbers(list) });
    return this.add(op, [x.name, this.ints(list)], dims, attributes);
  }

  /** An axis, sometimes counted from the end. */
  axis(axis: number, rank: number): number {
    return this.number(this.random.chance(0.3) ? axis - rank : axis);
  }
}

function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Output dims of a window over an image; undefined if there are no windows. */
function outDims(dims: readonly number[], channels: number, { kernel, stride, dilation, pads }: Window) {
  const spatial = [0, 1].map((axis) => {
    const space = dims[2 + axis]! + pads[axis]! + pads[axis + 2]! - dilation[axis]! * (kernel[axis]! - 1) - 1;
    return space < 0 ? 0 : Math.floor(space / stride[axis]!) + 1;
  });
  return spatial.includes(0) ? undefined : [dims[0]!, channels, ...spatial];
}

/** Whether something was added to a value of these dims. */
type Make = (maker: Maker, x: Value) => Value | undefined;

function unary(op: string, attributes: (random: Random) => Attributes = () => ({})): Make {
  return (maker, x) => maker.add(op, [x.name], x.dims, attributes(maker.random));
}

function ofAlpha(random: Random): Attributes {
  return random.chance(0.5) ? {} : { alpha: { f: random.pick([0, 0.5, 1, 2]) } };
}

/** Over one axis. */
function along(op: string, attributes: (random: Random) => Attributes): Make {
  return (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.axis(maker.random.whole(0, x.dims.length - 1), x.dims.length);
    return maker.add(op, [x.name], x.dims, { axis, ...attributes(maker.random) });
  };
}

/** With a scale and a bias for each channel. */
function ofChannels(op: string, attributes: Attributes = {}): Make {
  return (maker, x) => {
    if (x.dims.length < 3) return undefined;
    const [scale, bias] = [maker.floats([x.dims[1]!]), maker.floats([x.dims[1]!])];
    return maker.add(op, [x.name, scale, bias], x.dims, attributes);
  };
}

function reduction(op: string, since: number): Make {
  return (maker, x) => {
    const axes = maker.random.some([...x.dims.keys()], maker.random.whole(1, 3));
    const keep = maker.random.chance(0.5);
    if (axes.length === 0) return undefined;
    const dims = x.dims.flatMap((dim, axis) => (axes.includes(axis) ? (keep ? [1] : []) : [dim]));
    return maker.withList(op, since, x, axes, dims, keep ? {} : { keepdims: 0 });
  };
}

/** Where along an axis something is, as floats. */
function place(op: string): Make {
  return (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    const dims = x.dims.map((dim, i) => (i === axis ? 1 : dim));
    const places = node(maker, op, [x.name], { axis: maker.axis(axis, x.dims.length) });
    return maker.add('Cast', [places], dims, { to: 1 });
  };
}

/** Adds integers that are known, as floats. */
function addIntegers(maker: Maker, x: Value, integers: string): Value {
  return maker.add('Add', [x.name, node(maker, 'Cast', [integers], { to: 1 })], atLeast1(x.dims));
}

/** With a vector, a scalar becomes one. */
function atLeast1(dims: readonly number[]): readonly number[] {
  return dims.length === 0 ? [1] : dims;
}

/** With a constant, a value of the same dims, or itself. */
function arithmetic(op: string): Make {
  return (maker, x) => {
    const { random } = maker;
    const same = maker.values.filter(({ dims }) => dims.join() === x.dims.join());
    const kind = random.whole(0, 3);
    const dims =
      kind === 0 ? [] : x.dims.slice(random.whole(0, x.dims.length)).map((dim) => (random.chance(0.5) ? 1 : dim));
    const other = kind < 3 || op === 'Div' ? maker.floats(dims, 0.5, 1.5) : random.pick(same).name;
    const inputs = random.chance(0.2) && op !== 'Div' ? [other, x.name] : [x.name, other];
    return maker.add(op, inputs, x.dims);
  };
}

function pool(op: 'MaxPool' | 'AveragePool'): Make {
  return (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const { random } = maker;
    const window: Window = {
      kernel: [random.whole(1, 4), random.whole(1, 4)],
      stride: [random.whole(1, 3), random.whole(1, 3)],
      dilation: random.chance(0.8) || op === 'AveragePool' ? [1, 1] : [random.whole(1, 2), random.whole(1, 2)],
      pads: random.chance(0.5) ? [0, 0, 0, 0] : [1, 1, random.whole(0, 1), 1],
    };
    const huge = random.chance(0.08) ? hugeWindow(random) : window;
    const dims = outDims(x.dims, x.dims[1]!, huge);
    if (dims === undefined) return undefined;
    const attributes = {
      kernel_shape: maker.numbers(huge.kernel),
      strides: maker.numbers(huge.stride),
      pads: maker.numbers(huge.pads),
      ...(op === 'MaxPool' && { dilations: maker.numbers(huge.dilation) }),
      ...(op === 'AveragePool' && { count_include_pad: random.whole(0, 1) }),
      ...(random.chance(0.15) && { ceil_mode: 1 }),
    };
    return maker.add(op, [x.name], dims, attributes);
  };
}

function resize(op: 'Resize' | 'Upsample'): Make {
  return (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const { random, opset } = maker;
    const isEarly = op === 'Upsample' || opset < 11;
    const scale = random.pick([1, 1.5, 2, ...(isEarly ? [] : [0.5])]);
    const spatial = x.dims.slice(2).map((dim) => Math.floor(dim * scale)) as [number, number];
    if (spatial.includes(0)) return undefined;
    const dims = [...x.dims.slice(0, 2), ...spatial];
    const mode = random.pick(['nearest', 'linear']);
    const scales = maker.list([1, 1, scale, scale]);
    if (isEarly) return maker.add(op, [x.name, scales], dims, { mode });
    const attributes = {
      mode,
      coordinate_transformation_mode: random.pick(['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric']),
      nearest_mode: random.pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil']),
    };
    const roi = opset < 13 ? maker.list([]) : '';
    if (random.chance(0.5)) return maker.add(op, [x.name, roi, scales], dims, attributes);
    const none = opset < 13 ? maker.list([]) : '';
    return maker.add(op, [x.name, roi, none, maker.ints(dims)], dims, attributes);
  };
}

/** Much larger than the image, with as much padding, so that there are few windows. */
function hugeWindow(random: Random): Window {
  const size = random.pick([50, 1000, 20_000, 2 ** 20, 2 ** 30, 2 ** 31 - 1]);
  const kernel = random.chance(0.5) ? size : 2;
  const dilation = kernel === 2 ? size - 1 : 1;
  const before = random.whole(0, size - 1);
  const stride = Math.max(1, random.pick([1, 3, size >> 3, size]));
  const axis = {
    kernel,
    dilation,
    before,
    after: Math.min(2 ** 31 - 1, size - 1 + random.whole(0, 8) - before),
    stride,
  };
  const [a, b] = random.chance(0.5) ? [axis, axis] : [axis, { kernel: 1, dilation: 1, before: 0, after: 0, stride: 1 }];
  return {
    kernel: [a.kernel, b.kernel],
    stride: [a.stride, b.stride],
    dilation: [a.dilation, b.dilation],
    pads: [a.before, b.before, a.after, b.after],
  };
}

function softmax(op: string): Make {
  return (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    return maker.add(op, [x.name], x.dims, { axis: maker.axis(axis, x.dims.length) });
  };
}

function shapeOf(maker: Maker, x: Value): string {
  const attributes = maker.opset >= 15 && maker.random.chance(0.2) ? { start: maker.number(0) } : {};
  const name = maker.name('shape');
  maker.nodes.push({ op: 'Shape', inputs: [x.name], outputs: [name], attributes });
  return name;
}

function node(maker: Maker, op: string, inputs: readonly string[], attributes: Attributes = {}): string {
  const name = maker.name(op.toLowerCase());
  maker.nodes.push({ op, inputs, outputs: [name], attributes });
  return name;
}

/** A size of `x` as exporters compute it: Shape, Gather, perhaps arithmetic and casts, Unsqueeze. */
function sizeByNodes(maker: Maker, x: Value, axis: number): string {
  const { random } = maker;
  let size = node(maker, 'Gather', [shapeOf(maker, x), maker.ints([axis], true)], { axis: 0 });
  if (random.chance(0.3)) size = node(maker, random.pick(['Mul', 'Div']), [size, maker.ints([1], true)]);
  if (random.chance(0.3)) size = node(maker, 'Cast', [size], { to: 7 });
  if (maker.opset < 13) return node(maker, 'Unsqueeze', [size], { axes: [0] });
  return node(maker, 'Unsqueeze', [size, maker.ints([0])]);
}

const MAKERS: Readonly<Record<string, Make>> = {
  Conv: (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const { random } = maker;
    const kernel: Pair = [random.whole(1, 5), random.whole(1, 5)];
    const pads: Four = [random.whole(0, 2), random.whole(0, 2), random.whole(0, 2), random.whole(0, 2)];
    const stride: Pair = [random.whole(1, 2), random.whole(1, 2)];
    const dilation: Pair = random.chance(0.8) ? [1, 1] : [random.whole(1, 3), random.whole(1, 3)];
    const groups = random.pick([1, 1, x.dims[1]!]);
    if (random.chance(0.06)) {
      const huge = hugeWindow(random);
      if (huge.kernel.every((size) => size < 60)) return maker.conv(x, groups, huge, groups);
    }
    return maker.conv(x, groups * random.whole(1, 3), { kernel, stride, dilation, pads }, groups);
  },
  BatchNormalization: (maker, x) => maker.norm(x),
  Relu: unary('Relu'),
  LeakyRelu: unary('LeakyRelu', (random) => ({ alpha: { f: random.pick([0, 0.1, 1, -1, 0.3]) } })),
  Sigmoid: unary('Sigmoid'),
  HardSwish: unary('HardSwish'),
  HardSigmoid: unary('HardSigmoid', (random) => (random.chance(0.5) ? {} : { alpha: { f: 0.25 }, beta: { f: 0.4 } })),
  ...Object.fromEntries(
    ['Sqrt', 'Reciprocal', 'Abs', 'Neg', 'Floor', 'Ceil', 'Round', 'Sign', 'Exp', 'Log', 'Tanh', 'Erf', 'Softplus'].map(
      (op) => [op, unary(op)],
    ),
  ),
  Softsign: unary('Softsign'),
  Mish: unary('Mish'),
  Gelu: unary('Gelu', (random) => (random.chance(0.5) ? {} : { approximate: random.pick(['tanh', 'none']) })),
  Elu: unary('Elu', ofAlpha),
  Selu: unary('Selu', (random) => (random.chance(0.5) ? {} : { ...ofAlpha(random), gamma: { f: 0.5 } })),
  Celu: unary('Celu', ofAlpha),
  ThresholdedRelu: unary('ThresholdedRelu', ofAlpha),
  LpNormalization: along('LpNormalization', (random) => ({ p: random.whole(1, 2) })),
  MeanVarianceNormalization: (maker, x) =>
    x.dims.length === 4 ? maker.add('MeanVarianceNormalization', [x.name], x.dims) : undefined,
  LRN: (maker, x) =>
    x.dims.length === 4
      ? maker.add('LRN', [x.name], x.dims, { size: maker.number(maker.random.whole(1, 5)) })
      : undefined,
  InstanceNormalization: ofChannels('InstanceNormalization'),
  GroupNormalization: (maker, x) =>
    x.dims.length < 3 ? undefined : ofChannels('GroupNormalization', { num_groups: maker.number(1) })(maker, x),
  LayerNormalization: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    const own = x.dims.slice(axis);
    const inputs = [x.name, maker.floats(own), ...(maker.random.chance(0.5) ? [maker.floats(own)] : [])];
    return maker.add('LayerNormalization', inputs, x.dims, { axis: maker.axis(axis, x.dims.length) });
  },
  ...Object.fromEntries(
    ['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].map((op): [string, Make] => [
      op,
      (maker, x) => maker.add('Cast', [node(maker, op, [x.name, maker.floats([])])], x.dims, { to: 1 }),
    ]),
  ),
  ...Object.fromEntries(
    ['And', 'Or', 'Xor'].map((op): [string, Make] => [
      op,
      (maker, x) => {
        const condition = () => node(maker, 'Less', [x.name, maker.floats([])]);
        return maker.add('Cast', [node(maker, op, [condition(), condition()])], x.dims, { to: 1 });
      },
    ]),
  ),
  Not: (maker, x) => {
    const condition = node(maker, 'Greater', [x.name, maker.floats([])]);
    return maker.add('Cast', [node(maker, 'Not', [condition])], x.dims, { to: 1 });
  },
  Where: (maker, x) => {
    const condition = node(maker, 'Less', [x.name, maker.floats([])]);
    return maker.add('Where', [condition, x.name, maker.floats([])], x.dims);
  },
  Pow: (maker, x) => maker.add('Pow', [x.name, maker.list([maker.random.pick([0.5, 1, 2, 3, -1])])], atLeast1(x.dims)),
  PRelu: (maker, x) => maker.add('PRelu', [x.name, maker.floats(x.dims.slice(1).map(() => 1))], x.dims),
  Min: arithmetic('Min'),
  Max: arithmetic('Max'),
  Mean: arithmetic('Mean'),
  ...Object.fromEntries(
    'ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp'
      .split(' ')
      .map((op) => [op, reduction(op, op === 'ReduceSum' ? 13 : 18)]),
  ),
  ArgMax: place('ArgMax'),
  ArgMin: place('ArgMin'),
  TopK: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    const count = maker.random.whole(1, x.dims[axis]!);
    const dims = x.dims.map((dim, i) => (i === axis ? count : dim));
    const inputs = maker.opset < 10 ? [x.name] : [x.name, maker.ints([count])];
    const attributes = { axis: maker.axis(axis, x.dims.length), ...(maker.opset < 10 && { k: maker.number(count) }) };
    return maker.add('TopK', inputs, dims, attributes, 1);
  },
  CumSum: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.ints([maker.axis(maker.random.whole(0, x.dims.length - 1), x.dims.length)], true);
    const flags = { exclusive: maker.random.whole(0, 1), reverse: maker.random.whole(0, 1) };
    return maker.add('CumSum', [x.name, axis], x.dims, flags);
  },
  ConvTranspose: (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const { random } = maker;
    const channels = x.dims[1]!;
    const groups = random.chance(0.7) ? 1 : channels;
    const out = random.whole(1, 3);
    const [kernel, strides] = [
      [random.whole(1, 4), random.whole(1, 4)],
      [random.whole(1, 3), random.whole(1, 3)],
    ];
    const extra = strides.map((stride) => random.whole(0, stride - 1));
    const spatial = x.dims.slice(2).map((dim, i) => strides[i]! * (dim - 1) + extra[i]! + kernel[i]!);
    const inputs = [x.name, maker.floats([channels, out, ...kernel], -0.2, 0.2)];
    if (random.chance(0.5)) inputs.push(maker.floats([out * groups]));
    const attributes = {
      strides: maker.numbers(strides),
      group: maker.number(groups),
      ...(random.chance(0.5) || extra.some((one) => one > 0) ? { output_padding: maker.numbers(extra) } : {}),
    };
    return maker.add('ConvTranspose', inputs, [x.dims[0]!, out * groups, ...spatial], attributes);
  },
  DepthToSpace: (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const [batch, channels, height, width] = x.dims as [number, number, number, number];
    const block = [3, 2, 1].find((size) => channels % (size * size) === 0)!;
    const dims = [batch, channels / (block * block), height * block, width * block];
    const mode = maker.opset >= 11 ? { mode: maker.random.pick(['DCR', 'CRD']) } : {};
    return maker.add('DepthToSpace', [x.name], dims, { blocksize: maker.number(block), ...mode });
  },
  SpaceToDepth: (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const [batch, channels, height, width] = x.dims as [number, number, number, number];
    const block = [3, 2, 1].find((size) => height % size === 0 && width % size === 0)!;
    const dims = [batch, channels * block * block, height / block, width / block];
    return maker.add('SpaceToDepth', [x.name], dims, { blocksize: maker.number(block) });
  },
  LpPool: (maker, x) => {
    if (x.dims.length !== 4) return undefined;
    const kernel = [maker.random.whole(1, x.dims[2]!), maker.random.whole(1, x.dims[3]!)];
    const dims = [...x.dims.slice(0, 2), ...kernel.map((size, i) => x.dims[2 + i]! - size + 1)];
    return maker.add('LpPool', [x.name], dims, { kernel_shape: maker.numbers(kernel), p: maker.random.whole(1, 3) });
  },
  GlobalLpPool: (maker, x) =>
    x.dims.length === 4 ? maker.add('GlobalLpPool', [x.name], [...x.dims.slice(0, 2), 1, 1], { p: 2 }) : undefined,
  Split: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    const size = x.dims[axis]!;
    if (size < 2) return undefined;
    const first = maker.random.whole(1, size - 1);
    const dims = x.dims.map((dim, i) => (i === axis ? first : dim));
    const attributes = { axis: maker.axis(axis, x.dims.length) };
    if (maker.opset < 13) {
      return maker.add('Split', [x.name], dims, { ...attributes, split: maker.numbers([first, size - first]) }, 1);
    }
    return maker.add('Split', [x.name, maker.ints([first, size - first])], dims, attributes, 1);
  },
  Tile: (maker, x) => {
    const repeats = x.dims.map(() => maker.random.pick([1, 1, 2, 3]));
    if (repeats.length === 0) return undefined;
    return maker.add(
      'Tile',
      [x.name, maker.ints(repeats)],
      x.dims.map((dim, axis) => dim * repeats[axis]!),
    );
  },
  GatherElements: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    const axis = maker.random.whole(0, x.dims.length - 1);
    const places = node(maker, 'ArgMax', [x.name], { axis });
    const dims = x.dims.map((dim, i) => (i === axis ? 1 : dim));
    return maker.add('GatherElements', [x.name, places], dims, { axis: maker.axis(axis, x.dims.length) });
  },
  Size: (maker, x) => {
    const size = node(maker, 'Size', [maker.floats([2, 3])]);
    return maker.add('Div', [x.name, node(maker, 'Cast', [size], { to: 1 })], x.dims);
  },
  Range: (maker, x) => {
    const bounds = [0, x.dims.at(-1) ?? 1, 1].map((one) => maker.ints([one], true));
    return addIntegers(maker, x, node(maker, 'Range', bounds));
  },
  NonZero: (maker, x) => {
    const places = node(maker, 'NonZero', [maker.ints(Array.from({ length: x.dims.at(-1) ?? 1 }, () => 1))]);
    return addIntegers(maker, x, places);
  },
  Mod: (maker, x) => addIntegers(maker, x, node(maker, 'Mod', [maker.ints([7]), maker.ints([3])])),
  ScatterND: (maker, x) => {
    const [data, at, updates] = [maker.ints([1, 2]), maker.ints([1]), maker.ints([5], true)];
    const column = maker.opset < 13 ? [] : [maker.ints([1])];
    const places = node(maker, 'Unsqueeze', [at, ...column], maker.opset < 13 ? { axes: [1] } : {});
    const [axis] = [maker.ints([0])];
    const lists = maker.opset < 13 ? [] : [axis];
    const list = node(maker, 'Unsqueeze', [updates, ...lists], maker.opset < 13 ? { axes: [0] } : {});
    const scattered = node(maker, 'ScatterND', [data, places, list]);
    return addIntegers(maker, x, node(maker, 'Gather', [scattered, maker.ints([1])]));
  },
  Clip: (maker, x) => {
    const [low, high] = maker.random.pick([
      [0, 6],
      [-0.5, 0.5],
      [0, Number.POSITIVE_INFINITY],
    ] as const);
    if (maker.opset < 11) return maker.add('Clip', [x.name], x.dims, { min: { f: low }, max: { f: high } });
    const bound = (value: number) => maker.floats([], value, value);
    const inputs = maker.random.chance(0.2) ? [x.name, '', bound(high)] : [x.name, bound(low), bound(high)];
    return maker.add('Clip', inputs, x.dims);
  },
  Add: arithmetic('Add'),
  Sub: arithmetic('Sub'),
  Mul: arithmetic('Mul'),
  Div: arithmetic('Div'),
  Sum: (maker, x) => {
    const count = maker.random.chance(0.02) ? 3000 : maker.random.whole(1, 4);
    const same = maker.values.filter(({ dims }) => dims.join() === x.dims.join());
    const names = Array.from({ length: count }, () => maker.random.pick(same).name);
    return maker.add('Sum', names, x.dims);
  },
  MaxPool: pool('MaxPool'),
  AveragePool: pool('AveragePool'),
  Resize: resize('Resize'),
  Upsample: resize('Upsample'),
  GlobalAveragePool: (maker, x) =>
    x.dims.length === 4 ? maker.add('GlobalAveragePool', [x.name], [x.dims[0]!, x.dims[1]!, 1, 1]) : undefined,
  GlobalMaxPool: (maker, x) =>
    x.dims.length === 4 ? maker.add('GlobalMaxPool', [x.name], [x.dims[0]!, x.dims[1]!, 1, 1]) : undefined,
  Gemm: (maker, x) => {
    if (x.dims.length !== 2) return undefined;
    const { random } = maker;
    const out = random.whole(1, 9);
    const [rows, depth] = x.dims as [number, number];
    const transA = random.chance(0.15);
    const transB = random.chance(0.5);
    const inner = transA ? rows : depth;
    const inputs = [x.name, maker.floats(transB ? [out, inner] : [inner, out], -1 / inner, 1 / inner)];
    const count = transA ? depth : rows;
    if (random.chance(0.7)) inputs.push(maker.floats(random.pick([[out], [1, out], [], [1], [count, out]])));
    const attributes = {
      ...(transA && { transA: 1 }),
      ...(transB && { transB: 1 }),
      ...(random.chance(0.2) && { alpha: { f: random.pick([0.5, -1, 0]) } }),
      ...(random.chance(0.2) && { beta: { f: random.pick([0.5, -1, 0]) } }),
    };
    return maker.add('Gemm', inputs, [count, out], attributes);
  },
  MatMul: (maker, x) => {
    const depth = x.dims.at(-1);
    if (depth === undefined) return undefined;
    const columns = maker.random.whole(1, 9);
    const batch = x.dims.length > 2 && maker.random.chance(0.3) ? x.dims.slice(0, -2) : [];
    const other = maker.floats([...batch, depth, columns], -1 / depth, 1 / depth);
    return maker.add('MatMul', [x.name, other], [...x.dims.slice(0, -1), columns]);
  },
  Einsum: (maker, x) => {
    if (x.dims.length !== 3) return undefined;
    const [a, b, c] = x.dims as [number, number, number];
    const [text, own, dims] = maker.random.pick([
      ['abc,cd->abd', [c, 2], [a, b, 2]],
      ['abc,bc->a', [b, c], [a]],
      ['abc,adc->bad', [a, 3, c], [b, a, 3]],
    ] as const);
    return maker.add('Einsum', [x.name, maker.floats(own)], dims, { equation: text });
  },
  Flatten: (maker, x) => {
    if (x.dims.length < 1) return undefined;
    const axis = maker.random.whole(0, x.dims.length);
    const dims = [sizeOf(x.dims.slice(0, axis)), sizeOf(x.dims.slice(axis))];
    return maker.add('Flatten', [x.name], dims, { axis: maker.number(axis) });
  },
  Reshape: (maker, x) => {
    const { random } = maker;
    const dims: number[] = [];
    let rest = sizeOf(x.dims);
    while (dims.length < 5 && (rest > 1 || random.chance(0.3))) {
      const divisors = Array.from({ length: Math.min(rest, 40) }, (_, i) => i + 1).filter((one) => rest % one === 0);
      const dim = dims.length === 4 ? rest : random.pick(divisors);
      dims.push(dim);
      rest /= dim;
    }
    if (rest > 1 || (dims.length === 0 && x.dims.length > 0)) return undefined;
    const told: number[] = [...dims];
    if (told.length > 0 && random.chance(0.5)) told[random.whole(0, told.length - 1)] = -1;
    if (random.chance(0.2) && dims.length > 0 && dims[0] === x.dims[0]) {
      const parts = [
        sizeByNodes(maker, x, 0),
        maker.ints(told.slice(1).map((dim, i) => (dim === -1 ? dims[i + 1]! : dim))),
      ];
      return maker.add('Reshape', [x.name, node(maker, 'Concat', parts, { axis: 0 })], dims);
    }
    return maker.add('Reshape', [x.name, maker.ints(told)], dims);
  },
  Transpose: (maker, x) => {
    const order = maker.random.some([...x.dims.keys()], x.dims.length);
    if (maker.random.chance(0.2)) return maker.add('Transpose', [x.name], [...x.dims].reverse());
    return maker.add(
      'Transpose',
      [x.name],
      order.map((axis) => x.dims[axis]!),
      { perm: maker.numbers(order) },
    );
  },
  Concat: (maker, x) => {
    const { random } = maker;
    if (x.dims.length === 0) return undefined;
    const axis = random.chance(0.6) && x.dims.length > 1 ? 1 : random.whole(0, x.dims.length - 1);
    const fits = maker.values.filter(
      ({ dims }) => dims.length === x.dims.length && dims.every((dim, i) => i === axis || dim === x.dims[i]),
    );
    const parts = [x, ...Array.from({ length: random.whole(0, 3) }, () => random.pick(fits))];
    const copies = random.chance(0.02) ? 500 : 1;
    const all = Array.from({ length: copies }, () => parts).flat();
    const names = all.map(({ name }) => name);
    let along = all.reduce((sum, { dims }) => sum + dims[axis]!, 0);
    if (random.chance(0.3)) {
      const size = random.whole(1, 4);
      names.push(maker.floats(x.dims.map((dim, i) => (i === axis ? size : dim))));
      along += size;
    }
    const dims = x.dims.map((dim, i) => (i === axis ? along : dim));
    return maker.add('Concat', names, dims, { axis: maker.axis(axis, x.dims.length) });
  },
  Slice: (maker, x) => {
    const { random } = maker;
    if (x.dims.length === 0) return undefined;
    const axes = random.some([...x.dims.keys()], random.whole(1, 3));
    const dims = [...x.dims];
    const [starts, ends, steps]: [number[], number[], number[]] = [[], [], []];
    for (const axis of axes) {
      const size = x.dims[axis]!;
      const step = maker.opset < 10 ? 1 : random.pick([1, 1, 1, 2, -1, -2]);
      const [low, high] = [random.whole(0, size - 1), random.whole(0, size - 1)].sort((a, b) => a - b) as [
        number,
        number,
      ];
      if (step > 0) {
        starts.push(random.chance(0.3) ? low - size : low);
        ends.push(high === size - 1 ? random.pick([size, 2 ** 31 - 1, 2 ** 63, 1000]) : high + 1);
        dims[axis] = Math.ceil((high + 1 - low) / step);
      } else {
        starts.push(random.chance(0.3) ? 2 ** 31 - 1 : size - 1);
        ends.push(low === 0 ? -(2 ** 31) : low - 1 - size);
        const last = low === 0 ? 0 : low;
        dims[axis] = Math.ceil((size - last) / -step);
      }
      steps.push(step);
    }
    return maker.slice(x, axes, starts, ends, steps, dims);
  },
  Pad: (maker, x) => {
    const { random } = maker;
    const rank = x.dims.length;
    if (rank === 0) return undefined;
    if (random.chance(0.08)) return padAndBack(maker, x);
    const mode = random.pick(['constant', 'constant', 'reflect', 'edge', ...(maker.opset >= 19 ? ['wrap'] : [])]);
    const one = (dim: number) =>
      random.chance(0.6) ? 0 : random.whole(dim > 3 ? -1 : 0, mode === 'constant' ? 3 : Math.min(2, dim - 1));
    const pads = [...x.dims.map(one), ...x.dims.map(one)];
    const dims = x.dims.map((dim, axis) => dim + pads[axis]! + pads[axis + rank]!);
    return dims.some((dim) => dim < 1) ? undefined : maker.pad(x, pads, mode, dims);
  },
  Softmax: softmax('Softmax'),
  LogSoftmax: softmax('LogSoftmax'),
  Identity: unary('Identity'),
  Dropout: (maker, x) => {
    if (maker.opset < 12 || maker.random.chance(0.5))
      return maker.add('Dropout', [x.name], x.dims, {}, maker.random.whole(0, 1));
    return maker.add('Dropout', [x.name, maker.floats([], 0.1, 0.9)], x.dims);
  },
  Constant: (maker, x) => {
    const name = maker.name('constant');
    const size = x.dims.at(-1) ?? 1;
    const attributes: Attributes = maker.random.pick([
      { value_float: { f: 0.5 } },
      { value: raw('', [size], FLOAT, new Float32Array(size).fill(0.25)) },
    ]);
    maker.nodes.push({ op: 'Constant', inputs: [], outputs: [name], attributes });
    return maker.add('Add', [x.name, name], x.dims);
  },
  Squeeze: (maker, x) => {
    const ones = [...x.dims.keys()].filter((axis) => x.dims[axis] === 1);
    if (ones.length === 0) return undefined;
    const gone = maker.random.chance(0.3) ? ones : maker.random.some(ones, maker.random.whole(1, ones.length));
    const dims = x.dims.filter((_, axis) => !gone.includes(axis));
    return maker.withList('Squeeze', 13, x, gone === ones ? undefined : gone, dims);
  },
  Unsqueeze: (maker, x) => {
    if (x.dims.length > 6) return undefined;
    const rank = x.dims.length + maker.random.whole(1, 2);
    const axes = maker.random.some(
      Array.from({ length: rank }, (_, i) => i),
      rank - x.dims.length,
    );
    const rest = x.dims.values();
    const dims = Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.next().value!));
    return maker.withList('Unsqueeze', 13, x, axes, dims);
  },
  ReduceMean: reduction('ReduceMean', 18),
  Shape: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    // To the shape that it has.
    return maker.add('Reshape', [x.name, shapeOf(maker, x)], x.dims);
  },
  Gather: (maker, x) => {
    if (x.dims.length === 0) return undefined;
    if (maker.random.chance(0.5)) {
      const axis = maker.random.whole(0, x.dims.length - 1);
      const size = x.dims[axis]!;
      const places = Array.from({ length: maker.random.whole(1, 3) }, () => maker.random.whole(-size, size - 1));
      const dims = x.dims.map((dim, i) => (i === axis ? places.length : dim));
      return maker.add('Gather', [x.name, maker.ints(places)], dims, { axis: maker.axis(axis, x.dims.length) });
    }
    const sizes = x.dims.map((_, axis) => sizeByNodes(maker, x, axis));
    return maker.add('Reshape', [x.name, node(maker, 'Concat', sizes, { axis: 0 })], x.dims);
  },
  Cast: (maker, x) => maker.add('Cast', [x.name], x.dims, { to: maker.random.chance(0.95) ? 1 : maker.number(7) }),
  ConstantOfShape: (maker, x) => {
    const dims = maker.random.chance(0.3) ? x.dims : x.dims.map((dim) => (maker.random.chance(0.5) ? 1 : dim));
    const attributes = maker.random.chance(0.5) ? { value: raw('', [1], FLOAT, Float32Array.of(0.5)) } : {};
    const filled = node(maker, 'ConstantOfShape', [maker.ints(dims)], attributes);
    return maker.add('Add', [x.name, filled], x.dims);
  },
  CastLike: (maker, x) => {
    const filled = node(maker, 'ConstantOfShape', [maker.ints(maker.random.chance(0.8) ? [1] : [maker.number(1)])]);
    const like = maker.random.chance(0.9) ? x.name : maker.ints([1]);
    return maker.add('Add', [x.name, node(maker, 'CastLike', [filled, like])], x.dims);
  },
  Expand: (maker, x) => {
    if (maker.random.chance(0.5)) {
      const dims = [maker.random.whole(1, 2), ...x.dims.map((dim) => (dim === 1 ? maker.random.whole(1, 3) : dim))];
      return dims.length > 6 ? undefined : maker.add('Expand', [x.name, maker.ints(dims)], dims);
    }
    const one = node(maker, 'ConstantOfShape', [maker.ints(x.dims.map(() => 1))]);
    const shape = maker.random.chance(0.8) ? x.dims : x.dims.map((dim) => maker.number(dim));
    return maker.add('Add', [x.name, node(maker, 'Expand', [one, maker.ints(shape)])], x.dims);
  },
};

/** A padding so large that it cannot fit, of which the next node takes a little back. */
function padAndBack(maker: Maker, x: Value): Value {
  const { random } = maker;
  const rank = x.dims.length;
  const axis = random.whole(0, rank - 1);
  const pads = new Array<number>(2 * rank).fill(0);
  pads[axis] = random.pick([1, 2 ** 20, 2 ** 30, 2 ** 31 - 1, 2 ** 31 - 1 - x.dims[axis]!, 2 ** 31 - 195]);
  pads[axis + rank] = random.pick([0, 1, 2 ** 20, 2 ** 30, 2 ** 31 - 1]);
  const wide = maker.pad(x, pads, random.pick(['constant', 'edge', 'reflect', 'wrap']), [...x.dims.map(() => 2 ** 20)]);
  const count = random.whole(1, 4);
  const dims = x.dims.map((dim, i) => (i === axis ? count : dim));
  return maker.slice(wide, [axis], [0], [count], [1], dims);
}

/** What the package reads and the maker does not make. */
export function missingOperators(): string[] {
  return Object.keys(OPERATORS).filter((name) => !Object.hasOwn(MAKERS, name));
}
