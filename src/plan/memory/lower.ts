/**
 * Lowering: a graph whose shapes are known becomes operations on buffers. Here layouts are decided, conversions are put
 * in where a value's writer and reader differ, and values that are others under a new name get no buffer of their own.
 */
import type { GraphNode } from '../../graph/graph.js';
import type { Dims } from '../../nodes/dims.js';
import type { InputRule, Optional } from '../../nodes/node.js';
import { ruleOf } from '../../ops/operation.js';
import type { FusedGraph } from '../../passes/fuse.js';
import { bytesOf, extentOf, type Layout, layoutsCoincide, sameDims } from '../../sizes.js';
import type { Among } from '../steps/step.js';
import { findHomes, type Home } from './joined.js';
import { hasSameExtent, usualLayout, wantedLayouts } from './layouts.js';

type Shapes = ReadonlyMap<string, Dims>;

/** Memory that a value is in, or several values that share their bytes. */
export interface Room {
  readonly bytes: number;
  /** input: given to each run; stored: there already; computed: the plan's. */
  readonly kind: 'input' | 'stored' | 'computed';
}

export interface Place {
  readonly buffer: number;
  readonly layout: Layout;
  /** Where the value is but a part of the channels in the buffer. */
  readonly among?: Among;
}

/** What a plan adds to the nodes of its graph: a value in another layout, or an output that needs bytes of its own. */
export interface Move {
  readonly op: 'convert' | 'copy';
  readonly inputs: readonly [string];
  readonly outputs: readonly [string];
}

export function isMove(node: GraphNode | Move): node is Move {
  return node.op === 'convert' || node.op === 'copy';
}

export interface Operation {
  readonly node: GraphNode | Move;
  /** Where each of the node's inputs is read; undefined: it is left out, or made something of beforehand. */
  readonly inputs: readonly (Place | undefined)[];
  readonly outputs: readonly [Place, ...Place[]];
  /** For the first outputs, buffers of inputs that they may be written over, if nobody needs them any more. */
  readonly overwritable: readonly (readonly number[])[];
}

export interface Lowered {
  readonly buffers: readonly Room[];
  readonly operations: readonly Operation[];
  readonly inputs: readonly Place[];
  readonly outputs: readonly (Place & { readonly dims: Dims })[];
  readonly stored: readonly (Place & { readonly name: string })[];
}

export function lower(graph: FusedGraph, shapes: Shapes): Lowered {
  return new Lowering(graph, shapes).run();
}

class Lowering {
  readonly #graph: FusedGraph;
  readonly #shapes: Shapes;
  readonly #wanted: ReadonlyMap<string, Layout>;
  readonly #homes: ReadonlyMap<string, Home>;
  /** Buffers of concatenations of which parts are made first. */
  readonly #joined = new Map<string, number>();
  readonly #buffers: Room[] = [];
  readonly #operations: Operation[] = [];
  readonly #stored: (Place & { name: string })[] = [];
  /** Where each value is; the layout that it was made in comes first. */
  readonly #places = new Map<string, Place[]>();

  constructor(graph: FusedGraph, shapes: Shapes) {
    this.#graph = graph;
    this.#shapes = shapes;
    this.#wanted = wantedLayouts(graph, shapes);
    this.#homes = findHomes(graph, shapes, this.#wanted);
  }

  run(): Lowered {
    const inputs = this.#graph.inputs.map((name) => {
      const layout = this.#wanted.get(name) ?? usualLayout(this.#dims(name));
      return this.#make(name, layout, 'input');
    });
    for (const node of this.#graph.nodes) this.#lowerNode(node);
    const outputs = this.#lowerOutputs();
    return {
      buffers: this.#buffers,
      operations: this.#operations,
      inputs,
      outputs,
      stored: this.#stored,
    };
  }

  #lowerNode(node: GraphNode): void {
    const rule = ruleOf(node).layout(node, this.#dims(node.outputs[0]));
    if (rule === 'view') {
      this.#lowerView(node);
      return;
    }
    if (rule === 'any') {
      const layout = this.#outputLayout(node);
      this.#operate(node, (name) => this.#findNearest(name, layout), layout);
      return;
    }
    const layout = rule === 'input' ? this.#find(node.inputs[0]!).layout : rule;
    this.#operate(node, (name) => this.#findIn(name, layout), layout);
  }

  /** Where an input is read whose layout the operation's rule decides. */
  #findParameter(name: string, as: InputRule['as']): Place | undefined {
    const isStored = this.#graph.values?.has(name) || this.#graph.folded.has(name);
    if (as === 'packed' && isStored) return undefined;
    return this.#findIn(name, as === 'channelsLast' ? as : 'planar');
  }

  /** Another name for the same bytes: in each layout where shapes of one extent agree, else in row-major order. */
  #lowerView(node: GraphNode): void {
    const [name] = node.inputs as [string];
    const isSame = hasSameExtent(this.#dims(name), this.#dims(node.outputs[0]));
    if (isSame) this.#find(name);
    const places = isSame ? this.#places.get(name)! : [this.#findIn(name, 'planar')];
    for (const { buffer, layout } of places) this.#register(node.outputs[0], buffer, layout);
  }

  #operate(node: GraphNode, find: (name: string) => Place, layout: Layout): void {
    const rules = ruleOf(node).inputs?.(node);
    const inputs = node.inputs.map((name: Optional, i) => {
      const as = rules?.[i]?.as;
      if (name === undefined) return undefined;
      return as === undefined ? find(name) : this.#findParameter(name, as);
    });
    const outputs = node.outputs.map((name, i) =>
      this.#makeOutput(name, i === 0 || this.#dims(name)[1] ? layout : 'planar'),
    ) as unknown as Operation['outputs'];
    this.#operations.push({ node, inputs, outputs, overwritable: this.#overwritable(node, inputs, rules, layout) });
  }

  /** What an operation of any layouts writes: what is wanted, else the layout of an input that it keeps the axes of. */
  #outputLayout(node: GraphNode): Layout {
    const wanted = this.#wanted.get(node.outputs[0]);
    if (wanted !== undefined) return wanted;
    const dims = this.#dims(node.outputs[0]);
    const { prefers } = ruleOf(node);
    const kept = node.inputs.find(
      (name) =>
        name !== undefined && !this.#graph.values?.has(name) && prefers?.(this.#dims(name), dims) === 'sameAsOutput',
    );
    return kept === undefined ? 'planar' : this.#find(kept).layout;
  }

  /** The buffers that a node may overwrite with each of its outputs. */
  #overwritable(
    node: GraphNode,
    inputs: readonly (Place | undefined)[],
    rules: readonly InputRule[] | undefined,
    layout: Layout,
  ): Operation['overwritable'] {
    const { overwrites } = ruleOf(node);
    const isEach = overwrites === 'each';
    const fits = inputs.map((place, i) => {
      if (!place || !overwrites || rules?.[i]?.as) return false;
      if (overwrites === 'addend') return i > 0;
      const output = this.#shapes.get(node.outputs[isEach ? i : 0]!) ?? [];
      return place.layout === layout && sameDims(this.#dims(node.inputs[i]!), output);
    });
    // Another input in the same buffer must find its values at the same places, and before another output is written.
    const buffers = inputs.map((place, at) =>
      inputs.every((other, i) => other?.buffer !== place?.buffer || (fits[i] && (!isEach || i === at)))
        ? [place!.buffer]
        : [],
    );
    return isEach ? buffers : [buffers.flat()];
  }

  /** Outputs in bytes of their own: not an input's, not a stored value's, no two in the same. */
  #lowerOutputs(): (Place & { dims: Dims })[] {
    const taken = new Set<number>();
    return this.#graph.outputs.map((name) => {
      const dims = this.#dims(name);
      const place = this.#find(name);
      if (this.#buffers[place.buffer]!.kind === 'computed' && !taken.has(place.buffer)) {
        taken.add(place.buffer);
        return { ...place, dims };
      }
      const copy = { buffer: this.#addBuffer(dims, place.layout, 'computed'), layout: place.layout };
      this.#move('copy', name, place, copy);
      taken.add(copy.buffer);
      return { ...copy, dims };
    });
  }

  #dims(name: string): Dims {
    return this.#shapes.get(name)!;
  }

  /** Where a value is, in the layout that it was made in. */
  #find(name: string): Place {
    return this.#places.get(name)?.[0] ?? this.#placeStored(name, 'planar');
  }

  /** Where a value is, in that layout if it is there in it. */
  #findNearest(name: string, layout: Layout): Place {
    return this.#places.get(name)?.find((place) => place.layout === layout) ?? this.#find(name);
  }

  /** Where a value is in that layout; puts in a conversion if it is not there yet. */
  #findIn(name: string, layout: Layout): Place {
    const known = this.#places.get(name)?.find((place) => place.layout === layout);
    if (known !== undefined) return known;
    if (this.#graph.values?.has(name)) return this.#placeStored(name, layout);
    const from = this.#find(name);
    const output = this.#make(name, layout, 'computed');
    this.#move('convert', name, from, output);
    return output;
  }

  #move(op: Move['op'], name: string, from: Place, to: Place): void {
    const node: Move = { op, inputs: [name], outputs: [name] };
    this.#operations.push({ node, inputs: [from], outputs: [to], overwritable: [] });
  }

  #placeStored(name: string, layout: Layout): Place {
    const place = this.#make(name, layout, 'stored');
    this.#stored.push({ ...place, name });
    return place;
  }

  #make(name: string, layout: Layout, kind: Room['kind']): Place {
    const buffer = this.#addBuffer(this.#dims(name), layout, kind);
    this.#register(name, buffer, layout);
    return { buffer, layout };
  }

  /**
   * Where a node writes: a buffer of its own, or that of the concatenation that the value, or a part of it, ends up in,
   * and which may be part of another one.
   */
  #makeOutput(name: string, layout: Layout): Place {
    let root = name;
    let channel = 0;
    for (let home = this.#homes.get(root); home !== undefined; home = this.#homes.get(root)) {
      root = home.value;
      channel += home.channel;
    }
    const dims = this.#dims(root);
    const buffer = this.#joined.get(root) ?? this.#addBuffer(dims, layout, 'computed');
    if (root === name) {
      this.#register(name, buffer, layout);
      return { buffer, layout };
    }
    this.#joined.set(root, buffer);
    const place = { buffer, layout, among: { offset: channel * 4, lanes: extentOf(dims).lanes } };
    this.#places.set(name, [place]);
    return place;
  }

  #addBuffer(dims: Dims, layout: Layout, kind: Room['kind']): number {
    return this.#buffers.push({ bytes: bytesOf(dims, layout), kind }) - 1;
  }

  /** Notes that a value is in a buffer, and that it is in the other layout too where the bytes are the same. */
  #register(name: string, buffer: number, layout: Layout): void {
    const dims = this.#dims(name);
    const places = this.#places.get(name) ?? [];
    this.#places.set(name, places);
    const add = (as: Layout): void => {
      if (!places.some((place) => place.layout === as)) places.push({ buffer, layout: as });
    };
    add(layout);
    if (layoutsCoincide(dims)) add(layout === 'planar' ? 'channelsLast' : 'planar');
    // A single pixel: behind its channels come zeros, which a row-major reader does not look at.
    const { batch, pixels } = extentOf(dims);
    if (layout === 'channelsLast' && batch * pixels === 1) add('planar');
  }
}
