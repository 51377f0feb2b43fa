/** Axes: positions of values, and round values to write beside them. */

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** Round values from low to high. */
  readonly ticks: readonly number[];
  /** The text of a tick beside the axis. */
  label(tick: number): string;
  /** Where a value is: 0 at low, 1 at high. */
  at(value: number): number;
}

/** A scale over these values that begins and ends at round ones; those that are not finite do not count. */
export function scaleOver(values: readonly number[], ticks: number): Scale {
  const finite = values.filter(Number.isFinite);
  const least = finite.length === 0 ? 0 : finite.reduce((one, other) => Math.min(one, other));
  const most = finite.length === 0 ? 1 : finite.reduce((one, other) => Math.max(one, other));
  // Equal values stand in the middle.
  const margin = least === most ? Math.abs(least) * 0.1 || 1 : 0;
  const step = roundStep((most - least + 2 * margin) / ticks);
  const first = Math.floor((least - margin) / step + 1e-9);
  const last = Math.ceil((most + margin) / step - 1e-9);
  return scaleOf(step, first, last);
}

/** A scale over whole numbers, as epochs are, with nothing beyond them. */
export function wholeScale(low: number, high: number, ticks: number): Scale {
  const step = Math.max(1, roundStep((high - low) / ticks));
  const first = Math.ceil(low / step);
  const inner = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
  // A single one stands in the middle.
  const margin = low === high ? 1 : 0;
  return make(low - margin, high + margin, inner, String);
}

function scaleOf(step: number, first: number, last: number): Scale {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return make(first * step, last * step, ticks, (tick) => tick.toFixed(decimals));
}

function make(low: number, high: number, ticks: readonly number[], label: (tick: number) => string): Scale {
  return { low, high, ticks, label, at: (value) => (value - low) / (high - low) };
}

/** The first of 1, 2 and 5 times a power of ten that is not below `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9))!;
}
