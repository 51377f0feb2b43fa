/**
 * What there is to know of an operation, in one place: the checks of its nodes, the dims that it gives, its layouts,
 * its step, its cost, and how it prints. Each file in this folder has the node type of an operation, or of a family of
 * them, and its OperationRule; src/graph/operations.ts is the table of all.
 *
 * Rules are looked up among those that are in use. A layer brings the rules of its own nodes, by `GraphBuilder.add`;
 * whoever takes a Graph from elsewhere brings all (`useAllOperations`). So a page whose networks are made of layers
 * does not carry the operations of files.
 */

import type { Dim, Dims, KnownDims } from '../nodes/dims.js';
import type { InputRule, NodeBase, Optional } from '../nodes/node.js';
import type { Step, StepContext } from '../plan/steps/step.js';
import { show, showName } from '../shown.js';
import type { Layout } from '../sizes.js';
import type { Tensor } from '../tensor.js';

/**
 * The size of an axis of a value, counted from the end where it is negative; undefined where the value is not there.
 */
export type DimOfValue = (value: string, axis: number) => Dim;
/** Of an input; undefined where it is left out. */
export type InputDims = KnownDims | undefined;

/**
 * How an operation stands to layouts.
 *   planar, channelsLast  all that it reads and writes is in this one
 *   input                 it writes the layout of its first input
 *   view                  it gives the bytes of its input another name, if they are in the right order
 *   any                   it reads any and writes any
 */
export type LayoutRule = Layout | 'input' | 'view' | 'any';

/** Expects something of a node that is true whatever its shapes are. */
export type Expect = (isRight: boolean, name: string, expected: string, got: unknown) => void;

export interface OperationRule<N extends NodeBase = NodeBase> {
  /** What its inputs are, in order; by default all are needed and in the operation's layout. */
  inputs?(node: N): readonly InputRule[];
  /**
   * What must be true of a node before any shape is known.
   * @param stored the tensor of an input that is a stored value
   */
  check?(node: N, expect: Expect, stored: (name: Optional) => Tensor | undefined): void;
  /**
   * Dims of the output, as far as they follow from those of the inputs; every check that depends on a shape.
   * @param dimOf of any other value, for sizes that are taken from it
   * @returns undefined where not even the rank follows
   * @throws RangeError naming the layer, what it expects, and what came
   */
  dims(node: N, inputs: readonly InputDims[], dimOf: DimOfValue): KnownDims | undefined;
  /**
   * Dims of the outputs behind the first, where the shapes of all inputs are known. Those of a single axis are in
   * row-major order, others in the layout of the first.
   */
  furtherDims?(node: N, inputs: readonly InputDims[]): readonly Dims[];
  /** What is known of the output's dims where the rank of an input is not: that of it is undefined, too. */
  dimsOfUnknown?(node: N, inputs: readonly InputDims[]): KnownDims;
  /** Whether it only moves values, and so has nothing to do where there are none; what computes refuses. */
  readonly movesOnly?: boolean;
  layout(node: N, output: Dims): LayoutRule;
  /** Of an operation of any layouts: the layout in which it reads an input fastest, if there is one. */
  prefers?(input: Dims, output: Dims): 'planar' | 'sameAsOutput' | undefined;
  /**
   * Inputs that may be overwritten with the output. all: each value of the output needs only what stands at its place,
   * or what is read before anything is written; addend: all but the first; each: that of the output's number, with any
   * output. Those that are packed or planar never.
   */
  readonly overwrites?: 'all' | 'addend' | 'each';
  /** Whether it can leave other channels between the pixels that it writes. */
  writesAmong?(node: N, output: Dims): boolean;
  /** Whether it can skip other channels between the pixels of this input. */
  readsAmong?(node: N, input: string): boolean;
  /** The call of its kernel; a view has none. */
  step?(node: N, context: StepContext): Step;
  /** Of convolutions and matrix products, which is what networks spend their time on; of others it does not count. */
  multiplyAdds?(node: N, output: Dims, inputs: readonly (Dims | undefined)[]): number;
  /** What else makes a node what it is, for people. */
  flags?(node: N): string[];
}

const inUse = new Map<string, OperationRule>();

/** Makes a rule known under the name of its operation. */
export function useOperation(op: string, rule: OperationRule): void {
  inUse.set(op, rule);
}

/** @throws RangeError where there is no such operation */
export function ruleOf<N extends NodeBase>(node: N): OperationRule<N> {
  const rule = inUse.get(node.op);
  if (rule !== undefined) return rule;
  const path = node.path === '' ? '' : ` (${showName(node.path)})`;
  throw new RangeError(
    `graph: op of ${showName(node.layer)}${path} must be the name of an operation, got ${show(node.op)}`,
  );
}
