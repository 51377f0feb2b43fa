/** Results of a study over its seeds: means, standard deviations, and differences to the base network, seed by seed. */
import type { ChangeName } from './changes.js';
import type { StudyResult } from './studyResults.js';

export interface Variant {
  /** The name of its folders, and in tables of numbers. */
  readonly name: string;
  readonly title: string;
  readonly form: 'base' | 'train' | 'vertical' | 'horizontal' | 'norm-after-sum';
}

/** The one that the others are compared with comes first. */
export const VARIANTS: readonly Variant[] = [
  { name: 'base', title: 'base', form: 'base' },
  { name: 'acnet', title: 'ACNet', form: 'train' },
];

export const ABLATION_VARIANTS: readonly Variant[] = [
  { name: 'vertical', title: 'vertical branch alone', form: 'vertical' },
  { name: 'horizontal', title: 'horizontal branch alone', form: 'horizontal' },
  { name: 'norm-after-sum', title: 'BatchNorm after the sum', form: 'norm-after-sum' },
];

export interface Spread {
  readonly values: readonly number[];
  readonly mean: number;
  /** Standard deviation of a sample (divided by n - 1); NaN for a single value. */
  readonly deviation: number;
}

export interface VariantSummary {
  readonly variant: Variant;
  readonly seeds: readonly number[];
  /** In percent, by change of the images. */
  readonly accuracies: ReadonlyMap<ChangeName, Spread>;
  /** To the base network of the same seed, in percentage points; undefined for itself, and if no seed has both. */
  readonly difference: Spread | undefined;
}

export function spreadOf(values: readonly number[]): Spread {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
  const mean = sum(values) / values.length;
  const squares = sum(values.map((value) => (value - mean) ** 2));
  const deviation = values.length < 2 ? Number.NaN : Math.sqrt(squares / (values.length - 1));
  return { values, mean, deviation };
}

/** Summarises the variants that have results. */
export function summarise(variants: readonly Variant[], results: readonly StudyResult[]): VariantSummary[] {
  const [base] = variants as [Variant];
  const of = (name: string): StudyResult[] => results.filter(({ network }) => network === name);
  return variants.flatMap((variant) => {
    const own = of(variant.name);
    if (own.length === 0) return [];
    const names = Object.keys(own[0]!.accuracies) as ChangeName[];
    const accuracies = names.map((name) => [name, spreadOf(own.map((one) => 100 * one.accuracies[name]!))] as const);
    const differences = own.flatMap(({ seed, accuracies: { none } }) => {
      const other = variant === base ? undefined : of(base.name).find((one) => one.seed === seed);
      return other === undefined ? [] : [100 * (none! - other.accuracies.none!)];
    });
    return [
      {
        variant,
        seeds: own.map(({ seed }) => seed),
        accuracies: new Map(accuracies),
        difference: differences.length === 0 ? undefined : spreadOf(differences),
      },
    ];
  });
}
