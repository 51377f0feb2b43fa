/**
 * Conv. What a convolution of the Graph does besides (parallel kernels, cropping, padding from the image) is written as
 * operators of its own, in the order in which it is computed.
 */
import type { Conv2dNode, Pads, Pair } from '../../../graph/graph.js';
import { type Kernel, kernelsOf } from '../../../nodes/conv.js';
import { showList } from '../../../shown.js';
import { Tensor } from '../../../tensor.js';
import type { Constant } from '../file/tensors.js';
import { expectVector } from './arguments.js';
import { int, ints, string } from './attributes.js';
import { writeSliceLists } from './moves.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { emitOnImages, expectSpatial, readWindow, toPair } from './window.js';

/** Padding modes in ONNX's words. */
const PAD_MODES = { reflect: 'reflect', replicate: 'edge', circular: 'wrap' } as const;

export function lowerConv(node: NodeContext): string {
  const weight = node.parameter(1, 'weight');
  const spatial = expectSpatial(node, weight.dims.length - 2, 'convolution');
  const kernel = readKernel(node, weight);
  const outChannels = weight.dims[0]!;
  const groups = readGroups(node, outChannels);
  const bias = readBias(node, outChannels);
  const name = spatial === 2 ? node.parameterName(1, 'weight') : imageWeight(node, weight);
  const window = readWindow(node, kernel, spatial);
  return emitOnImages(node, spatial, (image, output) =>
    node.emit(
      {
        op: 'conv2d',
        inputs: [image, name, bias && node.parameterName(2, 'bias')],
        window,
        paddingMode: 'zeros',
        groups,
      },
      output,
    ),
  );
}

/** The sizes that the weight has, which the file may say once more. */
export function readKernel(node: NodeContext, { dims, size }: Constant): Pair {
  const kernel = dims.slice(2);
  const shape = node.ints('kernel_shape') ?? kernel;
  if (shape.length !== kernel.length || !shape.every((one, i) => one === kernel[i])) {
    node.broken(`its kernel_shape is [${showList(shape)}], its weight has dims [${showList(dims)}]`);
  }
  if (size === 0) node.broken(`its weight must have dims from 1, got [${showList(dims)}]`);
  return toPair(kernel, 1);
}

export function readGroups(node: NodeContext, channels: number): number {
  const groups = node.int('group', 1);
  if (groups >= 1 && channels % groups === 0) return groups;
  return node.broken(`${groups} groups do not divide ${channels} channels`);
}

export function readBias(node: NodeContext, outChannels: number): Constant | undefined {
  const bias = node.has(2) ? node.parameter(2, 'bias') : undefined;
  if (bias !== undefined) expectVector(node, bias, outChannels, 'bias');
  return bias;
}

/** The weight of a convolution of signals, for images of height 1. */
function imageWeight(node: NodeContext, { tensor, dims }: Constant): string {
  const [outChannels, inPerGroup, size] = dims as [number, number, number];
  return node.newConstant('weight', new Tensor('float32', tensor.data, [outChannels, inPerGroup, 1, size]));
}

export function writeConv(node: Conv2dNode, to: NodeWriter): void {
  const [own, ...parallel] = kernelsOf(node) as [Kernel, ...Kernel[]];
  to.finish(node, (output) => {
    let sum = writeKernel(node, own, to, parallel.length === 0 ? output : to.derive('branch'));
    parallel.forEach((kernel, i) => {
      const term = writeKernel(node, kernel, to, to.derive('branch'));
      sum = to.add('Add', [sum, term], [], i === parallel.length - 1 ? output : to.derive('branches'));
    });
    return sum;
  });
}

function writeKernel(node: Conv2dNode, kernel: Kernel, to: NodeWriter, output: string): string {
  const { weight, bias, window } = kernel;
  const { paddingMode, groups } = node;
  let [image] = node.inputs;
  let { pads } = window;
  if (paddingMode !== 'zeros') {
    // The border comes from the whole image: pad first, crop after.
    image = padImage(image, pads, PAD_MODES[paddingMode], to);
    image = crop(image, pads, to);
    pads = [0, 0, 0, 0];
  } else {
    image = crop(image, pads, to);
    pads = positive(pads);
  }
  return to.add(
    'Conv',
    bias === undefined ? [image, weight] : [image, weight, bias],
    [
      ints('kernel_shape', window.kernel),
      ints('strides', window.stride),
      ints('dilations', window.dilation),
      ints('pads', pads),
      int('group', groups),
    ],
    output,
  );
}

function padImage(image: string, pads: Pads, mode: string, to: NodeWriter): string {
  const [top, left, bottom, right] = positive(pads);
  if (top + left + bottom + right === 0) return image;
  const output = to.derive('padded');
  const list = to.integers('pads', [0, 0, top, left, 0, 0, bottom, right]);
  return to.add('Pad', [image, list], [string('mode', mode)], output);
}

/** Negative pads, as a Slice. */
function crop(image: string, pads: Pads, to: NodeWriter): string {
  const axes = [2, 3].filter((axis) => pads[axis - 2]! < 0 || pads[axis]! < 0);
  if (axes.length === 0) return image;
  const output = to.derive('cropped');
  const starts = axes.map((axis) => Math.max(0, -pads[axis - 2]!));
  const ends = axes.map((axis) => (pads[axis]! < 0 ? pads[axis]! : Number.MAX_SAFE_INTEGER));
  const steps = axes.map(() => 1);
  return to.add('Slice', [image, ...writeSliceLists({ axes, starts, ends, steps }, to)], [], output);
}

function positive(pads: Pads): Pads {
  return pads.map((pad) => Math.max(0, pad)) as unknown as Pads;
}
