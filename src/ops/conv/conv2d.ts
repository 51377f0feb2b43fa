/** Convolution of an image, with what is fused into it: a BatchNorm, a residual, a ReLU, parallel convolutions. */
import { convolution } from '../../plan/convolution.js';
import { product, sizeOf } from '../../sizes.js';
import { format } from '../../tensor.js';
import { checkNorm, checkVector, checkWholes, expectChannels, expectResidual } from '../checks.js';
import type { KnownDims } from '../dims.js';
import { reluFlag, residualFlag } from '../flags.js';
import type { Expect, OperationRule } from '../operation.js';
import { title } from '../shapeErrors.js';
import { checkWindow, expectWindowable, UNKNOWN_IMAGE, windowCounts } from '../window.js';
import type { Conv2dNode } from './node.js';

export const conv2d: OperationRule<Conv2dNode> = {
  check,
  dims: (node, [input, residual]) => {
    const output = conv2dDims(node, input!);
    expectResidual(node, residual, output);
    return output;
  },
  dimsOfUnknown: (node) => conv2dDims(node, UNKNOWN_IMAGE),
  layout: () => 'channelsLast',
  overwrites: 'residual',
  writesAmong: (node) => node.groups === 1 && node.inputs.length === 1,
  step: convolution,
  multiplyAdds: (node, output) => {
    const size = sizeOf(output);
    return [node, ...(node.parallel ?? [])].reduce(
      (sum, part) => sum + size * (part.weight.size / part.weight.dims[0]!),
      0,
    );
  },
  flags: (node) => [
    ...(node.groups === 1 ? [] : [`groups ${node.groups}`]),
    ...(node.paddingMode === 'zeros' ? [] : [node.paddingMode]),
    ...(node.bias === undefined ? [] : ['bias']),
    ...(node.norm === undefined ? [] : ['norm']),
    ...(node.parallel === undefined ? [] : [`parallel ${node.parallel.length}`]),
    ...residualFlag(node),
    ...reluFlag(node),
  ],
};

function check(node: Conv2dNode, expect: Expect): void {
  const { weight, groups } = node;
  const [outChannels = 0, inPerGroup] = weight.dims;
  checkWindow(expect, node.window);
  const dims = [outChannels, inPerGroup, ...node.window.kernel].join(', ');
  expect(weight.size > 0 && format(weight.dims) === `[${dims}]`, 'a weight', `of dims [${dims}]`, format(weight.dims));
  checkWholes(expect, 'groups', [groups, outChannels / groups], 1);
  checkVector(expect, 'a bias', node.bias, outChannels);
  if (node.norm !== undefined) checkNorm(expect, node.norm, outChannels);
  for (const part of node.parallel ?? []) check(part, expect);
}

function conv2dDims(node: Conv2dNode, input: KnownDims): KnownDims {
  expectWindowable(node, input);
  const [outChannels, inPerGroup] = node.weight.dims as [number, number];
  expectChannels(node, input, product(inPerGroup, node.groups));
  checkPaddingMode(node, input);
  const [height, width] = windowCounts(node, node.window, input, false);
  return [input[0], outChannels, height, width];
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
          `${size}, at most ${largest} fits (dims ${format(input)})`,
      );
    }
  }
}
