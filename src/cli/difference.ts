/** How far two results lie apart. */

/**
 * Largest difference, relative to the largest magnitude of the first; infinite if a value is not finite and the other
 * one differs, NaN if no value is finite and so nothing can be said.
 */
export function differenceOf(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  if (expected.length !== actual.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let difference = 0;
  let hasFinite = expected.length === 0;
  for (let i = 0; i < expected.length; i++) {
    const [one, other] = [expected[i]!, actual[i]!];
    if (Number.isFinite(one)) {
      hasFinite = true;
      largest = Math.max(largest, Math.abs(one));
    }
    if (Object.is(one, other)) continue;
    const distance = Math.abs(one - other);
    difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(difference, distance);
  }
  if (!hasFinite) return Number.NaN;
  return difference === 0 ? 0 : difference / largest;
}
