// Checks of the options that the benchmarks have in common, after node:util's parseArgs.

/** The options `--rounds` and `--time`. */
export const ROUNDS_OPTIONS = {
  rounds: { type: 'string', default: '15' },
  time: { type: 'string', default: '15' },
};

/** @throws Error that names the option */
export function readRounds(values) {
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds must be a whole number of at least 1, got ${values.rounds}`);
  }
  const time = Number(values.time);
  if (!(time > 0 && time < Number.POSITIVE_INFINITY)) {
    throw new Error(`--time must be a positive number of milliseconds, got ${values.time}`);
  }
  return { rounds, time };
}

/** @throws Error that names the option */
export function checkBuild(simd) {
  if (!['auto', 'baseline', 'relaxed'].includes(simd)) {
    throw new Error(`--simd must be auto, baseline or relaxed, got ${simd}`);
  }
}
