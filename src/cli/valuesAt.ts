/**
 * Single values of a graph in float64, computed from those that are known: what merging makes of weights can be checked
 * without computing whole images. Each comes with a bound of what rounding does to it.
 */
import type { BinaryNode, Graph, GraphNode, PoolNode } from '../graph/graph.js';
import { kernelsOf } from '../nodes/conv.js';
import type { Dims } from '../nodes/dims.js';
import type { Window } from '../nodes/node.js';
import { windowDivisors, windowTable } from '../plan/steps/windows.js';
import { sizeOf } from '../sizes.js';

export interface Value {
  readonly value: number;
  /** Largest error: the graph's `rounding` of each term, and what the errors of others become. */
  readonly error: number;
}

export type Known = ReadonlyMap<string, ArrayLike<number>>;

/** Of a row-major index. */
export type Compute = (index: number) => Value;
type NodeOf<Op extends GraphNode['op']> = Extract<GraphNode, { readonly op: Op }>;
/** Numbers without errors, or a way to compute them. */
type Source = ArrayLike<number> | Compute;

/** Numbers in row-major order: those of a place in the dims. */
function placeOf(index: number, dims: Dims): number[] {
  const place = new Array<number>(dims.length);
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    place[axis] = index % dims[axis]!;
    index = Math.floor(index / dims[axis]!);
  }
  return place;
}

export function indexOf(place: readonly number[], dims: Dims): number {
  return place.reduce((index, at, axis) => index * dims[axis]! + at, 0);
}

const exact = (value: number): Value => ({ value, error: 0 });

/** The values of a graph, by name and row-major index. */
export class ValuesAt {
  readonly #dims: ReadonlyMap<string, Dims>;
  readonly #known: Known;
  readonly #rounding: number;
  readonly #nodes: ReadonlyMap<string, GraphNode>;
  readonly #computes = new Map<string, Compute | undefined>();

  /**
   * @param dims of all values
   * @param known where to begin; stored values are known anyway
   * @param rounding of each product and sum, relative: 2^-24 where weights were rounded to float32, else that of float64
   */
  constructor(graph: Graph, dims: ReadonlyMap<string, Dims>, known: Known, rounding: number) {
    this.#dims = dims;
    this.#known = new Map([
      ...known,
      ...[...(graph.values ?? [])].map(([name, { tensor }]) => [name, tensor.data as Float32Array] as const),
    ]);
    this.#rounding = rounding;
    this.#nodes = new Map(graph.nodes.map((node) => [node.outputs[0], node]));
  }

  /** How to compute a value's numbers from what its node reads; undefined where some operation on the way is not done here. */
  compute(name: string): Compute | undefined {
    if (!this.#computes.has(name)) this.#computes.set(name, remembered(this.#computeNode(this.#nodes.get(name)!)));
    return this.#computes.get(name);
  }

  /** Of a value that can be computed. */
  #sourceOf(name: string): Source {
    return this.#known.get(name) ?? this.compute(name)!;
  }

  #read(name: string): Compute | undefined {
    const known = this.#known.get(name);
    return known === undefined ? this.compute(name) : (index) => exact(known[index]!);
  }

  #computeNode(node: GraphNode): Compute | undefined {
    const inputs = node.inputs.map((name) => (name === undefined ? undefined : this.#read(name)));
    if (node.inputs.some((name, i) => name !== undefined && inputs[i] === undefined)) return undefined;
    const compute = this.#computeOf(node, inputs);
    if (compute === undefined || !('relu' in node && node.relu)) return compute;
    return (index) => rectified(compute(index));
  }

  #computeOf(node: GraphNode, inputs: readonly (Compute | undefined)[]): Compute | undefined {
    const first = inputs[0]!;
    switch (node.op) {
      case 'conv2d':
        return this.#withAddend(this.#conv2d(node), inputs[3]);
      case 'linear':
        return this.#withAddend(this.#linear(node), inputs[3]);
      case 'batchNorm':
        return node.momentum === undefined ? this.#withAddend(this.#batchNorm(node, inputs), inputs[5]) : undefined;
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
        return this.#binary(node, inputs as readonly Compute[]);
      case 'avgPool2d':
        return this.#avgPool(node, first);
      case 'relu':
        return (index) => rectified(first(index));
      case 'identity':
      case 'flatten':
      case 'reshape':
      case 'squeeze':
      case 'unsqueeze':
        return first;
      case 'pad':
        return node.mode === 'constant' ? this.#pad(node, first) : undefined;
      case 'slice':
        return this.#slice(node, first);
      default:
        return undefined;
    }
  }

  #withAddend(compute: Compute, addend: Compute | undefined): Compute {
    if (addend === undefined) return compute;
    return (index) => this.#sum(compute(index), addend(index));
  }

  #sum(a: Value, b: Value, sign = 1): Value {
    const rounding = this.#rounding * (Math.abs(a.value) + Math.abs(b.value));
    return { value: a.value + sign * b.value, error: a.error + b.error + rounding };
  }

  #conv2d(node: NodeOf<'conv2d'>): Compute {
    const image = this.#dims.get(node.inputs[0])!;
    const outDims = this.#dims.get(node.outputs[0])!;
    const [, , height, width] = image as [number, number, number, number];
    const kernels = kernelsOf(node).map(({ weight, bias, window }) => ({
      weight: this.#sourceOf(weight),
      dims: this.#dims.get(weight) as [number, number, number, number],
      bias: bias === undefined ? undefined : this.#sourceOf(bias),
      rows: windowTable(window, 0, node.paddingMode, height, outDims[2]!, 1),
      columns: windowTable(window, 1, node.paddingMode, width, outDims[3]!, 1),
    }));
    const source = this.#sourceOf(node.inputs[0]);
    return (index) => {
      const [n, o, y, x] = placeOf(index, outDims) as [number, number, number, number];
      const sum = new Sum();
      for (const { weight, dims, bias, rows, columns } of kernels) {
        const [outChannels, channels, kernelHeight, kernelWidth] = dims;
        const firstChannel = Math.floor(o / (outChannels / node.groups)) * channels;
        if (bias !== undefined) sum.addProduct(ONE, 0, bias, o);
        for (let c = 0; c < channels; c++)
          for (let ky = 0; ky < kernelHeight; ky++) {
            const row = rows[y * kernelHeight + ky]!;
            if (row < 0) continue;
            const inRow = ((n * image[1]! + firstChannel + c) * height + row) * width;
            const weightRow = ((o * channels + c) * kernelHeight + ky) * kernelWidth;
            for (let kx = 0; kx < kernelWidth; kx++) {
              const column = columns[x * kernelWidth + kx]!;
              if (column >= 0) sum.addProduct(weight, weightRow + kx, source, inRow + column);
            }
          }
      }
      return sum.rounded(this.#rounding);
    };
  }

  #linear(node: NodeOf<'linear'>): Compute {
    const [source, weight] = [node.inputs[0], node.inputs[1]].map((name) => this.#sourceOf(name)) as [Source, Source];
    const bias = node.inputs[2] === undefined ? undefined : this.#sourceOf(node.inputs[2]);
    const [outFeatures, inFeatures] = this.#dims.get(node.inputs[1]) as [number, number];
    return (index) => {
      const [n, o] = [Math.floor(index / outFeatures), index % outFeatures];
      const sum = new Sum();
      if (bias !== undefined) sum.addProduct(ONE, 0, bias, o);
      for (let i = 0; i < inFeatures; i++) sum.addProduct(weight, o * inFeatures + i, source, n * inFeatures + i);
      return sum.rounded(this.#rounding);
    };
  }

  #batchNorm(
    node: NodeOf<'batchNorm'>,
    [read, gamma, beta, mean, variance]: readonly (Compute | undefined)[],
  ): Compute {
    const [, channels, ...rest] = this.#dims.get(node.outputs[0]) as [number, number, ...number[]];
    const pixels = sizeOf(rest);
    return (index) => {
      const c = Math.floor(index / pixels) % channels;
      const scale = (gamma?.(c).value ?? 1) / Math.sqrt(variance!(c).value + node.eps);
      const sum = new Sum();
      sum.addProduct([scale], 0, read!, index);
      sum.addProduct([-scale], 0, mean!, c);
      if (beta !== undefined) sum.addProduct(ONE, 0, beta, c);
      return sum.rounded(this.#rounding);
    };
  }

  #binary(node: BinaryNode, inputs: readonly Compute[]): Compute {
    const outDims = this.#dims.get(node.outputs[0])!;
    const [a, b] = node.inputs.map((name, i) => broadcasting(inputs[i]!, this.#dims.get(name)!, outDims)) as [
      Compute,
      Compute,
    ];
    switch (node.op) {
      case 'add':
        return (index) => this.#sum(a(index), b(index));
      case 'sub':
        return (index) => this.#sum(a(index), b(index), -1);
      case 'mul':
        return (index) => {
          const sum = new Sum();
          sum.addProduct(a, index, b, index);
          return sum.rounded(this.#rounding);
        };
      case 'div':
        return (index) => {
          const [one, other] = [a(index), b(index)];
          const least = Math.max(0, Math.abs(other.value) - other.error);
          const value = one.value / other.value;
          return { value, error: (one.error + Math.abs(value) * (other.error + this.#rounding * least)) / least };
        };
    }
  }

  #avgPool(node: PoolNode, read: Compute): Compute {
    const [, , height, width] = this.#dims.get(node.inputs[0]!) as [number, number, number, number];
    const outDims = this.#dims.get(node.outputs[0])!;
    const [rows, columns] = this.#tables(node.window, height, width, outDims);
    const [kernelHeight, kernelWidth] = node.window.kernel;
    const down = windowDivisors(node.window, 0, node.countIncludePad, height, outDims[2]!);
    const across = windowDivisors(node.window, 1, node.countIncludePad, width, outDims[3]!);
    return (index) => {
      const [n, c, y, x] = placeOf(index, outDims) as [number, number, number, number];
      const part = [1 / (down[y]! * across[x]!)];
      const sum = new Sum();
      for (let ky = 0; ky < kernelHeight; ky++)
        for (let kx = 0; kx < kernelWidth; kx++) {
          const [row, column] = [rows[y * kernelHeight + ky]!, columns[x * kernelWidth + kx]!];
          if (row < 0 || column < 0) continue;
          sum.addProduct(part, 0, read, ((n * outDims[1]! + c) * height + row) * width + column);
        }
      return sum.rounded(this.#rounding);
    };
  }

  #tables(window: Window, height: number, width: number, outDims: Dims): [Int32Array, Int32Array] {
    return [
      windowTable(window, 0, 'zeros', height, outDims[2]!, 1),
      windowTable(window, 1, 'zeros', width, outDims[3]!, 1),
    ];
  }

  #pad(node: NodeOf<'pad'>, read: Compute): Compute {
    const [inDims, outDims] = [this.#dims.get(node.inputs[0]!)!, this.#dims.get(node.outputs[0])!];
    return (index) => {
      const place = placeOf(index, outDims).map((at, axis) => at - node.pads[axis]!);
      const isInside = place.every((at, axis) => at >= 0 && at < inDims[axis]!);
      return isInside ? read(indexOf(place, inDims)) : exact(node.value);
    };
  }

  #slice(node: NodeOf<'slice'>, read: Compute): Compute | undefined {
    if (node.steps.some((step) => step !== 1)) return undefined;
    const [inDims, outDims] = [this.#dims.get(node.inputs[0]!)!, this.#dims.get(node.outputs[0])!];
    const starts = inDims.map(() => 0);
    node.axes.forEach((given, i) => {
      const axis = given < 0 ? given + inDims.length : given;
      const [start, size] = [node.starts[i]!, inDims[axis]!];
      starts[axis] = Math.min(Math.max(start < 0 ? start + size : start, 0), size);
    });
    return (index) =>
      read(
        indexOf(
          placeOf(index, outDims).map((at, axis) => at + starts[axis]!),
          inDims,
        ),
      );
  }
}

const DONE: ReadonlySet<GraphNode['op']> = new Set([
  ...(['conv2d', 'linear', 'batchNorm', 'add', 'sub', 'mul', 'div', 'avgPool2d', 'relu'] as const),
  ...(['identity', 'flatten', 'reshape', 'squeeze', 'unsqueeze', 'pad', 'slice'] as const),
]);

/** The known values that computing one reads; undefined where some operation on the way is not done here. */
export function knownBehind(
  name: string,
  nodes: ReadonlyMap<string, GraphNode>,
  isStored: (name: string) => boolean,
  isKnown: (name: string) => boolean,
): Set<string> | undefined {
  const found = new Set<string>();
  const open = [name];
  const seen = new Set(open);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const node = nodes.get(next);
    if (node === undefined || !DONE.has(node.op)) return undefined;
    for (const input of node.inputs) {
      if (input === undefined || isStored(input)) continue;
      if (isKnown(input)) found.add(input);
      else if (!seen.has(input)) open.push(input);
      seen.add(input);
    }
  }
  return found;
}

const ONE = [1];

function numberOf(source: Source, index: number): Value {
  return typeof source === 'function' ? source(index) : exact(source[index]!);
}

/** A sum of products, with the magnitude of its terms and the errors that they bring. */
class Sum {
  #value = 0;
  #magnitude = 0;
  #error = 0;

  addProduct(a: Source, i: number, b: Source, j: number): void {
    if (typeof a !== 'function' && typeof b !== 'function') {
      const product = a[i]! * b[j]!;
      this.#value += product;
      this.#magnitude += Math.abs(product);
      return;
    }
    const [one, other] = [numberOf(a, i), numberOf(b, j)];
    const product = one.value * other.value;
    this.#value += product;
    this.#magnitude += Math.abs(product);
    this.#error += Math.abs(one.value) * other.error + Math.abs(other.value) * one.error + one.error * other.error;
  }

  rounded(rounding: number): Value {
    return { value: this.#value, error: this.#error + rounding * this.#magnitude };
  }
}

function rectified({ value, error }: Value): Value {
  return { value: value < 0 ? 0 : value, error };
}

function broadcasting(read: Compute, dims: Dims, outDims: Dims): Compute {
  if (dims.length === outDims.length && dims.every((size, axis) => size === outDims[axis])) return read;
  const skipped = outDims.length - dims.length;
  return (index) => {
    const place = placeOf(index, outDims).slice(skipped);
    return read(
      indexOf(
        place.map((at, axis) => (dims[axis] === 1 ? 0 : at)),
        dims,
      ),
    );
  };
}

function remembered(compute: Compute | undefined): Compute | undefined {
  if (compute === undefined) return undefined;
  const values = new Map<number, Value>();
  return (index) => {
    const value = values.get(index) ?? compute(index);
    values.set(index, value);
    return value;
  };
}
