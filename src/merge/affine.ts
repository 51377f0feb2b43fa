/**
 * What a BatchNorm with running statistics does to each channel, and folding it into the convolution before it. The
 * weights become W scale, the bias
 *
 *   (b - mean) scale + shift      scale = gamma / sqrt(variance + eps)      shift = beta
 *
 * all in float64. The mean stays apart: multiplied into the shift, a large one takes the digits that it shares with x.
 */

type Values = Float32Array | Float64Array;

/** y = (x - mean) * scale + shift, channel by channel. */
export interface Affine {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** A BatchNorm's parameters, [channels] each. Without gamma it is 1, without beta 0. */
export interface NormOf<T> {
  readonly gamma: T | undefined;
  readonly beta: T | undefined;
  readonly mean: T;
  readonly variance: T;
  readonly eps: number;
}

export type NormValues = NormOf<Values>;

export function mapNorm<T, U>({ gamma, beta, mean, variance, eps }: NormOf<T>, of: (parameter: T) => U): NormOf<U> {
  return {
    gamma: gamma === undefined ? undefined : of(gamma),
    beta: beta === undefined ? undefined : of(beta),
    mean: of(mean),
    variance: of(variance),
    eps,
  };
}

export function normAffine({ gamma, beta, mean, variance, eps }: NormValues): Affine {
  return {
    mean: Float64Array.from(mean),
    scale: Float64Array.from(variance, (v, c) => (gamma?.[c] ?? 1) / Math.sqrt(v + eps)),
    shift: Float64Array.from(mean, (_, c) => beta?.[c] ?? 0),
  };
}

/** First one, then the other. */
export function compose(first: Affine, second: Affine): Affine {
  const scale = first.scale.map((factor, c) => factor * second.scale[c]!);
  return { mean: first.mean, scale, shift: foldBias(second, first.shift) };
}

/** The bias after folding; without one, zeros are folded. */
export function foldBias({ mean, scale, shift }: Affine, bias: Values | undefined): Float64Array {
  return scale.map((factor, c) => ((bias?.[c] ?? 0) - mean[c]!) * factor + shift[c]!);
}

/** A weight or a bias, or no bias at all, with a BatchNorm behind the convolution that reads it. */
export interface Folded {
  readonly from: string | undefined;
  readonly norm: NormOf<string>;
}
