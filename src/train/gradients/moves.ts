/** Gradients of what only moves values. */

import type { FullNode } from '../../nodes/node.js';
import { frontAxis } from '../../ops/axes.js';
import type { ConcatNode } from '../../ops/concat.js';
import { reshape } from '../../ops/reshape.js';
import { slice } from '../../ops/slice.js';
import type { GradientRule } from '../../passes/differentiate.js';

export const identityGradient: GradientRule<FullNode> = (_node, gradient) => [gradient];

export const reshapeGradient: GradientRule<FullNode> = ({ path, layer, inputs }, gradient, backward) => {
  const target = backward.dims(inputs[0]!);
  return backward.emit({ op: 'reshape', path, layer, inputs: [gradient], target, allowZero: true }, reshape);
};

export const concatGradient: GradientRule<ConcatNode> = (node, gradient, backward) => {
  const { path, layer } = node;
  const axis = frontAxis(node, node.axis, backward.dims(node.outputs[0]));
  let start = 0;
  return node.inputs.map((name) => {
    const [starts, end] = [[start], start + backward.dims(name)[axis]!];
    start = end;
    if (!backward.needs(name)) return undefined;
    const part = { axes: [axis], starts, ends: [end], steps: [1] };
    return backward.emit({ op: 'slice', path, layer, inputs: [gradient], ...part }, slice)[0];
  });
};
