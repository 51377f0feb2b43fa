// Tells whether this process has a core to itself, by a loop that depends only on registers and the clock.
import { openTestKernels } from './testKernels.mjs';

/** Long enough to notice an interruption, short beside a round. */
const STEPS = 20_000;
/** The share of the best peak below which something else had the core. */
const MIN_SHARE = 0.8;
const WARM_UP_CALLS = 100;

export class Peak {
  #kernels;
  #best = Number.POSITIVE_INFINITY;

  constructor(simd) {
    this.#kernels = openTestKernels(simd).kernels;
    for (let i = 0; i < WARM_UP_CALLS; i++) this.isReached();
  }

  /** Runs the loop once; returns whether it came near the best that this process has seen. */
  isReached() {
    const start = performance.now();
    this.#kernels.multiplyAddPeak(STEPS, 0.999, 0.001);
    const time = performance.now() - start;
    this.#best = Math.min(this.#best, time);
    return this.#best / time >= MIN_SHARE;
  }
}
