/**
 * The naive reference for operations on arrays of any rank (ONNX's and numpy's definitions), in float64. Shares no code
 * with src/ or assembly/. Images, convolutions and pools are in oracle.ts.
 */
import type { Nd } from './oracle.js';

const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** An array whose elements `value` computes from their indices. */
export function build(dims: readonly number[], value: (index: readonly number[]) => number): Nd {
  const data = Float64Array.from({ length: sizeOf(dims) }, (_, flat) => value(unravel(flat, dims)));
  return { data, dims };
}

/** Element at `index`. */
export function at({ data, dims }: Nd, index: readonly number[]): number {
  return data[index.reduce((flat, i, axis) => flat * dims[axis]! + i, 0)]!;
}

function unravel(flat: number, dims: readonly number[]): number[] {
  const index = dims.map(() => 0);
  for (let axis = dims.length - 1, rest = flat; axis >= 0; axis--) {
    index[axis] = rest % dims[axis]!;
    rest = Math.floor(rest / dims[axis]!);
  }
  return index;
}

export function map(x: Nd, f: (value: number) => number): Nd {
  return { data: Float64Array.from(x.data, f), dims: x.dims };
}

export function reshape(x: Nd, dims: readonly number[]): Nd {
  return { data: x.data, dims };
}

export function broadcastDims(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const padded = (dims: readonly number[]) => [...new Array<number>(rank - dims.length).fill(1), ...dims];
  const [one, other] = [padded(a), padded(b)];
  return one.map((dim, axis) => Math.max(dim, other[axis]!));
}

function atBroadcast(x: Nd, index: readonly number[]): number {
  const own = index.slice(index.length - x.dims.length);
  return at(
    x,
    own.map((i, axis) => (x.dims[axis] === 1 ? 0 : i)),
  );
}

export function binary(a: Nd, b: Nd, f: (a: number, b: number) => number): Nd {
  return build(broadcastDims(a.dims, b.dims), (index) => f(atBroadcast(a, index), atBroadcast(b, index)));
}

export function softmax(x: Nd, axis: number, isLog: boolean): Nd {
  return build(x.dims, (index) => {
    const line = Array.from({ length: x.dims[axis]! }, (_, i) =>
      at(
        x,
        index.map((own, other) => (other === axis ? i : own)),
      ),
    );
    const largest = Math.max(...line);
    const sum = line.reduce((total, value) => total + Math.exp(value - largest), 0);
    const difference = at(x, index) - largest;
    return isLog ? difference - Math.log(sum) : Math.exp(difference) / sum;
  });
}

export function concat(parts: readonly Nd[], axis: number): Nd {
  const total = parts.reduce((sum, { dims }) => sum + dims[axis]!, 0);
  return build(
    parts[0]!.dims.map((dim, other) => (other === axis ? total : dim)),
    (index) => {
      let position = index[axis]!;
      let part = 0;
      while (position >= parts[part]!.dims[axis]!) position -= parts[part++]!.dims[axis]!;
      return at(
        parts[part]!,
        index.map((own, other) => (other === axis ? position : own)),
      );
    },
  );
}

export function transpose(x: Nd, permutation: readonly number[]): Nd {
  return build(
    permutation.map((axis) => x.dims[axis]!),
    (index) => {
      const own = x.dims.map(() => 0);
      permutation.forEach((axis, i) => {
        own[axis] = index[i]!;
      });
      return at(x, own);
    },
  );
}

/** The positions that each axis' slice visits, found by walking as Python's range does. */
export function slice(x: Nd, ranges: readonly { start: number; end: number; step: number }[]): Nd {
  const visited = ranges.map(({ start, end, step }, axis) => {
    const size = x.dims[axis]!;
    const front = (position: number) => (position < 0 ? position + size : position);
    const clamp = (position: number, low: number, high: number) => Math.min(Math.max(position, low), high);
    const first = step > 0 ? clamp(front(start), 0, size) : clamp(front(start), 0, size - 1);
    const last = step > 0 ? clamp(front(end), 0, size) : clamp(front(end), -1, size - 1);
    const positions: number[] = [];
    for (let i = first; step > 0 ? i < last : i > last; i += step) positions.push(i);
    return positions;
  });
  return build(
    visited.map(({ length }) => length),
    (index) =>
      at(
        x,
        index.map((i, axis) => visited[axis]![i]!),
      ),
  );
}

export type PadMode = 'constant' | 'reflect' | 'edge' | 'wrap';

/** Crops first, then pads. */
export function pad(x: Nd, pads: readonly number[], mode: PadMode, value: number): Nd {
  const rank = x.dims.length;
  const crops = x.dims.map((size, axis) => {
    const first = Math.max(0, -pads[axis]!);
    return { first, size: size - first - Math.max(0, -pads[axis + rank]!) };
  });
  return build(
    x.dims.map((size, axis) => size + pads[axis]! + pads[axis + rank]!),
    (index) => {
      const source = index.map((i, axis) => {
        const { first, size } = crops[axis]!;
        const position = padPosition(i - Math.max(0, pads[axis]!), size, mode);
        return position < 0 ? -1 : position + first;
      });
      return source.some((i) => i < 0) ? value : at(x, source);
    },
  );
}

function padPosition(position: number, size: number, mode: PadMode): number {
  if (position >= 0 && position < size) return position;
  switch (mode) {
    case 'constant':
      return -1;
    case 'edge':
      return position < 0 ? 0 : size - 1;
    case 'wrap':
      return ((position % size) + size) % size;
    case 'reflect':
      return position < 0 ? -position : 2 * (size - 1) - position;
  }
}

export function reduceMean(x: Nd, axes: readonly number[], keepDims: boolean): Nd {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const count = sizeOf(axes.map((axis) => x.dims[axis]!));
  const sums = new Float64Array(sizeOf(kept));
  build(x.dims, (index) => {
    const flat = index.reduce((sum, i, axis) => sum * kept[axis]! + (axes.includes(axis) ? 0 : i), 0);
    sums[flat]! += at(x, index);
    return 0;
  });
  const dims = keepDims ? kept : kept.filter((_, axis) => !axes.includes(axis));
  return { data: sums.map((sum) => sum / count), dims };
}

/** numpy's matmul. */
export function matMul(a: Nd, b: Nd): Nd {
  const left = a.dims.length === 1 ? reshape(a, [1, ...a.dims]) : a;
  const right = b.dims.length === 1 ? reshape(b, [...b.dims, 1]) : b;
  const batch = broadcastDims(left.dims.slice(0, -2), right.dims.slice(0, -2));
  const [rows, depth, columns] = [left.dims.at(-2)!, left.dims.at(-1)!, right.dims.at(-1)!];
  const own = (x: Nd, index: readonly number[]) =>
    index.slice(index.length - (x.dims.length - 2)).map((i, axis) => (x.dims[axis] === 1 ? 0 : i));
  const product = build([...batch, rows, columns], (index) => {
    const outer = index.slice(0, -2);
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      sum += at(left, [...own(left, outer), index.at(-2)!, k]) * at(right, [...own(right, outer), k, index.at(-1)!]);
    }
    return sum;
  });
  const dims = [...batch, ...(a.dims.length === 1 ? [] : [rows]), ...(b.dims.length === 1 ? [] : [columns])];
  return reshape(product, dims);
}

/** Largest value of each channel; NaN wins. */
export function globalMaxPool2d(x: Nd): Nd {
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  return build([n, channels, 1, 1], ([b, c]) => {
    let largest = -Infinity;
    for (let y = 0; y < height; y++) for (let i = 0; i < width; i++) largest = Math.max(largest, at(x, [b!, c!, y, i]));
    return largest;
  });
}

export const unaries = {
  relu: (x: number) => Math.max(x, 0),
  leakyRelu: (x: number, alpha: number) => (x < 0 ? alpha * x : x),
  clip: (x: number, low: number, high: number) => Math.min(Math.max(x, low), high),
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  hardSigmoid: (x: number, alpha: number, beta: number) => Math.min(Math.max(alpha * x + beta, 0), 1),
  hardSwish: (x: number) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1),
};

/** Those that need no numbers of their own, and are smooth where values are small. */
export const functions = {
  abs: Math.abs,
  neg: (x: number) => -x,
  softsign: (x: number) => x / (1 + Math.abs(x)),
  tanh: Math.tanh,
  mish: (x: number) => x * Math.tanh(Math.log1p(Math.exp(x))),
  softplus: (x: number) => Math.log1p(Math.exp(x)),
  geluTanh: (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Of pairs of values. */
export const pairs = {
  min: Math.min,
  max: Math.max,
  slope: (a: number, b: number) => (b < 0 ? a * b : b),
};

export const reductions = {
  reduceSum: (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0),
  reduceMax: (values: readonly number[]) => Math.max(...values),
  reduceMin: (values: readonly number[]) => Math.min(...values),
  reduceProd: (values: readonly number[]) => values.reduce((product, value) => product * value, 1),
  reduceL1: (values: readonly number[]) => values.reduce((sum, value) => sum + Math.abs(value), 0),
  reduceSumSquare: (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0),
};

/** All values along some axes, in row-major order, for each place along the others. */
function linesOf(x: Nd, axes: readonly number[]): Map<string, number[]> {
  const lines = new Map<string, number[]>();
  build(x.dims, (index) => {
    const key = index.map((i, axis) => (axes.includes(axis) ? 0 : i)).join();
    lines.set(key, [...(lines.get(key) ?? []), at(x, index)]);
    return 0;
  });
  return lines;
}

export function reduce(x: Nd, axes: readonly number[], f: (values: readonly number[]) => number): Nd {
  const lines = linesOf(x, axes);
  return build(
    x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim)),
    (index) => f(lines.get(index.join())!),
  );
}

export function standardize(x: Nd, axes: readonly number[], eps: number): Nd {
  const lines = linesOf(x, axes);
  return build(x.dims, (index) => {
    const line = lines.get(index.map((i, axis) => (axes.includes(axis) ? 0 : i)).join())!;
    const mean = line.reduce((sum, value) => sum + value, 0) / line.length;
    const variance = line.reduce((sum, value) => sum + (value - mean) ** 2, 0) / line.length;
    return (at(x, index) - mean) / Math.sqrt(variance + eps);
  });
}

/** The same numbers but for one. */
function moved(numbers: readonly number[], along: number, to: number): number[] {
  return numbers.map((number, axis) => (axis === along ? to : number));
}

export function cumSum(x: Nd, along: number, exclusive: boolean, reverse: boolean): Nd {
  return build(x.dims, (index) => {
    let sum = 0;
    for (let i = 0; i < x.dims[along]!; i++) {
      const isBefore = reverse ? i > index[along]! : i < index[along]!;
      if (isBefore || (i === index[along] && !exclusive)) sum += at(x, moved(index, along, i));
    }
    return sum;
  });
}

export function gather(x: Nd, along: number, places: readonly number[]): Nd {
  return build(moved(x.dims, along, places.length), (index) => {
    const place = places[index[along]!]!;
    return at(x, moved(index, along, place < 0 ? place + x.dims[along]! : place));
  });
}

export function expand(x: Nd, dims: readonly number[]): Nd {
  return build(dims, (index) => atBroadcast(x, index));
}

export function depthToSpace(x: Nd, [down, across]: readonly [number, number], channelFirst: boolean): Nd {
  const [batch, deep, height, width] = x.dims as [number, number, number, number];
  const channels = deep / down / across;
  return build([batch, channels, height * down, width * across], ([n, c, y, z]) => {
    const place = (y! % down) * across + (z! % across);
    const channel = channelFirst ? c! * down * across + place : place * channels + c!;
    return at(x, [n!, channel, Math.floor(y! / down), Math.floor(z! / across)]);
  });
}

export interface ResizeOptions {
  readonly mode: 'nearest' | 'linear';
  readonly coordinates: 'half_pixel' | 'pytorch_half_pixel' | 'align_corners' | 'asymmetric';
  readonly rounding: 'round_prefer_floor' | 'round_prefer_ceil' | 'floor' | 'ceil';
  /** Down and across; undefined: the ratios of the sizes. */
  readonly scales?: readonly [number, number] | undefined;
}

/** ONNX's Resize of [N, C, H, W] to a height and a width. Positions are fractions, so that ties are ties. */
export function resize(x: Nd, size: readonly [number, number], options: ResizeOptions): Nd {
  const [batch, channels, ...from] = x.dims as [number, number, number, number];
  const fraction = (axis: 0 | 1, out: number): [over: number, under: number] => {
    const scale = options.scales?.[axis];
    const [over, under] = scale === undefined ? [from[axis]!, size[axis]] : [1, scale];
    switch (options.coordinates) {
      case 'asymmetric':
        return [out * over, under];
      case 'align_corners':
        if (size[axis] === 1) return [0, 1];
        return [out * (from[axis]! - 1), (scale === undefined ? size[axis] : from[axis]! * scale) - 1];
      case 'pytorch_half_pixel':
        if (size[axis] === 1) return [0, 1];
        return [(2 * out + 1) * over - under, 2 * under];
      case 'half_pixel':
        return [(2 * out + 1) * over - under, 2 * under];
    }
  };
  const round = ([over, under]: [number, number]): number => {
    switch (options.rounding) {
      case 'floor':
        return Math.floor(over / under);
      case 'ceil':
        return Math.ceil(over / under);
      case 'round_prefer_floor':
        return Math.ceil((2 * over - under) / (2 * under));
      case 'round_prefer_ceil':
        return Math.floor((2 * over + under) / (2 * under));
    }
  };
  const inside = (axis: 0 | 1, position: number): number => Math.min(Math.max(position, 0), from[axis]! - 1);
  /**
   * Positions with their weights, by the distance to each of the two neighbours; positions outside are clamped to the
   * edge.
   */
  const taps = (axis: 0 | 1, out: number): [position: number, weight: number][] => {
    const at = fraction(axis, out);
    if (options.mode === 'nearest') return [[inside(axis, round(at)), 1]];
    const position = at[0] / at[1];
    const first = Math.floor(position);
    return [
      [inside(axis, first), first + 1 - position],
      [inside(axis, first + 1), position - first],
    ];
  };
  return build([batch, channels, ...size], ([n, c, y, px]) => {
    let sum = 0;
    for (const [row, down] of taps(0, y!)) {
      for (const [column, across] of taps(1, px!)) sum += down * across * at(x, [n!, c!, row, column]);
    }
    return sum;
  });
}
