/** The report of a study: tables for the terminal, study.md with its pictures, and the same as numbers. */
import { CHANGES, type ChangeName } from './changes.js';
import { spreadChart } from './spreadChart.js';
import type { StudyResult } from './studyResults.js';
import type { Spread, VariantSummary } from './studySummary.js';
import { type Column, count, formatTable, plural } from './table.js';
import { paint, type Terminal } from './terminal.js';
import type { TrainSettings } from './trainSettings.js';

export interface Study {
  readonly settings: TrainSettings;
  /** The command line. */
  readonly command: string;
  readonly testImages: number;
  readonly summaries: readonly VariantSummary[];
  readonly results: readonly StudyResult[];
}

interface Table {
  readonly titles: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const PICTURES = { accuracy: 'accuracy.svg', changed: 'changed.svg' } as const;
const RULES =
  'All networks were trained with the same settings, merged, and tested with the weights of their last epoch, so the ' +
  'test images chose nothing. Behind ± is the standard deviation over the seeds; a difference is that of two networks ' +
  'of the same seed, in percentage points.';

export function reportLines(study: Study, terminal: Terminal): string[] {
  const table = ({ titles, rows }: Table): string[] => {
    const columns = titles.map((title, i): Column => ({ title, align: i === 0 ? 'left' : 'right' }));
    return formatTable(columns, rows, [], terminal);
  };
  const lines = [
    paint(headingOf(study), 'cyan', terminal),
    `Accuracy on ${count(study.testImages)} test images, merged, weights of the last epoch`,
    '',
    ...table(accuracyTable(study)),
    '',
    'The same networks, test images changed',
    '',
    ...table(changesTable(study)),
  ];
  return terminal.unicode ? lines : lines.map((line) => line.replaceAll('±', '+-').replaceAll('°', ''));
}

export function reportMarkdown(study: Study): string {
  const { summaries, command, testImages } = study;
  const titles = summaries.map(({ variant }) => variant.title).join(', ');
  return [
    `# ${headingOf(study)}`,
    '',
    `Accuracy on ${count(testImages)} test images. ${RULES}`,
    '',
    '```sh',
    command,
    '```',
    '',
    ...markdownTable(accuracyTable(study)),
    '',
    `![Accuracy of ${titles}](${PICTURES.accuracy})`,
    '',
    '## Changed test images',
    '',
    'The same networks, which have never seen images turned or upside down.',
    '',
    ...markdownTable(changesTable(study)),
    '',
    `![Accuracy of ${titles} on changed images](${PICTURES.changed})`,
    '',
    '## Seed by seed',
    '',
    ...markdownTable(seedsTable(study)),
    '',
  ].join('\n');
}

/** The pictures, by the names of their files. */
export function reportPictures(study: Study): Record<keyof typeof PICTURES, string> {
  const { summaries, testImages } = study;
  const note = `${count(testImages)} test images; whiskers: standard deviation over seeds; dots: seeds`;
  const names = changeNames(study);
  return {
    accuracy: spreadChart({
      ...{ title: `${headingOf(study)}: accuracy`, note, unit: '%', isFromZero: false },
      groups: summaries.map(({ variant }) => variant.title),
      series: [{ name: 'accuracy', groups: summaries.map(({ accuracies }) => accuracies.get('none')!) }],
    }),
    changed: spreadChart({
      ...{ title: `${headingOf(study)}: changed images`, note, unit: '%', isFromZero: true },
      groups: names.map((name) => CHANGES[name].title),
      series: summaries.map(({ variant, accuracies }) => ({
        name: variant.title,
        groups: names.map((name) => accuracies.get(name)!),
      })),
    }),
  };
}

/** For programs; percent, as everywhere here. */
export function reportJson({ settings, testImages, summaries }: Study) {
  const numbers = ({ values, mean, deviation }: Spread) => ({
    values,
    mean,
    ...(Number.isFinite(deviation) && { deviation }),
  });
  return {
    type: 'study',
    settings,
    images: testImages,
    networks: summaries.map(({ variant, seeds, accuracies, difference }) => ({
      network: variant.name,
      seeds,
      accuracies: Object.fromEntries([...accuracies].map(([name, spread]) => [name, numbers(spread)])),
      ...(difference && { difference: numbers(difference) }),
    })),
  };
}

function headingOf({ settings: { arch, epochs }, summaries }: Study): string {
  const seeds = Math.max(0, ...summaries.map((summary) => summary.seeds.length));
  return `${arch}, ${plural(epochs, 'epoch')}, ${plural(seeds, 'seed')}`;
}

function changeNames({ summaries }: Study): ChangeName[] {
  return [...(summaries[0]?.accuracies.keys() ?? [])];
}

function accuracyTable({ summaries }: Study): Table {
  return {
    titles: ['network', 'seeds', 'accuracy (%)', 'difference', 'better'],
    rows: summaries.map(({ variant, seeds, accuracies, difference }) => [
      variant.title,
      String(seeds.length),
      shown(accuracies.get('none')!),
      difference === undefined ? '' : shown(difference, true),
      difference === undefined
        ? ''
        : `${difference.values.filter((value) => value > 0).length} of ${difference.values.length}`,
    ]),
  };
}

function changesTable(study: Study): Table {
  return {
    titles: ['images', ...study.summaries.map(({ variant }) => variant.title)],
    rows: changeNames(study).map((name) => [
      CHANGES[name].title,
      ...study.summaries.map(({ accuracies }) => shown(accuracies.get(name)!)),
    ]),
  };
}

function seedsTable(study: Study): Table {
  const names = changeNames(study);
  return {
    titles: ['network', 'seed', ...names.map((name) => CHANGES[name].title)],
    rows: study.results.map(({ network, seed, accuracies }) => [
      network,
      String(seed),
      ...names.map((name) => (100 * accuracies[name]!).toFixed(2)),
    ]),
  };
}

function shown({ mean, deviation }: Spread, isSigned = false): string {
  const sign = isSigned && mean > 0 ? '+' : '';
  const spread = Number.isFinite(deviation) ? ` ± ${deviation.toFixed(2)}` : '';
  return `${sign}${mean.toFixed(2)}${spread}`;
}

function markdownTable({ titles, rows }: Table): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = titles.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(titles), line(rule), ...rows.map(line)];
}
