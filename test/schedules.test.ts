/** Learning rates: PyTorch's, with a warm-up before them, and invalid schedules. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { constant, cosine, multiStep, type Schedule, step } from '../src/train/schedules.js';

const ratesOf = (schedule: Schedule, steps: number): number[] =>
  Array.from({ length: steps }, (_, i) => schedule(i, steps));

function near(actual: readonly number[], expected: readonly number[]): void {
  assert.is(actual.length, expected.length);
  for (const [i, rate] of actual.entries()) {
    assert.ok(Math.abs(rate - expected[i]!) <= 1e-15 * Math.abs(expected[i]!), `step ${i}: ${rate}, ${expected[i]}`);
  }
}

test('constant stays, and step and multiStep fall, when PyTorch says so', () => {
  near(ratesOf(constant(0.1), 3), [0.1, 0.1, 0.1]);
  near(ratesOf(step(0.1, { stepSize: 2 }), 5), [0.1, 0.1, 0.01, 0.01, 0.001]);
  near(ratesOf(multiStep(1, { milestones: [1, 4], gamma: 0.5 }), 6), [1, 0.5, 0.5, 0.5, 0.25, 0.25]);
  near(ratesOf(multiStep(1, { milestones: [] }), 2), [1, 1]);
});

test('cosine is half a wave from the rate to etaMin', () => {
  const steps = 1000;
  const expected = ratesOf((at) => 0.01 + (0.09 * (1 + Math.cos((Math.PI * at) / steps))) / 2, steps);
  for (const [i, rate] of ratesOf(cosine(0.1, { etaMin: 0.01 }), steps).entries()) {
    assert.ok(Math.abs(rate - expected[i]!) < 1e-16, `step ${i}`);
  }
  assert.is(cosine(0.1)(0, 10), 0.1);
  assert.is(cosine(0.1)(10, 10), 0);
});

test('a warm-up rises in equal parts, and the rest of a cosine follows', () => {
  near(ratesOf(constant(1, { warmUp: 4 }), 6), [0.25, 0.5, 0.75, 1, 1, 1]);
  const schedule = cosine(1, { warmUp: 2 });
  near(ratesOf(schedule, 6), [0.5, 1, ...[0, 1, 2, 3].map((i) => (1 + Math.cos((Math.PI * i) / 4)) / 2)]);
  assert.is(cosine(1, { warmUp: 9 })(5, 6), 6 / 9);
});

test('the bits of a cosine are the same everywhere', () => {
  // Made by no engine's Math.cos: 1/2 + 1/2 cos(pi/3), pi/4 in float64 arithmetic alone.
  assert.is(cosine(1)(1, 2), 0.5);
  assert.is(cosine(1)(1, 4), 0.8535533905932737);
  assert.is(cosine(1)(3, 4), 0.14644660940672627);
});

test('arguments are checked', () => {
  const refuses = (make: () => unknown, error: typeof TypeError | typeof RangeError, text: string): void => {
    assert.throws(make, (thrown: Error) => thrown instanceof error && thrown.message.includes(text));
  };
  refuses(() => constant(-1), RangeError, 'constant: lr must be a finite number of at least 0, got -1');
  refuses(() => constant('0.1' as unknown as number), TypeError, 'lr must be a number, got "0.1"');
  refuses(() => constant(1, { warmUp: 1.5 }), RangeError, 'warmUp must be a whole number');
  refuses(() => step(1, { stepSize: 0 }), RangeError, 'stepSize must be a whole number of at least 1, got 0');
  refuses(() => step(1, { stepsize: 3 } as never), TypeError, 'unknown option stepsize');
  refuses(() => multiStep(1, { milestones: [3, 3] }), RangeError, 'milestones must ascend, got [3, 3]');
  refuses(() => multiStep(1, { milestones: 3 as never }), TypeError, 'milestones must be an array');
  refuses(() => cosine(1, { etaMin: Number.NaN }), RangeError, 'etaMin');
  refuses(() => cosine(1)(-1, 10), RangeError, 'step must be a whole number of at least 0, got -1');
  refuses(() => cosine(1)(0, 0), RangeError, 'steps must be a whole number of at least 1, got 0');
});

test.run();
