/**
 * The asymmetric convolution blocks of a checkpoint, as fuseStateDict finds them, and the check that fusing is exact.
 */
import { ACBlock, fuseStateDict, type Runtime, type StateDict, type Tensor } from '../index.js';
import { differenceOf } from './difference.js';

export interface Block {
  /** Prefix of its keys: empty, or with a dot at the end. */
  readonly prefix: string;
  /** [outChannels, inChannels / groups, height, width] */
  readonly dims: readonly number[];
  /** Numbers that it holds, including the BatchNorms' statistics. */
  readonly elements: number;
  readonly elementsMerged: number;
}

const FUSED = 'fused_conv.weight';
/** What the image has beyond the kernel: enough that every tap sees inside and border. */
const MARGIN = 5;

/** The state dict with every block fused, and the blocks. */
export function fuseBlocks(state: StateDict, eps: number): { fused: StateDict; blocks: Block[] } {
  const fused = fuseStateDict(state, { eps });
  const blocks = Object.keys(fused).flatMap((key) => {
    if (!key.endsWith(FUSED) || Object.hasOwn(state, key)) return [];
    const prefix = key.slice(0, -FUSED.length);
    const weight = fused[key]!;
    const elementsMerged = weight.size + fused[`${prefix}fused_conv.bias`]!.size;
    const others = Object.keys(state).filter((name) => !Object.hasOwn(fused, name) && ownsKey(prefix, name));
    const elements = others.reduce((sum, name) => sum + state[name]!.size, 0);
    return [{ prefix, dims: weight.dims, elements, elementsMerged }];
  });
  return { fused, blocks };
}

/** Its own keys have no dot other than the one in names like `square_conv.weight`. */
function ownsKey(prefix: string, key: string): boolean {
  return key.startsWith(prefix) && /^(square|ver|hor)_(conv|bn)\.[^.]*$/.test(key.slice(prefix.length));
}

/**
 * Runs a block in both forms on a random image; returns the largest difference relative to the largest value. Stride,
 * padding and groups are not in a checkpoint; the forms are equal for all of them if they are for one, since each
 * output is the same sum of taps.
 */
export function checkBlock(
  runtime: Runtime,
  block: Block,
  train: StateDict,
  fused: StateDict,
  eps: number,
  random: (dims: readonly number[]) => Tensor,
): number {
  const [outChannels, inChannels, height, width] = block.dims as [number, number, number, number];
  const { prefix } = block;
  const options = {
    inChannels,
    outChannels,
    kernelSize: [height, width] as [number, number],
    padding: [height >> 1, width >> 1] as [number, number],
  };
  const branchSize: [number, number] = [
    train[`${prefix}ver_conv.weight`]!.dims[2]!,
    train[`${prefix}hor_conv.weight`]!.dims[3]!,
  ];
  const affine = Object.hasOwn(train, `${prefix}square_bn.weight`);
  const branched = new ACBlock(runtime, { ...options, branchSize, affine, eps });
  const single = new ACBlock(runtime, { ...options, form: 'deploy' });
  try {
    branched.loadStateDict(blockState(train, prefix)).eval();
    single.loadStateDict(blockState(fused, prefix)).eval();
    const image = random([1, inChannels, height + MARGIN, width + MARGIN]);
    const outputs = [branched, single].map((layer) => {
      const output = layer.forward(image);
      const { data } = output;
      output.dispose();
      return data as Float32Array;
    });
    return differenceOf(outputs[0]!, outputs[1]!);
  } finally {
    branched.dispose();
    single.dispose();
  }
}

function blockState(state: StateDict, prefix: string): StateDict {
  const names = Object.keys(state).filter((key) => key.startsWith(prefix));
  const own = names.filter((key) => /^(square|ver|hor|fused)_(conv|bn)\.[^.]*$/.test(key.slice(prefix.length)));
  return Object.fromEntries(own.map((key) => [key.slice(prefix.length), state[key]!]));
}
