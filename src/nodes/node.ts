/** What nodes of all operations have in common, and words that several of them use. Layouts are N, C, H, W. */

import type { Layout } from '../sizes.js';

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';
/** [height, width] */
export type Pair = readonly [number, number];
/** [top, left, bottom, right]; a negative one crops. */
export type Pads = readonly [number, number, number, number];

export interface NodeBase {
  readonly op: string;
  /** Path of the layer, for messages: '' for a layer on its own. */
  readonly path: string;
  /** Class of the layer that the node comes from, for messages. */
  readonly layer: string;
  /** Names of values; undefined where one is left out. */
  readonly inputs: readonly Optional[];
  readonly outputs: readonly [string, ...string[]];
  /**
   * Stored values that the node changes in place. All nodes of a run read what was there before it; once all have run,
   * the changes happen in the order of the nodes, so that a run that fails changes nothing.
   */
  readonly updates?: readonly string[];
}

export type Optional = string | undefined;

/** A node that needs all of its inputs. */
export interface FullNode extends NodeBase {
  readonly inputs: readonly string[];
}

/** How a window moves over an image. */
export interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly pads: Pads;
}

/** How an operation takes an input. */
export interface InputRule {
  /** For messages. */
  readonly name?: string;
  /** Whether it may be left out. */
  readonly isOptional?: boolean;
  /**
   * For an input that does not follow the operation's layout. packed: the step transforms it beforehand, once for all
   * runs if it is stored; planar, channelsLast: the step reads it in that layout.
   */
  readonly as?: 'packed' | Layout;
}
