/**
 * Which layout each value of a plan is in. Convolutions and pools work on channels-last values; operations on arrays
 * find values by strides in any layout, and write the layout that their readers want.
 */
import type { Graph } from '../../graph/graph.js';
import type { Dims } from '../../nodes/dims.js';
import { ruleOf } from '../../ops/operation.js';
import { extentOf, type Layout } from '../../sizes.js';

type Shapes = ReadonlyMap<string, Dims>;

/** Whether both shapes are the same batch, channels and pixels: channels-last values of both have the same bytes. */
export function hasSameExtent(a: Dims, b: Dims): boolean {
  const [one, other] = [extentOf(a), extentOf(b)];
  return one.batch === other.batch && one.channels === other.channels && one.pixels === other.pixels;
}

/** The layout that a value's readers prefer, if any has a preference. channelsLast wins. */
export function wantedLayouts(graph: Graph, shapes: Shapes): Map<string, Layout> {
  const wanted = new Map<string, Layout>();
  const want = (value: string, layout: Layout | undefined): void => {
    if (layout !== undefined && wanted.get(value) !== 'channelsLast') wanted.set(value, layout);
  };
  for (const node of [...graph.nodes].reverse()) {
    const rule = ruleOf(node);
    const output = shapes.get(node.outputs[0])!;
    const layout = rule.layout(node, output);
    const ofOutput = wanted.get(node.outputs[0]);
    const inputs = rule.inputs?.(node);
    for (const [i, name] of node.inputs.entries()) {
      if (name === undefined) continue;
      const as = inputs?.[i]?.as;
      const input = shapes.get(name)!;
      if (as !== undefined) want(name, as === 'channelsLast' ? as : undefined);
      else if (layout === 'planar' || layout === 'channelsLast') want(name, layout);
      else if (layout === 'input') want(name, ofOutput);
      else if (layout === 'view') want(name, hasSameExtent(input, output) ? ofOutput : 'planar');
      else {
        const preferred = rule.prefers?.(input, output);
        want(name, preferred === 'sameAsOutput' ? ofOutput : preferred);
      }
    }
  }
  return wanted;
}

/** Where nobody cares: images and matrices as layers take them. */
export function usualLayout(dims: Dims): Layout {
  return dims.length === 2 || dims.length === 4 ? 'channelsLast' : 'planar';
}
