/**
 * Values that are made where a concatenation of channels would put them, so that nothing is copied: what DenseNets are
 * made of. The channels of such a value lie among those of others, pixel by pixel.
 */
import type { Graph, GraphNode } from '../../graph/graph.js';
import type { Dims } from '../../nodes/dims.js';
import { isOverChannels } from '../../ops/axes.js';
import type { ConcatNode } from '../../ops/concat.js';
import { ruleOf } from '../../ops/operation.js';
import { extentOf, type Layout } from '../../sizes.js';

/** Where a value is made: in the channels of another one from `channel` on. */
export interface Home {
  readonly value: string;
  readonly channel: number;
}

/** @param wanted see wantedLayouts */
export function findHomes(
  graph: Graph,
  shapes: ReadonlyMap<string, Dims>,
  wanted: ReadonlyMap<string, Layout>,
): Map<string, Home> {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node])));
  const outputs = new Set(graph.outputs);
  // The only reader that wants a value to lie by itself; undefined where there are several.
  const readers = new Map<string, GraphNode | undefined>();
  for (const node of graph.nodes) {
    for (const name of node.inputs) {
      if (name === undefined || ruleOf(node).readsAmong?.(node, name) === true) continue;
      readers.set(name, readers.has(name) ? undefined : node);
    }
  }
  const canMove = (name: string, concat: GraphNode): boolean => {
    const producer = producers.get(name);
    if (producer === undefined || outputs.has(name) || wanted.get(name) !== 'channelsLast') return false;
    const { channels } = extentOf(shapes.get(name)!);
    return (
      channels % 4 === 0 &&
      ruleOf(producer).writesAmong?.(producer, shapes.get(name)!) === true &&
      readers.get(name) === concat
    );
  };
  const homes = new Map<string, Home>();
  for (const node of graph.nodes) {
    if (!joinsChannels(node, shapes) || wanted.get(node.outputs[0]) !== 'channelsLast') continue;
    let channel = 0;
    for (const name of node.inputs) {
      if (channel % 4 === 0 && canMove(name, node)) homes.set(name, { value: node.outputs[0], channel });
      channel += extentOf(shapes.get(name)!).channels;
    }
  }
  return homes;
}

function joinsChannels(node: GraphNode, shapes: ReadonlyMap<string, Dims>): node is ConcatNode {
  return node.op === 'concat' && isOverChannels(node.axis, shapes.get(node.outputs[0])!);
}
