/**
 * What parts of kernels are worth (section 4.4 of the ACNet paper): accuracy while more and more of the weights of K x K
 * kernels are set to zero, in the corners, in the skeleton (the row and the column in the middle), or anywhere.
 */
import { type StateDict, Tensor } from '../index.js';
import { Random } from '../train/random.js';

export const PARTS = ['corners', 'skeleton', 'anywhere'] as const;
export type Part = (typeof PARTS)[number];

/** Marks draws for pruning, in the key of their random numbers. */
const PRUNING = 100;

/** Whether a tensor is a kernel that has a middle and corners. */
export function isPrunable({ dims }: Tensor): boolean {
  return dims.length === 4 && dims[2] === dims[3] && dims[2]! > 1 && dims[2]! % 2 === 1;
}

/** The largest share of weights that a part can lose; that of the smallest kernels if there are several sizes. */
export function largestShare(state: StateDict, part: Part): number {
  const shares = Object.values(state)
    .filter(isPrunable)
    .map((kernel) => placesOf(kernel, part).length / kernel.dims[2]! ** 2);
  return Math.min(...shares);
}

/**
 * A state with zeros in place of weights.
 * @param share of all weights of each prunable kernel, from 0 to what the part has
 */
export function pruned(state: StateDict, part: Part, share: number, seed: number): StateDict {
  return Object.fromEntries(
    Object.entries(state).map(([key, tensor], i) => [
      key,
      isPrunable(tensor) ? prunedKernel(tensor, part, share, new Random(seed, PRUNING, i)) : tensor,
    ]),
  );
}

function prunedKernel(kernel: Tensor, part: Part, share: number, random: Random): Tensor {
  const places = placesOf(kernel, part);
  const size = kernel.dims[2]! ** 2;
  const values = kernel.data.slice();
  const candidates = Uint32Array.from(
    { length: (values.length / size) * places.length },
    (_, i) => Math.floor(i / places.length) * size + places[i % places.length]!,
  );
  const count = Math.min(candidates.length, Math.round(share * values.length));
  // The beginning of a shuffle: a larger share includes the weights of a smaller one.
  for (let i = 0; i < count; i++) {
    const other = i + random.below(candidates.length - i);
    values[candidates[other]!] = 0;
    candidates[other] = candidates[i]!;
  }
  return new Tensor('float32', values, kernel.dims);
}

/** Places of the part in a kernel, row by row. */
function placesOf({ dims }: Tensor, part: Part): number[] {
  const side = dims[2]!;
  const middle = side >> 1;
  return Array.from({ length: side * side }, (_, place) => place).filter((place) => {
    const isSkeleton = Math.floor(place / side) === middle || place % side === middle;
    return part === 'anywhere' || isSkeleton === (part === 'skeleton');
  });
}
