/** Where the time of a run goes: several runs, timed step by step, summed up. */
import type { StepInfo } from '../plan/stepInfo.js';

/** A step of a run, and how long it takes. A node that was fused into another one has no step of its own. */
export interface StepTime extends StepInfo {
  /** Median over the runs. */
  readonly milliseconds: number;
  /** Share of the time of all steps, from 0 to 1. */
  readonly share: number;
}

/** Collects the times of the steps of several runs of one plan. */
export class StepTimer {
  readonly #steps: { readonly info: StepInfo; readonly times: number[] }[] = [];
  #next = 0;

  /** The next run begins at the first step. */
  startRun(): void {
    this.#next = 0;
  }

  add(info: StepInfo, milliseconds: number): void {
    const step = this.#steps[this.#next];
    if (step === undefined) this.#steps.push({ info, times: [milliseconds] });
    else step.times.push(milliseconds);
    this.#next++;
  }

  /** The steps in the order in which they run. */
  summary(): StepTime[] {
    const medians = this.#steps.map(({ times }) => median(times));
    const total = medians.reduce((sum, milliseconds) => sum + milliseconds, 0);
    return this.#steps.map(({ info }, i) => {
      const milliseconds = medians[i]!;
      return { ...info, milliseconds, share: total > 0 ? milliseconds / total : 0 };
    });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
