// The figures of bench/training.mjs as text, and as bench/TRAINING.md.
const FORMS = { base: 'base', train: 'ACNet' };
/**
 * Ratios that a step should reach, by network in ACNet form and threads: to PyTorch's better layout, and its default
 * one.
 */
const BARS = {
  'LeNet-5-BN': { 1: [1.2, 1.5], 2: [1.2] },
  'Cifar-quick': { 1: [0.75, 1.1], 2: [0.65] },
  'ResNet-20': { 1: [0.65, 0.9], 2: [0.6] },
};
const ONNXRUNTIME_BAR = 4;

export function tableHead() {
  return `network      form   threads        ours   channels_last         default  better/ours       default/ours`;
}

export function rowText({ network, form, threads, times, ratios, calm }) {
  const figures = ['ours', 'channels_last', 'default'].map((name) => milliseconds(times[name]).padStart(15));
  const shares = ['better', 'default'].map((name) => ratio(ratios[name]).padEnd(18));
  const row = `${network.padEnd(12)} ${FORMS[form].padEnd(6)} ${threads}  ${figures.join(' ')}  ${shares.join(' ')}`;
  const { onnxruntime } = ratios;
  const peer = onnxruntime && `, onnxruntime-web ${milliseconds(times.onnxruntime)} ${ratio(onnxruntime)}`;
  return `${row} ${percent(calm)} calm${peer ?? ''}`;
}

function percent(share) {
  return `${(100 * share).toFixed(0)} %`;
}

function milliseconds({ median, low, high }) {
  const digits = median < 100 ? 1 : 0;
  return `${median.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

function ratio({ median, low, high }) {
  return `${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})`;
}

export function markdown({ machine, pytorch, simd, rounds, rows, phases }) {
  return `# Training steps

Written by \`npm run bench:training -- --write\`. Milliseconds of a step, batch 128: forward, cross-entropy, backward and SGD
with momentum, of this package and of PyTorch with images in either layout, with as many threads each.

- ${machine.cpu}${machine.vectors === undefined ? '' : ` (${machine.vectors})`}, ${machine.cores} cores, Node ${machine.node} (${machine.system})
- acnet-wasm with its ${simd} build, PyTorch ${pytorch} with OpenBLAS

A ratio is PyTorch's time over that of acnet-wasm: above 1, acnet-wasm is faster. All figures are medians over rounds, the
quartiles in brackets. Where a ratio is to reach something, that stands behind it.

| network | form | threads | acnet-wasm | channels_last | default | better layout / acnet-wasm | default / acnet-wasm | calm |
| --- | --- | --: | --: | --: | --: | --: | --: | --: |
${rows.map(tableRow).join('\n')}
${rows
  .filter(({ ratios }) => ratios.onnxruntime)
  .map(onnxruntimeText)
  .join('')}
## Phases

Milliseconds of the steps of the plan by kind, one thread; medians.

${phases.map(phaseTable).join('\n\n')}

## How it is measured

Each round makes a step of each, one after the other, ${rounds} rounds after a warm-up. PyTorch runs in a process of its own,
which makes a step when it is told to and takes its time itself. With one thread that is the processor's, since others may
be using the machine, with more that of a clock. OPENBLAS_NUM_THREADS and OMP_NUM_THREADS bind its threads,
and nothing else is set for OpenBLAS. Its malloc keeps what is freed (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_):
with malloc's defaults, as most people run it (\`--default-malloc\`), PyTorch spends two to four times as long, in page
faults. Before and after every step a loop of
multiply-adds in registers runs on all threads that are
measured. Rounds in which it was slower than 92 % of its best are thrown out, since somebody else had the machine then,
and others made instead; where it goes on so, the calmest count. The last column says how many of them were calm.

This package gets an array of pixels at every step and puts it into its memory; PyTorch finds its images where they are.
Networks are those of the package's builders, Cifar-quick with its linear layers 576->64->10; \`steps.py\` has them in PyTorch.
`;
}

function onnxruntimeText({ network, form, times, ratios }) {
  return `
onnxruntime-web 1.19.2, the last version with training operators, takes ${milliseconds(times.onnxruntime)} for ${network} in
${FORMS[form]} form with one thread, without the optimiser: a ratio of ${ratio(ratios.onnxruntime)}, of ${ONNXRUNTIME_BAR}.
\`bench/training/onnxruntime\` writes the file that it runs; its loss and gradients are held against this package's first.
`;
}

function tableRow({ network, form, threads, times, ratios, calm }) {
  const [better, byDefault] = (form === 'train' && BARS[network][threads]) || [];
  const behind = (bar) => (bar === undefined ? '' : `, of ${bar}`);
  const cells = [
    network,
    FORMS[form],
    threads,
    ...['ours', 'channels_last', 'default'].map((name) => milliseconds(times[name])),
    ratio(ratios.better) + behind(better),
    ratio(ratios.default) + behind(byDefault),
    percent(calm),
  ];
  return `| ${cells.join(' | ')} |`;
}

function phaseTable({ network, form, kinds }) {
  const sum = Object.values(kinds).reduce((total, time) => total + time, 0);
  const rows = Object.entries(kinds).map(([kind, time]) => {
    return `| ${kind} | ${time.toFixed(1)} | ${((100 * time) / sum).toFixed(0)} % |`;
  });
  return `| ${network}, ${FORMS[form]} | ${sum.toFixed(1)} | |\n| --- | --: | --: |\n${rows.join('\n')}`;
}
