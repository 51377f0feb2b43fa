/**
 * What all steps share. A step is one call of a kernel, with everything decided that does not change from run to run;
 * it gets the addresses of all values of the plan, by slot.
 */

import type { Folded } from '../../merge/affine.js';
import type { NodeBase, Optional } from '../../nodes/node.js';
import type { Runtime } from '../../runtime/runtime.js';
import { bytesOf, type Extent, extentOf, type Layout, wordsOf } from '../../sizes.js';
import type { Parameter } from './parameter.js';
import type { Prepared } from './prepared.js';
import { FLOAT } from './records.js';

export type Addresses = readonly number[];
export type Step = (at: Addresses) => void;

/** Where a value is but a part of the channels in a buffer. */
export interface Among {
  /** Bytes before it. */
  readonly offset: number;
  /** Of a pixel in the buffer. */
  readonly lanes: number;
}

/** What the plan tells the maker of one node's step. */
export interface StepContext {
  readonly runtime: Runtime;
  /** Where the node finds or puts a value. */
  slot(value: string): number;
  dims(value: string): readonly number[];
  /** In which layout the node finds or puts a value. */
  layout(value: string): Layout;
  /** Where the value is but a part of the channels there. */
  among(value: string): Among | undefined;
  /** Where the node's output goes. */
  readonly output: { readonly slot: number; readonly layout: Layout };
  /** Memory that lives as long as the plan. */
  allocate(bytes: number): number;
  /** Address, in a run, of as much memory for the step's own work, with anything in it; not for lazy steps. */
  workspace(bytes: number): () => number;
  /** A step that is made when it is first needed. */
  lazily(make: () => Step): () => Step;
  /** To be done once all steps of a run are through. */
  afterwards(step: Step): void;
  /** What a packed input is, unless it is `folded`. */
  parameter(value: string): Parameter;
  folded(value: string): Folded | undefined;
  /**
   * Makes something of parameters: where all are stored, ahead of runs and once for all plans; else in every run.
   * @param key what it is; the same for equal things of equal parameters
   */
  prepare<T extends Prepared>(key: string, parameters: readonly Parameter[], make: () => T): InRun<T>;
}

/** What is prepared, and what a run must do before it uses it; undefined: nothing. */
export interface InRun<T> {
  readonly prepared: T;
  readonly fill: Step | undefined;
}

/** Finds the address of a value in a run; 0 for undefined. */
export function finder(value: Optional, context: StepContext): (at: Addresses) => number {
  if (value === undefined) return () => 0;
  const slot = context.slot(value);
  const offset = context.among(value)?.offset ?? 0;
  return (at) => at[slot]! + offset;
}

/** Addresses of a node's first input, its addend (0: none) and its output. */
export function ports(
  node: NodeBase,
  context: StepContext,
  addend?: Optional,
): (at: Addresses) => [number, number, number] {
  const [input, added, output] = [node.inputs[0], addend, node.outputs[0]].map((value) => finder(value, context)) as [
    Find,
    Find,
    Find,
  ];
  return (at) => [input(at), added(at), output(at)];
}

export type Find = (at: Addresses) => number;

/** Bytes from one pixel of a channels-last value to the next. */
export function pixelStride(value: string, context: StepContext): number {
  return (context.among(value)?.lanes ?? extentOf(context.dims(value)).lanes) * 4;
}

export function input(node: NodeBase, context: StepContext): Extent {
  return extentOf(context.dims(node.inputs[0]!));
}

/** Floats of a value, zeros behind its channels included. */
export function floatCount(value: string, context: StepContext): number {
  return bytesOf(context.dims(value), context.layout(value)) / 4;
}

/**
 * Zeros the lanes behind a value's last channel, for kernels that leave something else there; undefined where it has
 * none.
 */
export function laneCleaner(value: string, context: StepContext): ((ptr: number) => void) | undefined {
  const { batch, channels, pixels, lanes } = extentOf(context.dims(value));
  if (context.layout(value) === 'planar' || channels === lanes) return undefined;
  return (ptr) => context.runtime.kernels.clearLanes(ptr, batch * pixels, channels, lanes);
}

export function writeTable(context: StepContext, table: Int32Array | Float32Array): number {
  const ptr = context.allocate(table.byteLength);
  const { heap } = context.runtime;
  if (table instanceof Int32Array) heap.words(ptr, table.length).set(table);
  else heap.floats(ptr, table.length).set(table);
  return ptr;
}

/** Writes a record of records.ts. */
export function writeRecord<Fields extends Readonly<Record<string, number>>>(
  owner: string,
  context: StepContext,
  fields: Fields,
  values: Readonly<Record<keyof Fields, number>>,
): number {
  const names: (keyof Fields)[] = Object.keys(fields);
  const words = names.map((name) => (fields[name] === FLOAT ? 0 : values[name]));
  const ptr = writeTable(context, wordsOf(owner, words));
  names.forEach((name, i) => {
    if (fields[name] === FLOAT) context.runtime.heap.floats(ptr + i * 4, 1)[0] = values[name];
  });
  return ptr;
}

export function lowerBound(node: { readonly relu?: boolean }): number {
  return node.relu === true ? 0 : Number.NEGATIVE_INFINITY;
}
