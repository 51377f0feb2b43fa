/** What is known of values' shapes before the shapes of the inputs are. */
import type { Graph } from '../graph/graph.js';
import { inferKnownShapes, type KnownShapes } from '../graph/shapes.js';

type Dims = readonly number[];

/** Rank of a value, 2 or 4, and its size along axis 1. */
export interface Layout {
  readonly rank: number;
  readonly channels: number;
}

/** Channels that a file may declare: passes make values for each of them, though the file may hold none. */
const MAX_DECLARED = 2 ** 16;

/** `inferKnownShapes`, remembering the result for the last graph. */
export function rememberShapes(): (graph: Graph) => KnownShapes {
  let last: { readonly graph: Graph; readonly shapes: KnownShapes } | undefined;
  return (graph) => {
    if (last?.graph !== graph) last = { graph, shapes: inferKnownShapes(graph) };
    return last.shapes;
  };
}

/** The layouts that follow from weights and from what is known of inputs. */
export function knownLayouts(graph: Graph, shapes: KnownShapes): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  const most = mostChannels(graph);
  for (const [name, dims] of shapes) {
    const channels = dims?.[1];
    const hasChannels = dims?.length === 4 || dims?.length === 2;
    if (hasChannels && typeof channels === 'number' && channels <= most)
      layouts.set(name, { rank: dims.length, channels });
  }
  return layouts;
}

/** The bound on channels: as many as a file may declare, or as a weight has. */
function mostChannels({ nodes, values }: Graph): number {
  return nodes.reduce((most, node) => {
    const isWeighted = node.op === 'conv2d' || node.op === 'linear';
    return Math.max(most, (isWeighted && values?.get(node.inputs[1])?.tensor.dims[0]) || 0);
  }, MAX_DECLARED);
}

/**
 * Whether a constant of these dims has one value per channel, or one for all, and broadcasts to a value of the layout.
 */
export function isPerChannel(dims: Dims, { rank, channels }: Layout): boolean {
  // Aligned at the last axis, as numpy does.
  const axisOfChannels = dims.length - rank + 1;
  return (
    dims.length <= rank && dims.every((size, axis) => size === 1 || (axis === axisOfChannels && size === channels))
  );
}

/** Dims of all values of known rank; -1 stands for unknown sizes. */
export function knownDims(shapes: KnownShapes): ReadonlyMap<string, Dims> {
  const known = new Map<string, Dims>();
  for (const [name, dims] of shapes) {
    if (dims !== undefined)
      known.set(
        name,
        dims.map((dim) => (typeof dim === 'number' ? dim : -1)),
      );
  }
  return known;
}
