/**
 * Whether a merged graph is the same function, layer by layer: each value that both graphs have is computed in float64
 * from the values before it that both have, and may differ by what rounding of the merged weights to float32 allows.
 * Outputs of deep networks differ by far more than that in float32, merged or not, which says nothing of the merging.
 */
import type { Graph, GraphNode } from '../graph/graph.js';
import { summarize } from '../index.js';
import type { Dims } from '../nodes/dims.js';
import { sameDims, sizeOf } from '../sizes.js';
import type { Tensor } from '../tensor.js';
import { type Compute, indexOf, type Known, knownBehind, ValuesAt } from './valuesAt.js';

export interface MergeCheck {
  /** Values whose nodes merging has changed, and that were compared. */
  readonly checked: number;
  /** Values that could not be compared by themselves: an operation on the way is none that is computed here. */
  readonly unchecked: readonly string[];
  readonly worst: (Comparison & { readonly value: string }) | undefined;
}

/** The largest difference, as a share of what rounding allows. */
interface Comparison {
  readonly share: number;
  readonly difference: number;
  readonly allowed: number;
}

/** Half a unit in the last place of float32, relative: what a weight that is rounded once is off by at most. */
const OF_FLOAT32 = 2 ** -24 * 1.001;
/** Of sums of some thousand terms in float64. */
const OF_FLOAT64 = 2 ** -44;
/** Results below this are subnormal in float32, where errors are absolute. */
const SUBNORMAL = 2 ** -126;
/** Places of an image, for all channels. */
const PLACES = 3;

type Shapes = ReadonlyMap<string, Dims>;
type Nodes = ReadonlyMap<string, GraphNode>;

/**
 * @param valuesOf runs the original graph as it is; numbers of the values named
 * @param random numbers in [0, 1)
 */
export async function checkMerges(
  original: Graph,
  merged: Graph,
  inputDims: readonly Dims[],
  valuesOf: (names: readonly string[]) => Promise<Known>,
  random: () => number,
): Promise<MergeCheck> {
  const [dims, mergedDims] = [original, merged].map((graph) => dimsOf(graph, inputDims)) as [Shapes, Shapes];
  const isStored = (name: string): boolean => !!(original.values?.has(name) || merged.values?.has(name));
  const isShared = (name: string): boolean => {
    const [one, other] = [dims.get(name), mergedDims.get(name)];
    return !isStored(name) && one !== undefined && other !== undefined && sameDims(one, other);
  };
  const [before, after] = [nodesOf(original), nodesOf(merged)];
  const changed = merged.nodes.flatMap((node) => {
    const [output] = node.outputs;
    return isShared(output) && !isSameNode(before.get(output), original, node, merged) ? [output] : [];
  });
  const [needed, unchecked] = [new Set<string>(), new Set<string>()];
  for (const output of changed) {
    const both = [before, after].map((nodes) => knownBehind(output, nodes, isStored, isShared));
    if (both.includes(undefined)) unchecked.add(output);
    else for (const name of both.flatMap((names) => [...names!])) needed.add(name);
  }
  const known = await valuesOf([...needed]);
  const exact = new ValuesAt(original, dims, known, OF_FLOAT64);
  const rounded = new ValuesAt(merged, mergedDims, known, OF_FLOAT32);
  let worst: MergeCheck['worst'];
  let checked = 0;
  for (const value of changed) {
    const [one, other] = [exact.compute(value), rounded.compute(value)];
    const result = one && other && !unchecked.has(value) && compare(one, other, placesIn(dims.get(value)!, random));
    if (!result) {
      unchecked.add(value);
      continue;
    }
    checked++;
    if (worst === undefined || !(result.share <= worst.share)) worst = { value, ...result };
  }
  return { checked, unchecked: [...unchecked], worst };
}

function dimsOf(graph: Graph, inputDims: readonly Dims[]): Shapes {
  return new Map([
    ...graph.inputs.map((name, i) => [name, inputDims[i]!] as const),
    ...[...(graph.values ?? [])].map(([name, { tensor }]) => [name, tensor.dims] as const),
    ...summarize(graph, inputDims).nodes.map(({ output, dims }) => [output, dims] as const),
  ]);
}

function nodesOf({ nodes }: Graph): Nodes {
  return new Map(nodes.map((node) => [node.outputs[0], node]));
}

/** undefined where no place has a finite value, so that nothing can be said. */
function compare(exact: Compute, rounded: Compute, places: Iterable<number>): Comparison | undefined {
  let worst: Comparison | undefined;
  for (const index of places) {
    const [one, other] = [exact(index), rounded(index)];
    if (!Number.isFinite(one.value)) continue;
    const difference = Math.abs(one.value - other.value);
    const allowed = one.error + other.error + SUBNORMAL;
    // What is not a number is further off than anything.
    const share = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference / allowed;
    if (worst === undefined || share > worst.share) worst = { share, difference, allowed };
  }
  return worst;
}

/** Some pixels, with all of their channels, as each has weights of its own. */
function* placesIn(dims: Dims, random: () => number): Iterable<number> {
  const [batch = 1, channels = 1, ...pixels] = dims;
  if (sizeOf(dims) === 0) return;
  for (let i = 0; i < PLACES; i++) {
    const [n, ...pixel] = [batch, ...pixels].map((size) => Math.floor(random() * size)) as [number, ...number[]];
    for (let c = 0; c < channels; c++) yield indexOf(dims.length < 2 ? [n] : [n, c, ...pixel], dims);
  }
}

/** Whether two nodes do the same to values of the same names, with equal stored ones. */
function isSameNode(one: GraphNode | undefined, graph: Graph, other: GraphNode, otherGraph: Graph): boolean {
  if (one?.op !== other.op || one.inputs.length !== other.inputs.length) return false;
  if (attributesOf(one) !== attributesOf(other)) return false;
  return one.inputs.every((name, i) => {
    const otherName = other.inputs[i];
    if (name === undefined || otherName === undefined) return name === otherName;
    const [stored, otherStored] = [graph.values?.get(name)?.tensor, otherGraph.values?.get(otherName)?.tensor];
    if (stored === undefined || otherStored === undefined) return stored === otherStored && name === otherName;
    return sameDims(stored.dims, otherStored.dims) && haveSameData(stored, otherStored);
  });
}

function attributesOf({ path, layer, inputs, outputs, updates, ...attributes }: GraphNode): string {
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== false);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function haveSameData(a: Tensor, b: Tensor): boolean {
  const [one, other] = [a.data as Float32Array, b.data as Float32Array];
  return one.every((value, i) => Object.is(value, other[i]));
}
