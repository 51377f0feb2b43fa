// Measuring in interleaved rounds, so that a noisy machine slows all contestants alike: in each round every task runs
// for a while under tinybench, and the medians of the rounds and the ratios within a round count.
import { Bench } from 'tinybench';

/**
 * @param tasks record of functions
 * @returns per task the median milliseconds of each round
 */
export async function measureRounds(tasks, { rounds, time }) {
  const medians = Object.fromEntries(Object.keys(tasks).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ time, iterations: 3, warmup: round === 0, warmupTime: time, warmupIterations: 3 });
    for (const [name, task] of Object.entries(tasks)) bench.add(name, task);
    await bench.run();
    for (const { name, result } of bench.tasks) {
      if (result.state !== 'completed') throw result.error ?? new Error(`${name}: ${result.state}`);
      medians[name].push(result.latency.p50);
    }
  }
  return medians;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value that this share of all values does not exceed. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * share)];
}

/** Half the distance of the quartiles over the median: how far a typical round is off. */
export function spread(values) {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values);
}

export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
