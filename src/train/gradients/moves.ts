/** Gradients of what only moves values. */

import type { FullNode } from '../../nodes/node.js';
import { frontAxis } from '../../ops/axes.js';
import type { ConcatNode } from '../../ops/concat.js';
import { type PadNode, pad } from '../../ops/pad.js';
import { reshape } from '../../ops/reshape.js';
import { type SliceNode, slice } from '../../ops/slice.js';
import { type TransposeNode, transpose } from '../../ops/transpose.js';
import type { GradientRule } from '../../passes/differentiate.js';
import { showName } from '../../shown.js';
import { type PadGradientNode, padGradient } from '../ops/padGradient.js';
import { type SliceGradientNode, sliceGradient } from '../ops/sliceGradient.js';

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

export const sliceGradientRule: GradientRule<SliceNode> = (node, gradient, backward) => {
  const { path, layer } = node;
  const dims = backward.dims(node.inputs[0]!);
  return backward.emit<SliceGradientNode>(
    { op: 'sliceGradient', path, layer, inputs: [gradient], of: node, dims },
    sliceGradient,
  );
};

export const transposeGradient: GradientRule<TransposeNode> = ({ path, layer, permutation }, gradient, backward) => {
  const inverse = permutation?.map((_, axis) => permutation.indexOf(axis));
  return backward.emit({ op: 'transpose', path, layer, inputs: [gradient], permutation: inverse }, transpose);
};

const PADDING_MODES = { reflect: 'reflect', edge: 'replicate', wrap: 'circular' } as const;

export const padGradientRule: GradientRule<PadNode> = (node, gradient, backward) => {
  const { path, layer, mode, pads } = node;
  const dims = backward.dims(node.inputs[0]!);
  const inputs = [gradient];
  if (mode === 'constant') {
    const opposite = pads.map((size) => -size);
    return backward.emit({ op: 'pad', path, layer, inputs, pads: opposite, mode, value: 0 }, pad);
  }
  const ofImage = [pads[2]!, pads[3]!, pads[6]!, pads[7]!] as const;
  if (dims.length !== 4 || [0, 1, 4, 5].some((i) => pads[i] !== 0)) {
    throw new RangeError(
      `differentiate: pad of ${showName(layer)} must be of height and width of an image in mode '${mode}', got pads ` +
        `${pads.join(', ')}`,
    );
  }
  const settings = { pads: ofImage, mode: PADDING_MODES[mode], dims };
  return backward.emit<PadGradientNode>({ op: 'padGradient', path, layer, inputs, ...settings }, padGradient);
};
