/**
 * Merges parallel linear branches that meet in additions into one convolution.
 *
 *   y = BN_a(A * x) + r + (BN_b(B * x) + BN_c(x))     ->     y = M * x + m + r
 *
 * A sum is flattened as far as its intermediate sums are read by nothing else and have no activation. Its terms are
 * grouped by what they read; a branch whose value is read elsewhere stays a term like any other. The taps of an
 * identity or an average pooling cost nothing where a kernel is there anyway, so a residual x + W * x is merged too (as
 * RepVGG does), but only with convolutions. Branches join as long as the multiply-adds do not grow: 3 x 3 takes in 3 x
 * 1 and 1 x 3, but 3 x 1 and 1 x 3 alone (6 taps) do not become 3 x 3 (9 taps), and a depthwise kernel does not become
 * a dense one.
 */
import { type BinaryNode, countUses, type Graph, type GraphNode, type PoolNode } from '../graph/graph.js';
import { foldBias } from '../merge/affine.js';
import { type BranchShape, diagonalShape, joinShapes } from '../merge/branches.js';
import { type Rows, rowsOf } from '../merge/rows.js';
import { affineStep } from './affine.js';
import { addUp, type Branch, convShape, ONE_TAP } from './branches.js';
import type { ExactValues } from './exactValues.js';
import { isOpen } from './fuse.js';
import { knownDims, type Layout } from './knownDims.js';
import { type MergeLog, type Pass, type PassContext, PassValues, producers } from './pass.js';

type Dims = readonly number[];

/** Clusters tried per input; a file may have any number of branches that do not fit each other. */
const MAX_CLUSTERS = 16;

/** A tree of additions, flattened. */
interface Sum {
  readonly root: BinaryNode;
  /** From left to right. */
  readonly terms: readonly string[];
  /** Names of the partial sums, by the terms that they add up, `from,to`. */
  readonly names: ReadonlyMap<string, string>;
}

/** Branches that become one convolution. */
interface Cluster {
  readonly branches: Branch[];
  shape: BranchShape;
}

/** A summand after merging: an original term, a merged convolution, or a sum of these. */
interface Item {
  readonly name: string;
  /** First and last of the terms that it stands for, and how many there are. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** What the pass knows of the graph. */
interface Knowledge {
  readonly stored: PassValues;
  readonly producer: ReadonlyMap<string, GraphNode>;
  readonly uses: ReadonlyMap<string, number>;
  readonly haveSameDims: (a: string, b: string) => boolean;
}

export const mergeBranches: Pass = (graph, context) => {
  if (!graph.nodes.some(({ op }) => op === 'add')) return graph;
  const knowledge = know(graph, context);
  const dropped = new Set<string>();
  const replaced = new Map<string, GraphNode[]>();
  for (const sum of findSums(graph, knowledge)) {
    const nodes = mergeSum(sum, knowledge, context, dropped);
    if (nodes !== undefined) replaced.set(sum.root.outputs[0], nodes);
  }
  if (replaced.size === 0) return graph;
  const nodes = graph.nodes.flatMap((node) => {
    const [output] = node.outputs;
    return replaced.get(output) ?? (dropped.has(output) ? [] : [node]);
  });
  return knowledge.stored.graphOf(nodes);
};

function know(graph: Graph, { shapesOf }: PassContext): Knowledge {
  let dims: ReadonlyMap<string, Dims> | undefined;
  const haveSameDims = (a: string, b: string): boolean => {
    dims ??= knownDims(shapesOf(graph));
    const [one, other] = [dims.get(a), dims.get(b)];
    // The batch, which may be unknown, is that of their common input.
    return one?.length === 4 && one.every((size, axis) => axis === 0 || (size > 0 && size === other?.[axis]));
  };
  return { stored: new PassValues(graph), producer: producers(graph.nodes), uses: countUses(graph), haveSameDims };
}

function findSums(graph: Graph, { producer, uses }: Knowledge): Sum[] {
  /** The addition that makes this value, if the value is only an intermediate sum. */
  const partialSum = (name: string): BinaryNode | undefined => {
    const node = producer.get(name);
    return node?.op === 'add' && node.relu !== true && uses.get(name) === 1 ? (node as BinaryNode) : undefined;
  };
  const additions = graph.nodes.filter((node): node is BinaryNode => node.op === 'add');
  const partial = new Set(additions.flatMap(({ inputs }) => inputs).filter((name) => partialSum(name) !== undefined));
  return additions.filter(({ outputs: [sum] }) => !partial.has(sum)).map((root) => flatten(root, partialSum));
}

/** Without recursion, as a chain may be as long as the file. */
function flatten(root: BinaryNode, partialSum: (name: string) => BinaryNode | undefined): Sum {
  const terms: string[] = [];
  const names = new Map<string, string>();
  const pending: ({ visit: string } | { close: string; from: number })[] = [];
  const open = (node: BinaryNode): void => {
    pending.push({ close: node.outputs[0], from: terms.length });
    for (const name of [...node.inputs].reverse()) pending.push({ visit: name });
  };
  open(root);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if ('close' in next) {
      names.set(`${next.from},${terms.length}`, next.close);
      continue;
    }
    const inner = partialSum(next.visit);
    if (inner === undefined) terms.push(next.visit);
    else open(inner);
  }
  return { root, terms, names };
}

/** The nodes that replace the sum's root; undefined if nothing is merged. */
function mergeSum(
  sum: Sum,
  knowledge: Knowledge,
  { values, merges }: PassContext,
  dropped: Set<string>,
): GraphNode[] | undefined {
  const branches = findBranches(sum, knowledge, values);
  const places = new Map<string, number[]>();
  sum.terms.forEach((name, i) => {
    const known = places.get(name);
    if (known === undefined) places.set(name, [i]);
    else known.push(i);
  });
  const items: Item[] = [];
  const merged: GraphNode[] = [];
  for (const { branches: cluster, shape } of formClusters(branches, knowledge)) {
    const parts = cluster.flatMap(({ output }) => places.get(output)!.map((i) => term(output, i)));
    const item = named(parts.reduce(together), sum, knowledge);
    const conv = addUp(cluster, shape, item.name, knowledge.stored, values);
    if (conv === undefined) continue;
    merges.set(item.name, { branches: countBranches(cluster, merges), kernel: shape.window.kernel });
    for (const { output } of cluster) places.delete(output);
    for (const output of consumed(cluster)) dropped.add(output);
    merged.push(conv);
    items.push(item);
  }
  if (merged.length === 0) return undefined;
  for (const name of sum.names.values()) dropped.add(name);
  for (const [name, at] of places) items.push(...at.map((i) => term(name, i)));
  items.sort((a, b) => a.first - b.first);
  const nodes = [...merged, ...addItems(items, sum, knowledge)];
  const last = nodes.pop()!;
  return [...nodes, sum.root.relu === true ? ({ ...last, relu: true } as GraphNode) : last];
}

function term(name: string, place: number): Item {
  return { name, first: place, last: place, count: 1 };
}

/** The sum of two items, which has no name yet. */
function together(a: Item, b: Item): Item {
  return {
    name: '',
    first: Math.min(a.first, b.first),
    last: Math.max(a.last, b.last),
    count: a.count + b.count,
  };
}

/** The item under the name of its partial sum, or under a new one. */
function named(item: Item, { root, names }: Sum, { stored }: Knowledge): Item {
  const isGapless = item.last - item.first + 1 === item.count;
  const name = isGapless ? names.get(`${item.first},${item.last + 1}`) : undefined;
  return { ...item, name: name ?? stored.newName(`${root.outputs[0]}.part`) };
}

/** Additions from left to right. */
function addItems([first, ...others]: readonly Item[], sum: Sum, knowledge: Knowledge): GraphNode[] {
  const { path, layer } = sum.root;
  let total = first!;
  return others.map((item) => {
    const inputs = [total.name, item.name];
    total = named(together(total, item), sum, knowledge);
    return { op: 'add', path, layer, inputs, outputs: [total.name] };
  });
}

/** Outputs that disappear after merging; an identity's output is its input. */
function consumed(cluster: readonly Branch[]): string[] {
  return cluster.filter(({ output, input }) => output !== input).map(({ output }) => output);
}

/** Counts branches, including those of earlier merges, whose records are removed. */
function countBranches(cluster: readonly Branch[], merges: MergeLog): number {
  const own = new Set(consumed(cluster));
  return cluster.reduce((all, { output, count }) => {
    const earlier = own.has(output) ? merges.get(output) : undefined;
    if (own.has(output)) merges.delete(output);
    return all + count * (earlier?.branches ?? 1);
  }, 0);
}

/** The terms that are linear branches, each once. */
function findBranches({ terms }: Sum, knowledge: Knowledge, values: ExactValues): Branch[] {
  const { producer, uses } = knowledge;
  const counts = new Map<string, number>();
  for (const name of terms) counts.set(name, (counts.get(name) ?? 0) + 1);
  const own = [...counts].flatMap(([name, count]) => {
    const node = producer.get(name);
    return node !== undefined && uses.get(name) === count ? [{ name, count, node }] : [];
  });
  const convolutions = own.flatMap(({ node, count }) => convBranch(node, count, knowledge.stored, values) ?? []);
  // A convolution's input is an image with its number of channels.
  const images = new Map(convolutions.map(({ input, shape }) => [input, { rank: 4, channels: shape.inChannels }]));
  const diagonals = own.flatMap(
    ({ node, count }) => affineBranch(node, count, images, knowledge, values) ?? poolBranch(node, count, images) ?? [],
  );
  const found = new Set([...convolutions, ...diagonals].map(({ output }) => output));
  const identities = [...counts].flatMap(([name, count]) => {
    const image = images.get(name);
    return image === undefined || found.has(name) ? [] : [identityBranch(name, image.channels, count)];
  });
  const order = new Map([...counts.keys()].map((name, i) => [name, i]));
  return [...convolutions, ...diagonals, ...identities].sort((a, b) => order.get(a.output)! - order.get(b.output)!);
}

function convBranch(node: GraphNode, count: number, stored: PassValues, values: ExactValues): Branch | undefined {
  const own = node.op === 'conv2d' && isOpen(node) ? stored.parameters(node) : undefined;
  if (node.op !== 'conv2d' || own === undefined) return undefined;
  return {
    output: node.outputs[0],
    input: node.inputs[0],
    count,
    shape: convShape(node, own.weight),
    conv: node,
    weights: () => values.rows(own.weight),
    bias: own.bias && values.of(own.bias),
  };
}

/** A BatchNorm, or a factor or term for each channel, of a value that a convolution reads too. */
function affineBranch(
  node: GraphNode,
  count: number,
  layouts: ReadonlyMap<string, Layout>,
  { stored }: Knowledge,
  values: ExactValues,
): Branch | undefined {
  const step = affineStep(node, stored, layouts, values);
  if (step === undefined || step.relu || step.addend !== undefined) return undefined;
  const { scale } = step.affine;
  const channels = layouts.get(step.source)?.channels;
  if (channels === undefined || scale.length !== channels) return undefined;
  return {
    output: node.outputs[0],
    input: step.source,
    count,
    shape: diagonalShape(channels, ONE_TAP, channels),
    conv: undefined,
    weights: () => rowsOf(scale, channels),
    bias: foldBias(step.affine, undefined),
  };
}

/** An average pooling of a value that a convolution reads too. */
function poolBranch(node: GraphNode, count: number, layouts: ReadonlyMap<string, Layout>): Branch | undefined {
  const [input] = node.inputs as [string];
  const channels = layouts.get(input)?.channels;
  if (channels === undefined || node.op !== 'avgPool2d' || !isLinearPool(node)) return undefined;
  const taps = node.window.kernel[0] * node.window.kernel[1];
  return {
    output: node.outputs[0],
    input,
    count,
    shape: diagonalShape(channels, node.window, 0),
    conv: undefined,
    weights: () => rowsOf(new Float64Array(channels * taps).fill(1 / taps), channels),
    bias: undefined,
  };
}

/** Whether every window is divided by the same number. */
function isLinearPool({ window, ceilMode, countIncludePad }: PoolNode): boolean {
  return !ceilMode && window.pads.every((pad) => pad === 0 || (countIncludePad && pad > 0));
}

function identityBranch(name: string, channels: number, count: number): Branch {
  const shape = diagonalShape(channels, ONE_TAP, 0);
  const weights = (): Rows => rowsOf(new Float64Array(channels).fill(1), channels);
  return { output: name, input: name, count, shape, conv: undefined, weights, bias: undefined };
}

/** Each branch joins the first cluster that it fits; the costliest come first, as the others fit into their windows. */
function formClusters(branches: readonly Branch[], { haveSameDims }: Knowledge): Cluster[] {
  const byInput = new Map<string, Cluster[]>();
  for (const branch of [...branches].sort((a, b) => b.shape.cost - a.shape.cost)) {
    const clusters = byInput.get(branch.input) ?? [];
    byInput.set(branch.input, clusters);
    if (clusters.some((cluster) => tryJoin(cluster, branch, haveSameDims))) continue;
    if (clusters.length < MAX_CLUSTERS) clusters.push({ branches: [branch], shape: branch.shape });
  }
  const inOrder = new Map(branches.map((branch, i) => [branch, i]));
  return [...byInput.values()].flat().flatMap(({ branches: all, shape }) => {
    const hasConvolution = all.some(({ conv }) => conv !== undefined);
    const terms = all.reduce((sum, { count }) => sum + count, 0);
    if (!hasConvolution || terms < 2) return [];
    return [{ branches: all.sort((a, b) => inOrder.get(a)! - inOrder.get(b)!), shape }];
  });
}

function tryJoin(cluster: Cluster, branch: Branch, haveSameDims: Knowledge['haveSameDims']): boolean {
  const joined =
    joinShapes(cluster.shape, branch.shape, false) ??
    (haveSameDims(cluster.branches[0]!.output, branch.output)
      ? joinShapes(cluster.shape, branch.shape, true)
      : undefined);
  if (joined === undefined) return false;
  cluster.branches.push(branch);
  cluster.shape = joined;
  return true;
}
