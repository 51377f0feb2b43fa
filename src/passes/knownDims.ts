/** What is known of values' shapes before the shapes of the inputs are. */
import type { Graph, Node } from '../graph/graph.js';
import { inferShapes } from '../graph/shapes.js';

type Dims = readonly number[];

/** Rank of a value, 2 or 4, and its size along axis 1. */
export interface Layout {
  readonly rank: number;
  readonly channels: number;
}

/** Channels that an input may declare: passes make numbers for each of them, of which the file may hold none. */
const MAX_DECLARED = 2 ** 16;

/** The layouts that follow from weights and from what is known of inputs. */
export function knownLayouts(graph: Graph): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  for (const [name, dims] of graph.inputDims ?? []) {
    const channels = dims[1];
    if ((dims.length === 4 || dims.length === 2) && typeof channels === 'number' && channels <= MAX_DECLARED) {
      layouts.set(name, { rank: dims.length, channels });
    }
  }
  for (const node of graph.nodes) {
    const layout = layoutOf(node, graph, layouts);
    if (layout !== undefined) layouts.set(node.output, layout);
  }
  return layouts;
}

/** Whether a constant of these dims has one value per channel, or one for all, and broadcasts to a value of the layout. */
export function isPerChannel(dims: Dims, { rank, channels }: Layout): boolean {
  // Aligned at the last axis, as numpy does.
  const axisOfChannels = dims.length - rank + 1;
  return (
    dims.length <= rank && dims.every((size, axis) => size === 1 || (axis === axisOfChannels && size === channels))
  );
}

function layoutOf(node: Node, graph: Graph, layouts: ReadonlyMap<string, Layout>): Layout | undefined {
  const first = layouts.get(node.inputs[0]!);
  switch (node.op) {
    case 'conv2d':
      return { rank: 4, channels: node.weight.dims[0]! };
    case 'linear':
      return { rank: 2, channels: node.weight.dims[0]! };
    case 'batchNorm':
    case 'relu':
    case 'leakyRelu':
    case 'clip':
    case 'sigmoid':
    case 'hardSigmoid':
    case 'hardSwish':
    case 'softmax':
    case 'logSoftmax':
    case 'identity':
    case 'maxPool2d':
    case 'avgPool2d':
    case 'globalAvgPool2d':
    case 'globalMaxPool2d':
      return first;
    case 'add':
    case 'sub':
    case 'mul':
    case 'div': {
      const [left, right] = node.inputs.map((name) => layouts.get(name) ?? graph.constants?.get(name)?.dims);
      return joinLayouts(left, right) ?? joinLayouts(right, left);
    }
    default:
      return undefined;
  }
}

/** Of a value and another one, or a constant's dims, that is added or multiplied. */
function joinLayouts(value: Layout | Dims | undefined, other: Layout | Dims | undefined): Layout | undefined {
  if (value === undefined || other === undefined || !('rank' in value)) return undefined;
  const fits =
    'rank' in other ? value.rank === other.rank && value.channels === other.channels : isPerChannel(other, value);
  return fits ? value : undefined;
}

/** Batch sizes that no size but a constant one is the same for. */
const TRIED_BATCHES = [1, 2, 1000];

/**
 * Dims of values where all but the batch is known of the inputs; -1 stands for sizes that depend on the batch. Empty
 * where more is unknown.
 */
export function knownDims(graph: Graph): ReadonlyMap<string, Dims> {
  const known = new Map<string, Dims>();
  const given = graph.inputs.map((name) => graph.inputDims?.get(name));
  if (given.some((dims) => dims === undefined || dims.slice(1).some((size) => typeof size !== 'number'))) return known;
  const shapesOf = (batch: number): ReadonlyMap<string, Dims> =>
    inferShapes(
      graph,
      given.map((dims) => dims!.map((size) => (typeof size === 'number' ? size : batch))),
    );
  const isOpen = given.some((dims) => typeof dims![0] === 'string');
  const [first, ...others] = attempt(() => (isOpen ? TRIED_BATCHES : [1]).map(shapesOf)) ?? [];
  for (const [name, dims] of first ?? []) {
    known.set(
      name,
      dims.map((size, axis) => (others.every((shapes) => shapes.get(name)?.[axis] === size) ? size : -1)),
    );
  }
  return known;
}

/** A graph that does not fit its own inputs is not for a pass to report. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
