/**
 * ConvTranspose, DepthToSpace and SpaceToDepth. A transposed convolution of stride s is a convolution of stride 1 that
 * gives all s x s pixels of a block as channels, which then take their places. Along an axis, output pixel s q + r, counted
 * from before the padding, meets input pixel i at tap s (q - i) + r of the kernel: so phase r has every s-th tap from r on.
 */
import type { DepthToSpaceNode, DimOf, Pads, Pair } from '../../../graph/graph.js';
import { showList } from '../../../shown.js';
import { Tensor } from '../../../tensor.js';
import type { Constant } from '../file/tensors.js';
import { MAX_EXTENT } from './arguments.js';
import { int, ints, string } from './attributes.js';
import { readBias, readGroups, readKernel } from './convolution.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { writeShape } from './reshape.js';
import { emitOnImages, expectSpatial, readGivenPads, readPair, type Spatial, splitPads, toPair } from './window.js';

/** A transposed convolution along one axis. */
interface Line {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  /** Positions that are kept behind the last input's first tap. */
  readonly reach: number;
  /** Taps of each phase. */
  readonly taps: number;
}

export function lowerConvTranspose(node: NodeContext): string {
  const weight = node.parameter(1, 'weight');
  const spatial = expectSpatial(node, weight.dims.length - 2, 'convolution');
  const kernel = readKernel(node, weight);
  const groups = readGroups(node, weight.dims[0]!);
  const perGroup = weight.dims[1]!;
  const bias = readBias(node, perGroup * groups);
  const stride = readPair(node, 'strides', spatial);
  const dilation = readPair(node, 'dilations', spatial);
  const extra = toPair(node.ints('output_padding') ?? new Array<number>(spatial).fill(0), 0);
  const extent = ([0, 1] as const).map((i) => dilation[i] * (kernel[i] - 1) + 1) as unknown as Pair;
  const pads = transposedPads(node, spatial, extent, stride, extra);
  if ([...extra, ...pads].some((one) => !(Math.abs(one) <= MAX_EXTENT)) || extra.some((one) => one < 0)) {
    node.broken(`its output_padding is [${showList(extra)}], its pads are [${showList(pads)}]`);
  }
  const lines = ([0, 1] as const).map((i): Line => {
    const reach = extent[i] + extra[i];
    const taps = Math.ceil(reach / stride[i]);
    return {
      kernel: kernel[i],
      stride: stride[i],
      dilation: dilation[i],
      before: pads[i],
      reach: reach - pads[2 + i]!,
      taps,
    };
  }) as [Line, Line];
  const phases = stride[0] * stride[1];
  const channelFirst = groups > 1;
  const filters = node.newConstant('weight', phaseWeights(node, weight, groups, lines, channelFirst));
  const biases = bias && node.newConstant('bias', phaseBias(bias, phases, channelFirst));
  const convolution = {
    op: 'conv2d',
    window: {
      kernel: [lines[0].taps, lines[1].taps],
      stride: [1, 1],
      dilation: [1, 1],
      pads: [...lines.map(padBefore), ...lines.map(padBehind)] as unknown as Pads,
    },
    paddingMode: 'zeros',
    groups,
  } as const;
  const cuts = lines.map(cutOf);
  const isCut = cuts.some(({ start, end }) => start !== 0 || end !== 0);
  return emitOnImages(node, spatial, (image, output) => {
    const last = output ?? node.output;
    const isBlock = phases > 1;
    const inputs = [image, filters, biases] as const;
    let value = node.emit(
      { ...convolution, inputs },
      isBlock ? node.derive('phases') : isCut ? node.derive('all') : last,
    );
    if (isBlock) {
      const blocks = { op: 'depthToSpace', block: stride, channelFirst, inputs: [value] } as const;
      value = node.emit(blocks, isCut ? node.derive('all') : last);
    }
    if (!isCut) return value;
    const cut = {
      axes: [2, 3],
      starts: cuts.map(({ start }) => start),
      ends: cuts.map(({ end }) => (end === 0 ? Number.MAX_SAFE_INTEGER : -end)),
      steps: [1, 1],
    };
    return node.emit({ op: 'slice', inputs: [value], ...cut }, last);
  });
}

/** Pads are told, or follow from the size that the output is to have. */
function transposedPads(node: NodeContext, spatial: Spatial, extent: Pair, stride: Pair, extra: Pair): Pads {
  const shape = node.ints('output_shape');
  const given = readGivenPads(node, spatial);
  if (shape === undefined && given !== undefined) return given;
  if (shape !== undefined && shape.length !== spatial) node.broken(`its output_shape is [${showList(shape)}]`);
  const dims = node.dims(0);
  const totals = ([0, 1] as const).map((i) => {
    const at = i - 2 + spatial;
    if (at < 0) return 0;
    const size = dims?.[2 + at];
    if (typeof size !== 'number') return node.open('its padding depends on sizes that the file does not state');
    const wanted = shape?.[at] ?? size * stride[i];
    return stride[i] * (size - 1) + extra[i] + extent[i] - wanted;
  }) as unknown as Pair;
  // An output that is larger than all that the kernel reaches has the rest behind it.
  const within = totals.map((total) => Math.max(total, 0)) as unknown as Pair;
  const [top, left, bottom, right] = splitPads(within, node.string('auto_pad', '') !== 'SAME_UPPER');
  return [top, left, bottom + totals[0] - within[0], right + totals[1] - within[1]];
}

// What is cut off before begins with whole blocks, which the convolution need not compute.
function padBefore({ taps, before, stride }: Line): number {
  return taps - 1 - Math.floor(before / stride);
}

function padBehind({ reach, stride }: Line): number {
  return Math.ceil(reach / stride) - 1;
}

/** Pixels of the first and last blocks that are not part of the output. */
function cutOf({ before, reach, stride }: Line): { start: number; end: number } {
  return {
    start: before - Math.floor(before / stride) * stride,
    end: Math.ceil(reach / stride) * stride - reach,
  };
}

/** The taps of all phases, as a convolution reads them: [phases x outChannels, inPerGroup, down, across]. */
function phaseWeights(
  node: NodeContext,
  { tensor, dims }: Constant,
  groups: number,
  [down, across]: readonly [Line, Line],
  channelFirst: boolean,
): Tensor {
  const [inChannels, perGroup] = dims as [number, number];
  const inPerGroup = inChannels / groups;
  const phases = down.stride * across.stride;
  const taps = down.taps * across.taps;
  const outDims = [phases * groups * perGroup, inPerGroup, down.taps, across.taps];
  node.spend(4 * phases * groups * perGroup * inPerGroup * taps);
  const weights = new Float32Array(phases * groups * perGroup * inPerGroup * taps);
  const { data } = tensor;
  for (let c = 0; c < inChannels; c++) {
    const group = Math.floor(c / inPerGroup);
    for (let m = 0; m < perGroup; m++) {
      const out = group * perGroup + m;
      for (let ky = 0; ky < down.kernel; ky++) {
        const [row, tapRow] = phaseOf(ky, down);
        for (let kx = 0; kx < across.kernel; kx++) {
          const [column, tapColumn] = phaseOf(kx, across);
          const phase = row * across.stride + column;
          const channel = channelFirst ? out * phases + phase : phase * groups * perGroup + out;
          const to = (channel * inPerGroup + (c % inPerGroup)) * taps + tapRow * across.taps + tapColumn;
          weights[to] = data[((c * perGroup + m) * down.kernel + ky) * across.kernel + kx]!;
        }
      }
    }
  }
  return new Tensor('float32', weights, outDims);
}

/** The phase that a tap of the kernel belongs to, and which of the convolution's taps it is there. */
function phaseOf(k: number, { stride, dilation, taps }: Line): [phase: number, tap: number] {
  const position = k * dilation;
  return [position % stride, taps - 1 - Math.floor(position / stride)];
}

function phaseBias({ tensor: { data } }: Constant, phases: number, channelFirst: boolean): Tensor {
  const all = Float32Array.from({ length: data.length * phases }, (_, i) =>
    channelFirst ? data[Math.floor(i / phases)]! : data[i % data.length]!,
  );
  return new Tensor('float32', all, [all.length]);
}

export function lowerDepthToSpace(node: NodeContext): string {
  const size = node.int('blocksize', 1);
  if (!(size >= 1 && size <= MAX_EXTENT)) node.broken(`its blocksize is ${size}`);
  const channelFirst = node.string('mode', 'DCR') === 'CRD';
  const op = node.opType === 'DepthToSpace' ? 'depthToSpace' : 'spaceToDepth';
  return node.emit({ op, inputs: [node.operand(0)], block: [size, size], channelFirst });
}

/** Blocks that are no squares, and the channels of SpaceToDepth in the other order, are written as moved axes. */
export function writeDepthToSpace({ op, inputs, block, channelFirst }: DepthToSpaceNode, to: NodeWriter): void {
  const [down, across] = block;
  const isToSpace = op === 'depthToSpace';
  if (down === across && (isToSpace || !channelFirst)) {
    const mode = isToSpace ? [string('mode', channelFirst ? 'CRD' : 'DCR')] : [];
    to.add(isToSpace ? 'DepthToSpace' : 'SpaceToDepth', inputs, [int('blocksize', down), ...mode]);
    return;
  }
  const [x] = inputs as [string];
  const moved = (name: string, from: string, target: readonly (number | DimOf)[], order: readonly number[]) => {
    const split = to.add('Reshape', [from, writeShape(target, to)], [], to.derive('split'));
    return to.add('Transpose', [split], [ints('perm', order)], to.derive(name));
  };
  const size = (value: string, axis: number): DimOf => ({ value, axis });
  if (isToSpace) {
    const channels = channelFirst ? [-1, down, across] : [down, across, -1];
    const order = channelFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2];
    const blocks = moved('blocks', x, [0, ...channels, size(x, 2), size(x, 3)], order);
    const rows = to.add('Reshape', [blocks, writeShape([0, 0, -1, size(x, 3), across], to)], [], to.derive('rows'));
    to.add('Reshape', [rows, writeShape([0, 0, 0, -1], to)]);
    return;
  }
  const rows = to.add('Reshape', [x, writeShape([0, 0, -1, down, size(x, 3)], to)], [], to.derive('rows'));
  const order = channelFirst ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
  const blocks = moved('blocks', rows, [0, 0, 0, 0, -1, across], order);
  to.add('Reshape', [blocks, writeShape([0, -1, size(blocks, 4), size(blocks, 5)], to)]);
}
