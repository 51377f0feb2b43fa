/** Gradients of convolutions and linear layers. */

import type { Conv2dNode, LinearNode } from '../../nodes/conv.js';
import type { Pads, Window } from '../../nodes/node.js';
import { conv2d } from '../../ops/conv2d.js';
import { linear } from '../../ops/linear.js';
import { transpose } from '../../ops/transpose.js';
import type { Backward, GradientRule } from '../../passes/differentiate.js';
import { channelSums } from '../ops/channelSums.js';
import { interleave } from '../ops/interleave.js';
import { padGradient } from '../ops/padGradient.js';
import { turnedWeights } from '../ops/turnedWeights.js';
import { weightGradient, weightGradientOf } from '../ops/weightGradient.js';
import { type Phase, phasesOf } from '../phases.js';

export const conv2dGradient: GradientRule<Conv2dNode> = (node, gradient, backward) => [
  backward.needs(node.inputs[0]) ? imageGradient(node, gradient, backward) : undefined,
  ...parameterGradients(node, gradient, backward),
];

export const linearGradient: GradientRule<LinearNode> = (node, gradient, backward) => {
  const { path, layer, inputs } = node;
  const own = (): string => {
    const common = { path, layer };
    const [turned] = backward.emit(
      { op: 'transpose', ...common, inputs: [inputs[1]], permutation: undefined },
      transpose,
    );
    return backward.emit({ op: 'linear', ...common, inputs: [gradient, turned] }, linear)[0];
  };
  return [backward.needs(inputs[0]) ? own() : undefined, ...parameterGradients(node, gradient, backward)];
};

/** Of weight and bias. */
function parameterGradients(node: Conv2dNode | LinearNode, gradient: string, backward: Backward) {
  const { path, layer } = node;
  const [, weight, bias] = node.inputs;
  return [
    backward.needs(weight)
      ? backward.emit(weightGradientOf(node, gradient, backward.dims(weight)), weightGradient)[0]
      : undefined,
    backward.needs(bias)
      ? backward.emit({ op: 'channelSums', path, layer, inputs: [gradient] }, channelSums)[0]
      : undefined,
  ];
}

/** Where padding repeats pixels, the padded image has its gradient first. */
function imageGradient(node: Conv2dNode, gradient: string, backward: Backward): string {
  const { path, layer, paddingMode: mode } = node;
  const dims = backward.dims(node.inputs[0]);
  if (mode === 'zeros') return zeroPaddedGradient(node, node.window.pads, gradient, dims, backward);
  const pads = node.window.pads.map((pad) => Math.max(pad, 0)) as unknown as Pads;
  const crops = node.window.pads.map((pad) => Math.min(pad, 0)) as unknown as Pads;
  const [batch, channels, height, width] = dims as [number, number, number, number];
  const padded = [batch, channels, height + pads[0] + pads[2], width + pads[1] + pads[3]];
  const inputs = [zeroPaddedGradient(node, crops, gradient, padded, backward)];
  return backward.emit({ op: 'padGradient', path, layer, inputs, pads, mode, dims }, padGradient)[0];
}

/** Convolutions of the gradient with turned kernels, one for each phase of the image. */
function zeroPaddedGradient(
  node: Conv2dNode,
  pads: Pads,
  gradient: string,
  dims: readonly number[],
  backward: Backward,
): string {
  const { path, layer, window } = node;
  const outDims = backward.dims(node.outputs[0]);
  const [rows, columns] = ([0, 1] as const).map((axis) =>
    phasesOf(
      window.kernel[axis],
      window.stride[axis],
      window.dilation[axis],
      pads[axis],
      dims[axis + 2]!,
      outDims[axis + 2]!,
    ),
  ) as [Phase[], Phase[]];
  const phases = rows.flatMap((down) =>
    columns.map((across) => ({
      start: [down.first, across.first] as const,
      value: phaseGradient(node, down, across, gradient, backward),
    })),
  );
  const { stride } = window;
  const [only] = phases;
  if (stride[0] === 1 && stride[1] === 1 && only?.value !== undefined) return only.value;
  const inputs = phases.map(({ value }) => value);
  const starts = phases.map(({ start }) => start);
  return backward.emit({ op: 'interleave', path, layer, inputs, starts, stride, dims }, interleave)[0];
}

/** undefined: no tap sees the phase. */
function phaseGradient(
  { path, layer, inputs, groups, window: { stride }, algorithm }: Conv2dNode,
  down: Phase,
  across: Phase,
  gradient: string,
  backward: Backward,
): string | undefined {
  if (down.taps === 0 || across.taps === 0) return undefined;
  const common = { path, layer, groups };
  const [turned] = backward.emit(
    { op: 'turnedWeights', ...common, inputs: [inputs[1]], taps: [down, across] },
    turnedWeights,
  );
  const window: Window = {
    kernel: [down.taps, across.taps],
    stride: [1, 1],
    dilation: [down.dilation, across.dilation],
    pads: [down.pads[0], across.pads[0], down.pads[1], across.pads[1]],
  };
  const forced = stride[0] === 1 && stride[1] === 1 ? algorithm : undefined;
  return backward.emit<Conv2dNode>(
    { op: 'conv2d', ...common, inputs: [gradient, turned], window, paddingMode: 'zeros', algorithm: forced },
    conv2d,
  )[0];
}
