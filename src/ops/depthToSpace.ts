/** Blocks of pixels from channels, as in a sub-pixel convolution, and back. */

import { type Dim, type KnownDims, quotient } from '../nodes/dims.js';
import type { FullNode, Pair } from '../nodes/node.js';
import { fail } from '../nodes/shapeErrors.js';
import { product } from '../sizes.js';
import { checkWholes, expectImage } from './checks.js';
import { type CopyAxis, copyStep } from './copies.js';
import type { OperationRule } from './operation.js';

/**
 * [N, C, H, W] to [N, C / (down * across), H * down, W * across], or the other way. The place in a block is the slower part
 * of a channel's number, or with `channelFirst` the faster one (ONNX's modes DCR and CRD).
 */
export interface DepthToSpaceNode extends FullNode {
  readonly op: 'depthToSpace' | 'spaceToDepth';
  /** [down, across] */
  readonly block: Pair;
  readonly channelFirst: boolean;
}

type Image = readonly [batch: number, channels: number, height: number, width: number];

export const depthToSpace: OperationRule<DepthToSpaceNode> = {
  check: ({ block }, expect) => checkWholes(expect, 'a block', block, 1),
  dims: (node, [input]) => blockDims(node, input!),
  movesOnly: true,
  layout: () => 'any',
  prefers: () => 'sameAsOutput',
  step: (node, context) => {
    const isToSpace = node.op === 'depthToSpace';
    const [batch, channels, height, width] = context.dims(isToSpace ? node.outputs[0] : node.inputs[0]!) as Image;
    const [down, across] = node.block;
    return copyStep(node, context, (from, to) => {
      const [wide, deep] = (isToSpace ? [to, from] : [from, to]) as [Image, Image];
      const [channel, place] = node.channelFirst ? [down * across, 1] : [1, channels];
      const axis = (size: number, ofWide: number, ofDeep: number): CopyAxis =>
        isToSpace ? { size, from: ofDeep, to: ofWide } : { size, from: ofWide, to: ofDeep };
      return [
        axis(batch, wide[0], deep[0]),
        axis(channels, wide[1], deep[1] * channel),
        axis(height / down, wide[2] * down, deep[2]),
        axis(down, wide[2], deep[1] * place * across),
        axis(width / across, wide[3] * across, deep[3]),
        axis(across, wide[3], deep[1] * place),
      ];
    });
  },
  flags: ({ block, channelFirst }) => [`blocks ${block.join('x')}`, ...(channelFirst ? ['channel first'] : [])],
};

function blockDims(node: DepthToSpaceNode, input: KnownDims): KnownDims {
  expectImage(node, input);
  const [down, across] = node.block;
  const [batch, channels, height, width] = input as readonly [Dim, Dim, Dim, Dim];
  const times = (dim: Dim, factor: number): Dim =>
    typeof dim === 'number' ? product(dim, factor) : factor === 1 ? dim : undefined;
  const over = (dim: Dim, divisor: number): Dim => {
    if (typeof dim === 'number' && dim % divisor !== 0) {
      const sizes = node.op === 'depthToSpace' ? 'channels' : 'height and width';
      fail(node, 'input', input, `${sizes} that are multiples of those of blocks of ${node.block.join(' x ')}`);
    }
    return quotient([dim], [divisor]);
  };
  if (node.op === 'depthToSpace') {
    return [batch, over(channels, product(down, across)), times(height, down), times(width, across)];
  }
  return [batch, times(channels, product(down, across)), over(height, down), over(width, across)];
}
