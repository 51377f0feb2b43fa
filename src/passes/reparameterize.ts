/**
 * Reparameterization, Graph to Graph: the same function with fewer and cheaper nodes. Parallel linear branches become
 * one convolution (Ding, Guo, Ding, Han: ACNet, ICCV 2019, section 3.3, and any others of the kind), BatchNorms and
 * constant factors and terms go into the weights beside them, cropping and padding into windows; copies and unread
 * values are removed.
 */
import type { Graph, Pair } from '../graph/graph.js';
import { checkGraph } from '../graph/validate.js';
import { show } from '../shown.js';
import { absorbPads } from './absorbPads.js';
import { dropIdentities } from './dropIdentities.js';
import { ExactValues } from './exactValues.js';
import { foldAffine } from './foldAffine.js';
import { rememberShapes } from './knownDims.js';
import { mergeBranches } from './mergeBranches.js';
import { MergeLog, type Pass, type PassContext } from './pass.js';
import { removeDead } from './removeDead.js';

/** A convolution that several branches were merged into. */
export interface MergedBranches {
  /** Name of its output. */
  output: string;
  /** Terms of the sum that it stands for. */
  branches: number;
  /** [height, width] */
  kernel: Pair;
}

/** One pass can make room for another. Networks settle after two or three rounds. */
const MAX_ROUNDS = 8;

const PASSES: readonly Pass[] = [removeDead, dropIdentities, absorbPads, foldAffine, mergeBranches];

/**
 * Merges parallel branches into single convolutions, and folds BatchNorms and other linear steps into weights. Computes
 * in float64 and rounds once. Names of inputs and outputs stay. The given graph is not changed; unchanged tensors are
 * shared with it.
 * @returns `merged` lists the convolutions that several branches became
 * @throws TypeError when it is not a graph, RangeError when a node reads a value that nothing before it makes
 * @example
 * const { graph, merged } = reparameterize(readOnnx(bytes));
 * console.log(`${merged.length} blocks merged`);
 */
export function reparameterize(graph: Graph): { graph: Graph; merged: MergedBranches[] } {
  if (typeof graph !== 'object' || graph === null || !Array.isArray(graph.nodes)) {
    throw new TypeError(`reparameterize: graph must be a Graph, as readOnnx returns it, got ${show(graph)}`);
  }
  checkGraph(graph);
  // Nearly all weights are finite, so that one computation at the end will do.
  const { graph: current, merges } = runPasses(graph, false) ?? runPasses(graph, true)!;
  const merged = current.nodes.flatMap(({ outputs: [output] }) => {
    const merge = merges.get(output);
    return merge === undefined ? [] : [{ output, branches: merge.branches, kernel: merge.kernel }];
  });
  return { graph: current, merged };
}

/** Numbers that the graph holds; a tensor under several names counts once. */
function heldValues({ values }: Graph): number {
  const tensors = new Set([...(values?.values() ?? [])].map(({ tensor }) => tensor));
  return [...tensors].reduce((held, { size }) => held + size, 0);
}

/** @returns undefined if weights are not finite and the passes are not careful */
function runPasses(graph: Graph, careful: boolean): { graph: Graph; merges: MergeLog } | undefined {
  const values = new ExactValues(careful, heldValues(graph));
  const context: PassContext = { values, merges: new MergeLog(), shapesOf: rememberShapes() };
  let current = graph;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = current;
    current = PASSES.reduce((result, pass) => pass(result, context), current);
    if (current === before) break;
  }
  current = removeDead(current);
  for (const { tensor } of current.values?.values() ?? []) if (!values.settle(tensor)) return undefined;
  return { graph: current, merges: context.merges };
}
