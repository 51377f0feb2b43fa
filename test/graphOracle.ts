/**
 * Graphs in naive float64: each node by the function of oracle.ts, or by a few lines here. With `magnitudes`, every
 * weight and value is replaced by its magnitude: the results bound the sums behind each value, to which rounding is
 * proportional.
 */
import type { Graph, GraphNode, Tensor } from 'acnet-wasm';
import * as oracle from './oracle.js';

type Nd = oracle.Nd;
type Op<K extends GraphNode['op']> = GraphNode & { readonly op: K };

export function runGraph(graph: Graph, feeds: Readonly<Record<string, Nd>>, magnitudes = false): Record<string, Nd> {
  const own = magnitudes ? absolute : (array: Nd) => array;
  const values = new Map<string, Nd>();
  for (const name of graph.inputs) values.set(name, own(feeds[name]!));
  for (const [name, { tensor }] of graph.values ?? []) values.set(name, own(tensor));
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => {
      if (name === undefined) return undefined;
      const value = values.get(name);
      if (value === undefined) throw new Error(`${node.op} reads ${name} before anything gives it`);
      return value;
    });
    const [output] = node.outputs;
    if (values.has(output)) throw new Error(`${output} is given twice`);
    values.set(output, runNode(node, inputs, magnitudes));
  }
  return Object.fromEntries(graph.outputs.map((name) => [name, values.get(name)!]));
}

function runNode(node: GraphNode, inputs: readonly (Nd | undefined)[], magnitudes: boolean): Nd {
  const [first, second] = inputs as [Nd, Nd?];
  switch (node.op) {
    case 'conv2d': {
      const [x, weight, bias, addend] = inputs as [Nd, Nd, Nd?, Nd?];
      if (node.parallel !== undefined) throw new Error('no reference for parallel kernels');
      const { stride, dilation, pads } = node.window;
      const options = { stride, dilation, pads, paddingMode: node.paddingMode, groups: node.groups };
      return finish(node, oracle.conv2d(x, weight, bias?.data, options), addend);
    }
    case 'batchNorm':
      return finish(node, norm(inputs, node.eps, magnitudes), inputs[5]);
    case 'linear': {
      const [x, weight, bias, addend] = inputs as [Nd, Nd, Nd?, Nd?];
      return finish(node, oracle.linear(x, weight, bias?.data), addend);
    }
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return finish(node, broadcast(first, second!, OPERATIONS[magnitudes && node.op === 'sub' ? 'add' : node.op]));
    case 'relu':
      return oracle.relu(first);
    case 'identity':
      return first;
    case 'avgPool2d':
      return avgPool(node, first);
    case 'globalAvgPool2d':
      return oracle.globalAvgPool2d(first);
    case 'flatten':
      return oracle.flatten(first);
    case 'concat':
      return oracle.concat(inputs as Nd[]);
    case 'slice':
      return slice(node, first);
    case 'pad':
      return pad(node, first);
    case 'maxPool2d': {
      const { kernel, stride, dilation, pads } = node.window;
      return oracle.maxPool2d(first, {
        kernel,
        stride,
        dilation,
        padding: [pads[0], pads[1]],
        ceilMode: node.ceilMode,
      });
    }
    default:
      throw new Error(`no reference for ${node.op}`);
  }
}

function finish(node: { readonly relu?: boolean }, value: Nd, residual?: Nd): Nd {
  const sum = residual === undefined ? value : oracle.add(value, residual);
  return node.relu === true ? oracle.relu(sum) : sum;
}

/** For magnitudes, a mean adds to the bound. */
function norm(inputs: readonly (Nd | undefined)[], eps: number, magnitudes: boolean): Nd {
  const [x, gamma, beta, mean, variance] = inputs as [Nd, Nd?, Nd?, Nd?, Nd?];
  const perChannel = x.data.length / x.dims[0]! / x.dims[1]!;
  const data = Float64Array.from(x.data, (value, i) => {
    const c = Math.floor(i / perChannel) % x.dims[1]!;
    const centred = magnitudes ? value + mean!.data[c]! : value - mean!.data[c]!;
    return (centred / Math.sqrt(variance!.data[c]! + eps)) * (gamma?.data[c] ?? 1) + (beta?.data[c] ?? 0);
  });
  return { data, dims: x.dims };
}

const OPERATIONS = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
};

/** numpy's rules. */
function broadcast(a: Nd, b: Nd, operation: (a: number, b: number) => number): Nd {
  const rank = Math.max(a.dims.length, b.dims.length);
  const [first, second] = [a, b].map(({ dims }) => [...new Array<number>(rank - dims.length).fill(1), ...dims]) as [
    number[],
    number[],
  ];
  const dims = first.map((size, axis) => {
    const other = second[axis]!;
    if (size !== other && size !== 1 && other !== 1) throw new Error(`[${a.dims}] and [${b.dims}] do not broadcast`);
    return size === 1 ? other : size;
  });
  const place = (own: readonly number[], index: readonly number[]) =>
    own.reduce((offset, size, axis) => offset * size + (size === 1 ? 0 : index[axis]!), 0);
  return fill(dims, (index) => operation(a.data[place(first, index)]!, b.data[place(second, index)]!));
}

/** As a convolution with equal weights; this reference knows no ceil mode. */
function avgPool({ window, ceilMode, countIncludePad }: Op<'avgPool2d' | 'maxPool2d'>, x: Nd): Nd {
  if (ceilMode) throw new Error('no reference for ceilMode');
  const channels = x.dims[1]!;
  const weight = {
    data: new Float64Array(channels * window.kernel[0] * window.kernel[1]).fill(1),
    dims: [channels, 1, ...window.kernel],
  };
  const options = { ...window, paddingMode: 'zeros', groups: channels } as const;
  const sums = oracle.conv2d(x, weight, undefined, options);
  const ones = oracle.conv2d(
    { data: new Float64Array(x.data.length).fill(1), dims: x.dims },
    weight,
    undefined,
    options,
  );
  const all = window.kernel[0] * window.kernel[1];
  return {
    data: Float64Array.from(sums.data, (sum, i) => sum / (countIncludePad ? all : ones.data[i]!)),
    dims: sums.dims,
  };
}

function slice({ axes, starts, ends, steps }: Op<'slice'>, x: Nd): Nd {
  const from = x.dims.map(() => 0);
  const dims = [...x.dims];
  axes.forEach((given, i) => {
    const axis = given < 0 ? given + x.dims.length : given;
    const size = x.dims[axis]!;
    if (steps[i] !== 1) throw new Error('no reference for steps');
    const clamp = (position: number) => Math.min(size, Math.max(0, position < 0 ? position + size : position));
    from[axis] = clamp(starts[i]!);
    dims[axis] = Math.max(0, clamp(ends[i]!) - from[axis]!);
  });
  if (dims.includes(0)) throw new Error(`nothing is left of [${x.dims}]`);
  return fill(dims, (index) =>
    at(
      x,
      index.map((position, axis) => position + from[axis]!),
    ),
  );
}

function pad({ pads, mode, value }: Op<'pad'>, x: Nd): Nd {
  const rank = x.dims.length;
  const dims = x.dims.map((size, axis) => size + pads[axis]! + pads[rank + axis]!);
  return fill(dims, (index) => {
    const source = index.map((position, axis) => sourceOf(position - pads[axis]!, x.dims[axis]!, mode));
    return source.includes(-1) ? value : at(x, source);
  });
}

function sourceOf(position: number, size: number, mode: Op<'pad'>['mode']): number {
  if (position >= 0 && position < size) return position;
  switch (mode) {
    case 'constant':
      return -1;
    case 'reflect':
      return position < 0 ? -position : 2 * (size - 1) - position;
    case 'edge':
      return position < 0 ? 0 : size - 1;
    case 'wrap':
      return (position + size) % size;
  }
}

function at({ data, dims }: Nd, index: readonly number[]): number {
  return data[index.reduce((offset, position, axis) => offset * dims[axis]! + position, 0)]!;
}

function fill(dims: readonly number[], value: (index: readonly number[]) => number): Nd {
  const data = new Float64Array(dims.reduce((product, size) => product * size, 1));
  const index = dims.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(index);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
  return { data, dims };
}

function absolute({ data, dims }: Nd | Tensor): Nd {
  return { data: Float64Array.from(data, Math.abs), dims };
}
