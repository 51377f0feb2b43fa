/** Convolution of an image, with what is fused into it: an addend, a ReLU, parallel kernels. */

import { type Conv2dNode, convInputs, kernelsOf } from '../nodes/conv.js';
import { differ, type KnownDims } from '../nodes/dims.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { convolution } from '../plan/conv/convolution.js';
import { showDims } from '../shown.js';
import { product, sizeOf } from '../sizes.js';
import { checkVector, checkWholes, expectAddend, expectChannels, expectVector } from './checks.js';
import { addendFlag, reluFlag } from './flags.js';
import type { InputDims, OperationRule } from './operation.js';
import { checkWindow, expectWindowable, UNKNOWN_IMAGE, windowCounts } from './window.js';

export const conv2d: OperationRule<Conv2dNode> = {
  inputs: convInputs,
  check: (node, expect, stored) => {
    for (const kernel of kernelsOf(node)) {
      checkWindow(expect, kernel.window);
      const weight = stored(kernel.weight);
      if (weight === undefined) continue;
      const [outChannels = 0, inPerGroup] = weight.dims;
      const dims = `[${[outChannels, inPerGroup, ...kernel.window.kernel].join(', ')}]`;
      expect(weight.size > 0 && showDims(weight.dims) === dims, 'a weight', `of dims ${dims}`, showDims(weight.dims));
      checkWholes(expect, 'groups', [node.groups, outChannels / node.groups], 1);
      checkVector(expect, 'a bias', stored(kernel.bias), outChannels);
    }
  },
  dims: (node, inputs) => {
    const output = conv2dDims(node, inputs);
    expectAddend(node, inputs[3], output);
    return output;
  },
  dimsOfUnknown: (node, [image, weight]) => conv2dDims(node, [image ?? UNKNOWN_IMAGE, weight ?? UNKNOWN_IMAGE]),
  layout: () => 'channelsLast',
  overwrites: 'addend',
  writesAmong: (node) => node.groups === 1 && node.inputs[3] === undefined,
  step: convolution,
  multiplyAdds: (_node, output, inputs) => {
    // Those of further kernels come in pairs behind the addend.
    const weights = [inputs[1], ...inputs.slice(4).filter((_, i) => i % 2 === 0)];
    return weights.reduce((sum, dims) => sum + sizeOf(output) * sizeOf(dims!.slice(1)), 0);
  },
  flags: (node) => [
    ...(node.groups === 1 ? [] : [`groups ${node.groups}`]),
    ...(node.paddingMode === 'zeros' ? [] : [node.paddingMode]),
    ...(node.inputs[2] === undefined ? [] : ['bias']),
    ...(node.parallel === undefined ? [] : [`parallel ${node.parallel.length}`]),
    ...addendFlag(node.inputs[3]),
    ...reluFlag(node),
  ],
};

function conv2dDims(node: Conv2dNode, inputs: readonly InputDims[]): KnownDims {
  const [input, weight, bias] = inputs as [KnownDims, KnownDims, InputDims];
  expectWindowable(node, input);
  const [outChannels, inPerGroup, height, width] = weight;
  const [kernelHeight, kernelWidth] = node.window.kernel;
  const isDivided = typeof outChannels !== 'number' || outChannels % node.groups === 0;
  if (weight.length !== 4 || differ(height, kernelHeight) || differ(width, kernelWidth) || !isDivided) {
    const dims = `dims [outChannels, inChannels / ${node.groups}, ${kernelHeight}, ${kernelWidth}]`;
    fail(node, 'weight', weight, `${dims}, outChannels a multiple of ${node.groups}`);
  }
  expectVector(node, 'bias', bias, outChannels);
  if (typeof inPerGroup === 'number') expectChannels(node, input, product(inPerGroup, node.groups));
  checkPaddingMode(node, input);
  return [input[0], outChannels, ...windowCounts(node, node.window, input, false)];
}

function checkPaddingMode(node: Conv2dNode, input: KnownDims): void {
  if (node.paddingMode !== 'reflect' && node.paddingMode !== 'circular') return;
  const [top, left, bottom, right] = node.window.pads;
  for (const [axis, size, pad] of [
    ['height', input[2], Math.max(top, bottom)],
    ['width', input[3], Math.max(left, right)],
  ] as const) {
    if (typeof size !== 'number') continue;
    const largest = node.paddingMode === 'reflect' ? size - 1 : size;
    if (pad > largest) {
      throw new RangeError(
        `${title(node)}: padding ${pad} is too large for paddingMode '${node.paddingMode}' on an input of ${axis} ` +
          `${size}, at most ${largest} fits (dims ${showDims(input)})`,
      );
    }
  }
}
