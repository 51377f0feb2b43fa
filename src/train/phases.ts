/**
 * The gradient of a convolution's input as convolutions of stride 1. Along an axis, an input position i gets what the
 * outputs o have with the taps k for which i + pad = o stride + k dilation. Positions of one remainder modulo the stride
 * are a phase: they see the same taps, every so many of the kernel, and neighbours of them see neighbouring outputs.
 */

/** Along one axis, in positions. A convolution of dy by the turned kernel, that is with the last of these taps first. */
export interface Phase {
  /** The first input position, and how many there are, a stride apart. */
  readonly first: number;
  readonly size: number;
  /** Taps firstTap, firstTap + tapStep, ...; there may be none, and then the gradient is zero. */
  readonly firstTap: number;
  readonly tapStep: number;
  readonly taps: number;
  /** Of the convolution of dy. */
  readonly dilation: number;
  readonly pads: readonly [before: number, after: number];
}

/** The phases of an axis with zeros for padding. */
export function phasesOf(
  kernel: number,
  stride: number,
  dilation: number,
  padBefore: number,
  inSize: number,
  outSize: number,
): Phase[] {
  const common = greatestDivisor(stride, dilation);
  const tapStep = stride / common;
  return Array.from({ length: Math.min(stride, inSize) }, (_, first) => {
    const size = Math.ceil((inSize - first) / stride);
    const start = first + padBefore;
    const isSeen = (tap: number): boolean => (start - tap * dilation) % stride === 0;
    const firstTap = Array.from({ length: Math.min(kernel, tapStep) }, (_, tap) => tap).find(isSeen);
    const phase = { first, size, tapStep, dilation: dilation / common };
    if (firstTap === undefined) return { ...phase, firstTap: 0, taps: 0, pads: [0, 0] };
    const taps = Math.ceil((kernel - firstTap) / tapStep);
    const reach = (taps - 1) * phase.dilation;
    const before = reach - (start - firstTap * dilation) / stride;
    return { ...phase, firstTap, taps, pads: [before, size - outSize - before + reach] };
  });
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
