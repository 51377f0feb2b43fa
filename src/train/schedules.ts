/**
 * Learning rates over a run: functions of the step, from 0, and the number of steps. Names and meanings are PyTorch's;
 * where it counts calls of `scheduler.step()`, steps are counted here. Plain float64 arithmetic, with a cosine of its own
 * since engines differ in theirs.
 */
import { checkNames, finiteNumber, wholeNumber } from '../options.js';
import { show } from '../shown.js';

export type Schedule = (step: number, steps: number) => number;

export interface WarmUpOptions {
  /** Steps in which the rate rises in equal parts, to its full value in the last of them; default 0. */
  readonly warmUp?: number;
}

export interface StepOptions extends WarmUpOptions {
  /** Steps of the same rate. */
  readonly stepSize: number;
  /** What the rate is multiplied by after them; default 0.1. */
  readonly gamma?: number;
}

export interface MultiStepOptions extends WarmUpOptions {
  /** Steps at which the rate changes, in ascending order. */
  readonly milestones: readonly number[];
  /** What the rate is multiplied by at each; default 0.1. */
  readonly gamma?: number;
}

export interface CosineOptions extends WarmUpOptions {
  /** The rate that half a wave, begun after the warm-up, would have at its end; default 0. */
  readonly etaMin?: number;
}

const GAMMA = 0.1;

/** The same rate at every step. */
export function constant(lr: number, options: WarmUpOptions = {}): Schedule {
  checkNames('constant', options, ['warmUp']);
  const rate = rateOf('constant', 'lr', lr);
  return warmedUp('constant', options, () => rate);
}

/**
 * A rate that falls after every `stepSize` steps.
 * @example
 * const schedule = step(0.1, { stepSize: 30 * stepsPerEpoch });
 */
export function step(lr: number, options: StepOptions): Schedule {
  checkNames('step', options, ['stepSize', 'gamma', 'warmUp']);
  const rate = rateOf('step', 'lr', lr);
  const stepSize = wholeNumber('step', 'stepSize', options.stepSize, 1);
  const gamma = rateOf('step', 'gamma', options.gamma ?? GAMMA);
  return warmedUp('step', options, (at) => rate * power(gamma, Math.floor(at / stepSize)));
}

/** A rate that falls at milestones. */
export function multiStep(lr: number, options: MultiStepOptions): Schedule {
  checkNames('multiStep', options, ['milestones', 'gamma', 'warmUp']);
  const rate = rateOf('multiStep', 'lr', lr);
  const milestones = checkMilestones(options.milestones);
  const gamma = rateOf('multiStep', 'gamma', options.gamma ?? GAMMA);
  return warmedUp('multiStep', options, (at) => rate * power(gamma, milestones.filter((one) => one <= at).length));
}

/** A rate that falls along half a wave (Loshchilov and Hutter, 2017). */
export function cosine(lr: number, options: CosineOptions = {}): Schedule {
  checkNames('cosine', options, ['etaMin', 'warmUp']);
  const rate = rateOf('cosine', 'lr', lr);
  const etaMin = rateOf('cosine', 'etaMin', options.etaMin ?? 0);
  return warmedUp('cosine', options, (at, steps, warmUp) => {
    const share = Math.min(1, (at - warmUp) / Math.max(1, steps - warmUp));
    return etaMin + ((rate - etaMin) * (1 + cosineOfHalfTurns(share))) / 2;
  });
}

/** A schedule that rises to its first value, and follows `after` from there on. */
function warmedUp(
  owner: string,
  { warmUp = 0 }: WarmUpOptions,
  after: (step: number, steps: number, warmUp: number) => number,
): Schedule {
  wholeNumber(owner, 'warmUp', warmUp, 0);
  return (at, steps) => {
    wholeNumber(owner, 'steps', steps, 1);
    wholeNumber(owner, 'step', at, 0);
    return at < warmUp ? (after(warmUp, steps, warmUp) * (at + 1)) / warmUp : after(at, steps, warmUp);
  };
}

function rateOf(owner: string, name: string, value: unknown): number {
  return finiteNumber(owner, name, value, 0);
}

function checkMilestones(milestones: unknown): readonly number[] {
  if (!Array.isArray(milestones)) {
    throw new TypeError(`multiStep: milestones must be an array of whole numbers, got ${show(milestones)}`);
  }
  const checked = milestones.map((one, i) => wholeNumber('multiStep', `milestones[${i}]`, one, 0));
  if (checked.some((one, i) => i > 0 && one <= checked[i - 1]!)) {
    throw new RangeError(`multiStep: milestones must ascend, got ${show(milestones)}`);
  }
  return checked;
}

/** By squaring and multiplying, since the last bits of Math.pow are the engine's own. */
function power(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  const root = power(base, Math.floor(exponent / 2));
  return exponent % 2 === 0 ? root * root : root * root * base;
}

/** cos(pi x) for x from 0 to 1: of sin around the middle, by its Taylor series, good to the last bit or two. */
function cosineOfHalfTurns(x: number): number {
  const angle = Math.PI * (0.5 - x);
  const square = angle * angle;
  let term = angle;
  let sum = angle;
  for (let i = 2; i <= 22; i += 2) {
    term *= -square / (i * (i + 1));
    sum += term;
  }
  return Math.max(-1, Math.min(1, sum));
}
