/** The figures as a person reads them: what is measured, a table, and a few images. */
import { PIXELS, SIDE } from './dataset.mjs';
import { drawImage, showsHalfBlocks } from './draw.mjs';
import { formatTable, RULE } from './table.mjs';

/** Columns for a caption such as "label T-shirt/top", */
const NARROWEST = 18;
/** and for an image in ASCII that can be recognised. */
const NARROWEST_ASCII = 24;
const GAP = 2;

/** What will be measured, and where. */
export function introduction({ images, build, threads, engine, cpu }) {
  return [
    `LeNet-5 with Asymmetric Convolution Blocks, ${whole(images)} Fashion-MNIST test images`,
    `${build} build, ${threads} thread${threads === 1 ? '' : 's'}`,
    `${engine} on ${cpu}`,
    '',
  ].join('\n');
}

export function report(figures, dataset, terminal) {
  return [...tableOf(figures, terminal), '', ...gallery(figures.examples, dataset, terminal)].join('\n');
}

function tableOf(figures, terminal) {
  const { train, deploy, timing } = figures;
  const compare = (name, show) => [name, show(train), show(deploy)];
  const table = formatTable(
    [
      ['', 'train form', 'deploy form'],
      RULE,
      compare('accuracy', ({ accuracy }) => `${(100 * accuracy).toFixed(2)} %`),
      compare(`right of ${whole(figures.images)}`, ({ correct }) => whole(correct)),
      compare('learned parameters', ({ parameters }) => whole(parameters)),
      compare('  with running statistics', ({ parametersWithStatistics }) => whole(parametersWithStatistics)),
      compare('convolution MACs per image', ({ convolutionMacs }) => whole(convolutionMacs)),
      compare('milliseconds per image (1)', ({ millisecondsPerImage }) => millisecondsPerImage.toFixed(3)),
      compare('memory in use (2)', ({ memory }) => megabytes(memory)),
      RULE,
      ['predictions that differ', whole(figures.differingPredictions)],
      ['largest difference of a logit', figures.largestLogitDifference.toExponential(1)],
      ['speed-up of the deploy form', `${figures.speedUp.toFixed(2)} x`],
    ],
    terminal,
  );
  return [
    ...table,
    '',
    `(1) one image at a time, the forms taking turns; median of ${timing.rounds} rounds`,
    `(2) of WebAssembly, in batches of ${figures.batch}; peak of the whole run ${megabytes(figures.memory.peak)}`,
  ];
}

/** The images side by side, as many and as large as the width allows. */
function gallery(examples, dataset, terminal) {
  const narrowest = showsHalfBlocks(terminal) ? NARROWEST : NARROWEST_ASCII;
  const fitting = Math.max(1, Math.floor((terminal.columns + GAP) / (narrowest + GAP)));
  const shown = examples.slice(0, fitting);
  const room = Math.floor((terminal.columns + GAP) / shown.length) - GAP;
  const width = Math.max(2, Math.min(SIDE, room - (room % 2)));
  const cards = shown.map(({ image, label, prediction, probability }) => [
    ...drawImage(dataset.pixels.subarray(image * PIXELS, (image + 1) * PIXELS), SIDE, width, terminal),
    ...[
      `label ${label}`,
      `guess ${prediction}`,
      `${(100 * probability).toFixed(1)} %, ${label === prediction ? 'right' : 'WRONG'}`,
    ].map((line) => line.padEnd(width)),
  ]);
  return cards[0].map((_, row) =>
    cards
      .map((card) => card[row])
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}

function whole(value) {
  return value.toLocaleString('en-US');
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
