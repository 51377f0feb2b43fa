// One computation by every contestant: do the results agree, and how long does each take?
import { median, spread } from '../measure.mjs';
import { timeInRounds } from './rounds.mjs';

/** Relative to the largest magnitude of the output: results further apart are not the same computation. */
export const AGREEMENT = 1e-4;

/**
 * @param prepared record of { variants, result }, see contestants.mjs; the others are compared with the first one
 * @param flops operations of the computation
 * @returns figures by name; the ratios of each round are another one's time over that of the first
 */
export async function compare(prepared, flops, options) {
  const results = [];
  for (const { result } of Object.values(prepared)) results.push(await result());
  const { times, coreShare } = await timeInRounds(variantsOf(prepared), options);
  const [first, ...others] = Object.keys(times);
  const milliseconds = mapValues(times, median);
  const ratios = mapValues(pick(times, others), (list) => list.map((time, round) => time / times[first][round]));
  return {
    flops,
    error: disagreement(results),
    coreShare,
    milliseconds,
    gflops: mapValues(milliseconds, (time) => flops / time / 1e6),
    ratio: mapValues(ratios, median),
    spread: mapValues(ratios, spread),
  };
}

export function variantsOf(prepared) {
  return mapValues(prepared, ({ variants }) => variants);
}

/** Widest gap between any two results, relative to the largest magnitude; infinite where one is not a number. */
function disagreement(results) {
  const [first] = results;
  if (results.some(({ length }) => length !== first.length)) return Number.POSITIVE_INFINITY;
  let gap = 0;
  let magnitude = 0;
  for (let i = 0; i < first.length; i++) {
    const values = results.map((result) => result[i]);
    if (values.some(Number.isNaN)) return Number.POSITIVE_INFINITY;
    gap = Math.max(gap, Math.max(...values) - Math.min(...values));
    magnitude = Math.max(magnitude, ...values.map(Math.abs));
  }
  return gap / magnitude;
}

function mapValues(record, change) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function pick(record, keys) {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}
