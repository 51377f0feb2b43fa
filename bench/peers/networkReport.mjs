// The report of networks.mjs in words: lines for the terminal and the text of bench/NETWORKS.md.
import { capital, coreSentence, machineLine, withSpread } from './report.mjs';

/** Geometric means of each form, and how far the results differ. */
export function summaryLines({ ours, peers, summary }) {
  return [
    ...summary.means.map(({ form, ratio }) => {
      const means = peers.map((peer) => `${peer} ${ratio[peer].toFixed(2)}`).join(', ');
      return `geometric mean of the time ratios, ${form} form: ${means}`;
    }),
    `largest difference between any two results, relative to the largest magnitude: ${summary.largestError.toExponential(1)}`,
    `(a ratio above 1 means that ${ours} takes less time)`,
    coreSentence(summary.coreShare),
  ];
}

export function markdown(report) {
  const { machine, ours, peers, simd, rounds, time, rows, summary } = report;
  const everyone = [ours, ...peers];
  const table = tableOf(
    ['network', 'form', ...everyone, ...peers.map((name) => `ratio to ${name}`)],
    2,
    rows.map((row) => [
      row.network,
      row.name,
      ...everyone.map((name) => `${row.milliseconds[name].toFixed(3)} ms, ${row.gflops[name].toFixed(1)}`),
      ...peers.map((name) => withSpread(row, name)),
    ]),
  );
  const means = tableOf(
    ['geometric mean of the ratios', ...peers],
    1,
    summary.means.map(({ form, ratio }) => [`${form} form`, ...peers.map((name) => ratio[name].toFixed(2))]),
  );
  const loading = tableOf(
    ['network', 'form', ...everyone],
    2,
    rows.map((row) => [row.network, row.name, ...everyone.map((name) => row.load[name].toFixed(0))]),
  );
  return `# Whole networks

Written by \`npm run bench:networks -- --write\`. The paper's networks for CIFAR at full size, batch 1, one thread each, all
three in one process, each with the same ONNX file.

- ${machineLine(machine)} (V8 ${machine.v8}, ${machine.system})
- ${everyone.map((name) => `${name} ${report.versions[name]}`).join(', ')}; ${ours} with its ${simd} build

${means}

A ratio is a peer's time over that of ${ours}: above 1, ${ours} is faster. ${capital(coreSentence(summary.coreShare))}

In train form the file has all branches of every block and their BatchNorms, as it is exported when nobody calls the
conversion; ${ours} merges them as it loads the file. In deploy form every block is one convolution already.

![GF/s of each network](networks.svg)

## Every network

Milliseconds per image and GF/s (multiply-adds of the network in deploy form, each two operations, whatever the form and
the algorithm do). A ratio stands with half the distance between its quartiles.

${table}

## Loading

Milliseconds from the file's bytes to the first result, once (for onnxruntime-node a mean over both levels).

${loading}

## How it is measured

\`networkModels.mjs\` builds the networks with this package's builders and seeded random parameters, and writes both forms
with \`writeOnnx\`. All three run both files, and no two results differ by more than ${summary.largestError.toExponential(1)} of the largest magnitude.
The image is an array and so is the result, for everyone; calls of the onnxruntimes are awaited. onnxruntime-node runs at
the better of two graph optimisation levels, all or extended, chosen for each file.

After a warm-up of at least 200 ms each (before the first network 3 s), ${rounds} rounds; in a round each of the three runs for at
least ${time} ms (and three calls), and the fastest quartile of its calls is its figure. The ratio is taken within a round;
all figures are medians over the rounds.
`;
}

/** @param words columns at the left that hold words, not figures */
function tableOf(head, words, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i < words ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
