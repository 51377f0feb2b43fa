/** The settings of `acnet train`, which a run's folder keeps. */
import { ABLATIONS } from '../train.js';

export const FORMS = ['train', 'base', ...ABLATIONS] as const;

/** All that a run depends on, except for the files that it reads. */
export interface TrainSettings {
  readonly arch: string;
  readonly form: (typeof FORMS)[number];
  readonly channels?: readonly number[];
  readonly blocks?: number;
  readonly data: string;
  readonly size?: readonly [number, number];
  /** Images of the training set that are kept for validation. */
  readonly holdOut?: number;
  readonly init?: string;
  readonly freeze: readonly string[];
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly lr: number;
  readonly schedule: string;
  readonly warmUp: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly clipNorm?: number;
  readonly labelSmoothing: number;
  readonly crop: number;
  readonly flip: boolean;
  readonly ema?: number;
  readonly patience?: number;
}
