// The report of run.mjs in words: a table for the terminal and the text of bench/RESULTS.md. Also the phrases that it
// shares with networkReport.mjs.

/** Below this share of a core the machine was not quiet, and the report says so. */
const QUIET = 0.95;

/** Column heads of the terminal, which is narrow. */
const SHORT = { 'tfjs-backend-wasm': 'tfjs-wasm', 'onnxruntime-web': 'ort-web', 'onnxruntime-node': 'ort-node' };
const short = (name) => SHORT[name] ?? name;

/** @returns two lines about the run, a blank one, the names of the columns */
export function tableHead({ machine, versions, ours, peers, simd, rounds }) {
  const everyone = [ours, ...peers];
  return [
    `${machineLine(machine)}; ${everyone.map((name) => `${name} ${versions[name]}`).join(', ')}`,
    `${simd} build of ${ours}, one thread each, batch 1, medians of ${rounds} rounds; a ratio is peer / ${ours}`,
    '',
    ''.padEnd(31) +
      everyone.map((name) => short(name).padStart(17)).join('') +
      peers.map((name) => `x ${short(name)}`.padStart(14)).join('') +
      'differ'.padStart(8) +
      'core'.padStart(7),
    ''.padEnd(31) + 'ms   GF/s'.padStart(17).repeat(everyone.length),
  ].join('\n');
}

export function tableRow({ ours, peers }, row) {
  const figures = [ours, ...peers]
    .map((name) => row.milliseconds[name].toFixed(3).padStart(10) + row.gflops[name].toFixed(1).padStart(7))
    .join('');
  const ratios = peers.map((name) => withSpread(row, name).padStart(14)).join('');
  return `${row.network.padEnd(12)}${row.name.padEnd(19)}${figures}${ratios}${row.error.toExponential(0).padStart(8)}${percent(row.coreShare).padStart(7)}`;
}

/** Geometric means, the least favourable shape, and how far the results differ. */
export function summaryLines({ ours, peers, rows, summary }) {
  const means = (means) => peers.map((peer) => `${peer} ${means[peer].toFixed(2)}`).join(', ');
  const lines = [];
  if (summary.threeByThree !== undefined) {
    const count = summary.counts.threeByThree;
    lines.push(`geometric mean of the time ratios, ${count} 3x3 stride-1 shapes: ${means(summary.threeByThree)}`);
  }
  const everything = rows.length === 1 ? 'the one shape' : `all ${rows.length} shapes`;
  lines.push(`geometric mean of the time ratios, ${everything}: ${means(summary.all)}`);
  for (const peer of peers) {
    const { shape, ratio } = summary.lowest[peer];
    lines.push(`lowest ratio to ${peer}: ${ratio.toFixed(2)} (${shape})`);
  }
  lines.push(
    `largest difference between any two results, relative to the largest magnitude: ${summary.largestError.toExponential(1)}`,
    `(a ratio above 1 means that ${ours} takes less time)`,
    coreSentence(summary.coreShare),
  );
  return lines;
}

export function markdown(report) {
  const { machine, ours, peers, simd, rounds, time, rows, summary } = report;
  const everyone = [ours, ...peers];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const table = [
    line(['network', 'convolution', ...everyone, ...peers.map((name) => `ratio to ${name}`)]),
    line(['---', '---', ...everyone.map(() => '--:'), ...peers.map(() => '--:')]),
    ...rows.map((row) =>
      line([
        row.network,
        row.name,
        ...everyone.map((name) => `${row.milliseconds[name].toFixed(3)} ms, ${row.gflops[name].toFixed(1)}`),
        ...peers.map((name) => withSpread(row, name)),
      ]),
    ),
  ];
  const means = [
    line(['geometric mean of the ratios', ...peers]),
    line(['---', ...peers.map(() => '--:')]),
    line([
      `the ${summary.counts.threeByThree} of 3x3, stride 1`,
      ...peers.map((name) => summary.threeByThree[name].toFixed(2)),
    ]),
    line([`all ${summary.counts.all}`, ...peers.map((name) => summary.all[name].toFixed(2))]),
    line(['lowest of all', ...peers.map((name) => lowest(summary.lowest[name]))]),
  ];
  return `# Against its peers

Written by \`npm run bench:peers -- --write\`. One convolution with bias at a time (for ${ours} a merged block), batch 1,
one thread each, all four in one process.

- ${machineLine(machine)} (V8 ${machine.v8}, ${machine.system})
- ${everyone.map((name) => `${name} ${report.versions[name]}`).join(', ')}; ${ours} with its ${simd} build

${means.join('\n')}

A ratio is a peer's time over that of ${ours}: above 1, ${ours} is faster. ${capital(coreSentence(summary.coreShare))}

![GF/s of each convolution](results.svg)

## Every convolution

Milliseconds per call and GF/s (multiply-adds of the plain convolution, each two operations, whatever the algorithm
does). A ratio stands with half the distance between its quartiles.

${table.join('\n')}

## How it is measured

After a warm-up of at least 200 ms each (before the first convolution 3 s), ${rounds} rounds; in a round each of the four runs for at least ${time} ms (and three
calls), and the fastest quartile of its calls is its figure. The ratio is taken within a round; all figures are medians
over the rounds. Before that all four compute the same seeded random data: no two results differ by more than
${summary.largestError.toExponential(1)} of the largest magnitude.

Each runs as its documents say, in the way that is fastest for it. ${ours} and tfjs-backend-wasm have their input in their
own memory and layout and leave their output there. The onnxruntimes take and return arrays, which for onnxruntime-web
are copies into and out of its memory; their calls are awaited. onnxruntime-node has its output allocated before and runs at the
better of two graph optimisation levels, all or extended, chosen for each convolution.
`;
}

export function coreSentence(share) {
  const had = `while it was timed the process had ${percent(share)} of a core (median over the shapes)`;
  if (share >= QUIET) return `${had}.`;
  return `${had}: the machine was busy, which slows long calls more than short ones, so the ratios are not to be trusted.`;
}

function percent(share) {
  return `${(share * 100).toFixed(0)} %`;
}

export function capital(sentence) {
  return sentence[0].toUpperCase() + sentence.slice(1);
}

export function machineLine({ cpu, cores, vectors, node }) {
  const native = vectors === undefined ? '' : ` (${vectors})`;
  return `${cpu}${native}, ${cores} core${cores === 1 ? '' : 's'}, Node ${node}`;
}

export function withSpread(row, name) {
  return `${row.ratio[name].toFixed(2)} ±${(row.spread[name] * 100).toFixed(0)} %`;
}

function lowest({ shape, ratio }) {
  return `${ratio.toFixed(2)} (${shape})`;
}
