/**
 * A pass for graphs that are to be differentiated, behind joinNorms: where convolutions of one image that needs no gradient
 * end in a sum of BatchNorms by the statistics of the batch, as those of a first block do, all becomes one convolution.
 * What each convolution gives is then never computed: statistics and gradients follow from the moments of what the taps see
 * (assembly/train/foldNorm.ts), where that takes less time.
 */
import type { Graph, GraphNode } from '../../graph/graph.js';
import { countUses } from '../../graph/graph.js';
import { joinWindows } from '../../merge/window.js';
import type { Conv2dNode } from '../../nodes/conv.js';
import type { Dims } from '../../nodes/dims.js';
import type { NodeBase, Window } from '../../nodes/node.js';
import { type OperationRule, useOperation } from '../../ops/operation.js';
import { dependents } from '../../passes/differentiate.js';
import { PassValues } from '../../passes/pass.js';
import { extentOf, sizeOf } from '../../sizes.js';
import { type FoldedConvNode, foldedConv } from '../ops/foldedConv.js';
import { type FoldNormsNode, foldFlops, foldNorms as foldNormsRule } from '../ops/foldNorms.js';
import { branchInputs, type NormSumNode } from '../ops/normSum.js';
import { hasTapMoments, type TapMomentsNode, tapMoments, tapProducts } from '../ops/tapMoments.js';

/** What is folded: a sum of BatchNorms, the convolutions in it, and the window that holds those of all. */
interface Fold {
  readonly sum: NormSumNode;
  readonly convolutions: readonly Conv2dNode[];
  readonly window: Window;
}

/**
 * @param shapes dims of all values of the graph before joinNorms
 * @param wanted values whose gradients are asked for
 */
export function foldNorms(graph: Graph, shapes: ReadonlyMap<string, Dims>, wanted: Iterable<string>): Graph {
  const needed = dependents(graph, wanted);
  const uses = countUses(graph);
  const convolutions = new Map<string, Conv2dNode>();
  for (const node of graph.nodes) {
    const [image] = node.inputs;
    if (node.op === 'conv2d' && isPlain(node) && !needed.has(image!) && uses.get(node.outputs[0]) === 1) {
      convolutions.set(node.outputs[0], node);
    }
  }
  const names = new PassValues(graph);
  const gone = new Set<NodeBase>();
  const folded = new Map<NodeBase, readonly NodeBase[]>();
  for (const node of graph.nodes as readonly NodeBase[]) {
    const fold = node.op === 'normSum' ? foldOf(node as NormSumNode, convolutions, shapes) : undefined;
    if (fold === undefined) continue;
    for (const convolution of fold.convolutions) gone.add(convolution);
    folded.set(node, nodesOf(fold, names, shapes));
  }
  if (folded.size === 0) return graph;
  const nodes = (graph.nodes as readonly NodeBase[]).flatMap((node) =>
    gone.has(node) ? [] : (folded.get(node) ?? node),
  );
  // The executor and differentiation go by rules.
  return { ...graph, nodes: nodes as readonly GraphNode[] };
}

function isPlain({ inputs, groups, paddingMode, algorithm, parallel }: Conv2dNode): boolean {
  const reads = inputs.slice(2).every((name) => name === undefined);
  return reads && groups === 1 && paddingMode === 'zeros' && algorithm === undefined && parallel === undefined;
}

/** undefined: it is no sum of such convolutions, or better off as it is. */
function foldOf(
  sum: NormSumNode,
  known: ReadonlyMap<string, Conv2dNode>,
  shapes: ReadonlyMap<string, Dims>,
): Fold | undefined {
  if (sum.inputs[0] !== undefined || sum.branches.some(({ momentum }) => momentum === undefined)) return undefined;
  const convolutions = branchInputs(sum).flatMap(([image]) => known.get(image) ?? []);
  const [first, ...others] = convolutions;
  if (first === undefined || convolutions.length < sum.branches.length) return undefined;
  if (others.some(({ inputs }) => inputs[0] !== first.inputs[0])) return undefined;
  const window = others.reduce<Window | undefined>(
    (joint, other) => joint && joinWindows(joint, other.window, true),
    first.window,
  );
  if (window === undefined || !hasTapMoments(window, shapes.get(first.inputs[0])!)) return undefined;
  const fold = { sum, convolutions, window };
  return paysOff(fold, shapes) ? fold : undefined;
}

/** Times that a float of each convolution's output is read or written, forward and backward; and of the folded one's. */
const [PLAIN_MOVES, FOLDED_MOVES] = [8, 5];
/** Multiply-adds that moving a float takes the time of. */
const MOVE_PRODUCTS = 4;

/** Multiply-adds of either way, forward and for the gradients of weights, and what takes the time of some. */
function paysOff({ convolutions, window }: Fold, shapes: ReadonlyMap<string, Dims>): boolean {
  const [first] = convolutions as readonly [Conv2dNode, ...Conv2dNode[]];
  const image = shapes.get(first.inputs[0])!;
  const weights = convolutions.map(({ inputs }) => shapes.get(inputs[1])!);
  const values = sizeOf(shapes.get(first.outputs[0])!);
  const taps = image[1]! * sizeOf(window.kernel);
  const plain = weights.reduce((sum, dims) => sum + 2 * sizeOf(dims.slice(1)) + PLAIN_MOVES * MOVE_PRODUCTS, 0);
  const folded = 2 * taps + FOLDED_MOVES * MOVE_PRODUCTS;
  const folding = weights.reduce((sum, dims) => sum + 1.5 * foldFlops(dims), 0);
  return values * folded + tapProducts(window, image) + folding < values * plain;
}

function nodesOf(
  { sum, convolutions, window }: Fold,
  names: PassValues,
  shapes: ReadonlyMap<string, Dims>,
): NodeBase[] {
  useOperation('tapMoments', tapMoments as OperationRule);
  useOperation('foldNorms', foldNormsRule as OperationRule);
  useOperation('foldedConv', foldedConv as OperationRule);
  const { path, layer, low, pool, updates } = sum;
  const [output, , ...places] = sum.outputs;
  const [first] = convolutions as readonly [Conv2dNode, ...Conv2dNode[]];
  const [image] = first.inputs;
  const wholeDims = shapes.get(first.outputs[0])!;
  const { batch, pixels, channels } = extentOf(wholeDims);
  const weightDims = [channels, shapes.get(image)![1]!, ...window.kernel] as const;
  const [centred, moments, weight, bias] = ['centred', 'moments', 'weight', 'bias'].map((what) =>
    names.newName(`${output}.${what}`),
  ) as [string, string, string, string];
  const ofTaps: TapMomentsNode = {
    op: 'tapMoments',
    path,
    layer,
    inputs: [image],
    outputs: [centred, moments],
    window,
  };
  const ofWeights: FoldNormsNode = {
    op: 'foldNorms',
    path,
    layer,
    inputs: [moments, ...branchInputs(sum).flatMap(([, ...norm], i) => [convolutions[i]!.inputs[1], ...norm])],
    outputs: [weight, bias],
    branches: sum.branches.map(({ eps, momentum }, i) => {
      return { window: convolutions[i]!.window, eps, momentum: momentum! };
    }),
    window,
    dims: weightDims,
    count: batch * pixels,
    ...(updates && { updates }),
  };
  const convolution: FoldedConvNode = {
    op: 'foldedConv',
    path,
    layer,
    inputs: [centred, weight, bias],
    outputs: [output, ...(pool === undefined ? [] : [...places, names.newName(`${output}.whole`)])],
    window: { ...window, pads: [0, 0, 0, 0] },
    weightDims,
    wholeDims,
    low,
    ...(pool && { pool }),
  };
  return [ofTaps, ofWeights, convolution];
}
