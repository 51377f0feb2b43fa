/** `acnet bench`: how fast a model is as it was exported and merged, and where the time goes. */
import {
  createRuntime,
  type Graph,
  InferenceSession,
  type Runtime,
  reparameterize,
  type StepTime,
  type Tensor,
  toChromeTrace,
  warmUp,
} from '../index.js';
import { expectPositionals } from './arguments.js';
import type { Command, Output } from './command.js';
import { UsageError } from './errors.js';
import { writeWhole } from './files.js';
import { inputShapes, parseShapes, readGraphFile } from './model.js';
import { breathe, withProgress } from './progress.js';
import { normalTensors } from './random.js';
import { formatTable, milliseconds, plural, showDims } from './table.js';
import { paint, printable, shorten, type Terminal } from './terminal.js';

const RUNS = 30;
/** Runs of each form before timing starts. */
const WARM_UP_RUNS = 3;
const PROFILED_RUNS = 10;
const MAX_RUNS = 100_000;
const MAX_THREADS = 64;
const SIMD = ['auto', 'baseline', 'relaxed'] as const;

const HELP = `Usage: acnet bench MODEL [OPTIONS]

Runs an ONNX model as it was exported and with its branches merged, in turn,
on random input. Prints the median of each with the middle half of the times,
the ratio, and the time of each node of the merged form.

Options:
  --runs N             Runs of each form (default ${RUNS})
  --threads N          Threads (default 1)
  --simd KIND          auto, baseline or relaxed (default auto)
  --shape [NAME=]DIMS  Dims of an input, such as 8x3x224x224; needed where the
                       file leaves more than the batch open (repeatable)
  --trace FILE         Write the profile as a Chrome trace too, which
                       chrome://tracing and ui.perfetto.dev show
  --json               Print JSON instead
  --help               Print this
`;

interface Timing {
  readonly milliseconds: number;
  /** A quarter of the runs were faster, a quarter slower. */
  readonly quartiles: readonly [number, number];
}

interface Measured {
  readonly exported: Timing;
  readonly merged: Timing;
  readonly ratio: number;
  readonly profile: readonly StepTime[];
}

export const bench: Command = {
  name: 'bench',
  summary: 'Time a model as exported and merged, node by node',
  help: HELP,
  options: {
    runs: { type: 'string' },
    threads: { type: 'string' },
    simd: { type: 'string' },
    shape: { type: 'string', multiple: true },
    trace: { type: 'string' },
  },
  async run(args, output) {
    const [file] = expectPositionals(args, ['MODEL']) as [string];
    const runs = args.whole('runs', 1, MAX_RUNS) ?? RUNS;
    const threads = args.whole('threads', 1, MAX_THREADS) ?? 1;
    const simd = parseSimd(args.text('simd'));
    const trace = args.text('trace');
    const { graph } = await readGraphFile(file);
    const dims = inputShapes(graph, parseShapes(args.texts('shape'), graph));
    const random = normalTensors(1);
    const feeds = Object.fromEntries(graph.inputs.map((name, i) => [name, random(dims[i]!)]));
    const runtime = await createRuntime({ simd, threads });
    try {
      const measured = await measure(graph, feeds, runtime, runs);
      if (trace !== undefined) {
        const bytes = new TextEncoder().encode(JSON.stringify(toChromeTrace(measured.profile)));
        await writeWhole([{ file: trace, bytes }]);
      }
      report(file, graph, dims, runtime, threads, runs, measured, output);
      if (trace !== undefined) output.lines(['', `Trace written to ${printable(trace)}`]);
      return true;
    } finally {
      runtime.dispose();
    }
  },
};

function parseSimd(text = 'auto'): (typeof SIMD)[number] {
  const simd = SIMD.find((kind) => kind === text);
  if (simd === undefined) throw new UsageError(`--simd must be one of ${SIMD.join(', ')}, got '${text}'`);
  return simd;
}

/** In turn, so that anything else that the machine does slows down both. */
async function measure(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  runtime: Runtime,
  runs: number,
): Promise<Measured> {
  await warmUp(runtime);
  const exported = await InferenceSession.create(graph, { runtime, reparameterize: false });
  const merged = await InferenceSession.create(reparameterize(graph).graph, { runtime, reparameterize: false });
  const resident = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, tensor.to(runtime)]));
  const times = { exported: [] as number[], merged: [] as number[] };
  await withProgress('measuring', runs, async (step) => {
    for (let i = -WARM_UP_RUNS; i < runs; i++) {
      const timed = { exported: timeOf(exported, resident), merged: timeOf(merged, resident) };
      if (i >= 0) {
        times.exported.push(timed.exported);
        times.merged.push(timed.merged);
      }
      await step(Math.max(0, i + 1));
    }
  });
  await breathe();
  const profile = merged.profile(resident, { runs: Math.min(runs, PROFILED_RUNS) });
  const timings = { exported: summarise(times.exported), merged: summarise(times.merged) };
  return { ...timings, ratio: timings.exported.milliseconds / timings.merged.milliseconds, profile };
}

function timeOf(session: InferenceSession, feeds: Readonly<Record<string, Tensor>>): number {
  const start = performance.now();
  const outputs = session.runSync(feeds);
  const time = performance.now() - start;
  for (const tensor of Object.values(outputs)) tensor.dispose();
  return time;
}

function summarise(times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b);
  return { milliseconds: quantile(sorted, 0.5), quartiles: [quantile(sorted, 0.25), quantile(sorted, 0.75)] };
}

/** Interpolates between neighbours. */
function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (place - below) * (sorted[above]! - sorted[below]!);
}

function report(
  file: string,
  graph: Graph,
  dims: readonly (readonly number[])[],
  runtime: Runtime,
  threadsAsked: number,
  runs: number,
  { exported, merged, ratio, profile }: Measured,
  output: Output,
): void {
  const inputs = graph.inputs.map((name, i) => ({ name, dims: dims[i]! }));
  output.json({
    model: file,
    inputs,
    simd: runtime.simd,
    threads: runtime.threads,
    runs,
    exported,
    merged,
    ratio,
    profile: profile.map(({ path: name, ...step }) => ({ name: name || step.output, ...step })),
  });
  const { terminal } = output;
  const row = (title: string, { milliseconds: median, quartiles }: Timing): string[] => [
    title,
    `${milliseconds(median)} ms`,
    quartiles.map(milliseconds).join(' to '),
  ];
  const shapes = inputs.map(({ name, dims: own }) => `${printable(name)} ${showDims(own)}`).join(', ');
  output.lines([
    `${paint(shorten(printable(file), terminal.columns, terminal), 'cyan', terminal)}  ${shapes}`,
    paint(`  ${runtime.simd} SIMD, ${plural(runtime.threads, 'thread')}, ${plural(runs, 'run')}`, 'dim', terminal),
    '',
    ...formatTable(
      [{ title: '' }, { title: 'median', align: 'right' }, { title: 'middle half', align: 'right', isOptional: true }],
      [row('as exported', exported), row('merged', merged)],
      [],
      terminal,
    ),
    '',
    `  Merged it is ${paint(`${ratio.toFixed(2)} times`, 'green', terminal)} as fast.`,
    '',
    paint('Merged, node by node', 'cyan', terminal),
    ...profileTable(profile, terminal),
  ]);
  if (runtime.threads < threadsAsked) {
    const { reason = 'there are no more' } = runtime.capabilities.threads;
    output.complain(`--threads: ${plural(runtime.threads, 'thread')} instead of ${threadsAsked}: ${printable(reason)}`);
  }
}

function profileTable(profile: readonly StepTime[], terminal: Terminal): string[] {
  const total = profile.reduce((sum, step) => sum + step.milliseconds, 0);
  const multiplyAdds = profile.reduce((sum, step) => sum + step.multiplyAdds, 0);
  const speed = (products: number, time: number): string =>
    products === 0 || time === 0 ? '' : ((2 * products) / time / 1e6).toFixed(1);
  return formatTable(
    [
      { title: 'node', least: 24 },
      { title: 'op', isOptional: true },
      { title: 'kernel', isOptional: true },
      { title: 'output', isOptional: true },
      { title: 'ms', align: 'right' },
      { title: 'share', align: 'right' },
      { title: 'GF/s', align: 'right' },
    ],
    profile.map((step) => [
      printable(step.path || step.output),
      step.op,
      step.algorithm ?? '',
      showDims(step.dims),
      step.milliseconds.toFixed(3),
      `${(100 * step.share).toFixed(1)} %`,
      speed(step.multiplyAdds, step.milliseconds),
    ]),
    [[plural(profile.length, 'step'), '', '', '', total.toFixed(3), '', speed(multiplyAdds, total)]],
    terminal,
  );
}
