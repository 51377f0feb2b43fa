/**
 * The fixture tests, for any engine: no node:, no DOM, no global of one engine. They get the package and a function
 * that reads a file of the repository, and return a plain report. shell.ts runs it in Node, Deno and Bun, page.ts in
 * browsers, run.mjs compares the reports.
 */
import type * as acnet from 'acnet-wasm';
import { Fnv1a } from './hash.js';
import { NETWORKS, type Package as TrainingPackage, trainingHash } from './trainingRuns.js';

export type Package = typeof acnet;
/** Reads one file of the repository, by its path from the root. */
export type Load = (path: string) => Promise<Uint8Array>;

/** Written by run.mjs, which alone can list folders. */
export interface FixtureList {
  /** Paths of single-block fixtures. */
  blocks: string[];
  /** Paths of lenet5bn state dicts and of their recorded inputs and outputs, and the form that was trained. */
  networks: { state: string; io: string; form: 'train' | 'base' }[];
}

export interface Report {
  /** The SIMD builds that ran. */
  builds: Build[];
  passed: number;
  failed: number;
  /** One line for each check that failed. */
  failures: string[];
  /** Over every output of the baseline build: equal in all engines. */
  hash: string;
  /** The same for each output alone, to find the one that differs. */
  hashes: Record<string, string>;
}

type Build = 'baseline' | 'relaxed';

/** Where run.mjs writes the FixtureList. */
export const LIST = 'build/engines/list.json';

// Largest error allowed, relative to the largest magnitude in the reference tensor, or to FLOOR if that is smaller.
const EVAL_TOLERANCE = 5e-6;
const TRAIN_TOLERANCE = 2e-5;
const STATISTICS_TOLERANCE = 1e-6;
const FUSED_TOLERANCE = 1e-6;
const LOGITS_TOLERANCE = 2e-5;
const FLOOR = 0.01;
/** Steps of training of each network. */
const TRAINING_STEPS = 6;
// Deploy against train form on the [1, 2, 62, 62] inputs: PyTorch's float32 forms differ by 1.3e-9 to 4.5e-9.
const SUM_OF_SQUARES = 5e-9;

/**
 * Runs every fixture on every build that the engine has.
 *
 * @param bundled the package as a bundler leaves it, which also trains
 * @param plain the package's dist/index.js as it is, whose worker script lies beside it: runs the first fixture and the
 * networks with two threads, and trains with them, for the same bits
 */
export async function runSuite(bundled: TrainingPackage, plain: TrainingPackage, load: Load): Promise<Report> {
  const list: FixtureList = JSON.parse(new TextDecoder().decode(await load(LIST)));
  const [firstBlock] = list.blocks;
  if (firstBlock === undefined || list.networks.length === 0) throw new Error('the list of fixtures is empty');
  const baseline = new Checks();
  await runBuild(bundled, 'baseline', baseline, list, load);
  for (const name of Object.keys(NETWORKS)) await checkTraining(bundled, plain, baseline, name);

  const unbundled = new Checks();
  const few = { blocks: [firstBlock], networks: list.networks };
  await runBuild(plain, 'baseline', unbundled, few, load, 2);
  for (const [name, digest] of Object.entries(unbundled.hashes)) {
    unbundled.check(`${name} has the same bits`, baseline.hashes[name] === digest ? '' : 'it differs from the bundle');
  }

  const builds: Build[] = ['baseline'];
  const relaxed = new Checks();
  // Asked of the engine, not of the package: a package that no longer finds the feature must not pass by skipping it.
  if (WebAssembly.validate(RELAXED_MADD)) {
    builds.push('relaxed');
    await runBuild(bundled, 'relaxed', relaxed, list, load);
  }

  const failures = [
    ...baseline.failures.map((line) => `baseline ${line}`),
    ...unbundled.failures.map((line) => `without a bundler, with two threads ${line}`),
    ...relaxed.failures.map((line) => `relaxed ${line}`),
  ];
  const passed = baseline.passed + unbundled.passed + relaxed.passed;
  return { builds, passed, failed: failures.length, failures, hash: baseline.hash(), hashes: baseline.hashes };
}

// (module (func (result v128) three times i8x16.splat of 0, then f32x4.relaxed_madd))
const RELAXED_MADD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 11],
);

async function runBuild(
  pkg: Package,
  simd: Build,
  checks: Checks,
  list: FixtureList,
  load: Load,
  threads = 1,
): Promise<void> {
  let runtime: acnet.Runtime;
  try {
    runtime = await pkg.createRuntime({ simd, threads });
  } catch (error) {
    checks.check('createRuntime', String(error));
    return;
  }
  checks.check('createRuntime', runtime.simd === simd ? '' : `asked for ${simd}, got ${runtime.simd}`);
  const { reason = 'no reason' } = runtime.capabilities.threads;
  checks.check('threads', runtime.threads === threads ? '' : `${runtime.threads} instead of ${threads}: ${reason}`);
  let used: number | undefined;
  for (const path of list.blocks) {
    const bytes = await load(path);
    checks.guard(baseName(path), (name) => checkBlock(pkg, runtime, checks, name, bytes));
    // After the first block the runtime has all that it keeps for itself.
    used ??= runtime.memory.used;
  }
  for (const { state, io, form } of list.networks) {
    const [stateBytes, ioBytes] = [await load(state), await load(io)];
    checks.guard(baseName(state), (name) => checkNetwork(pkg, runtime, checks, name, form, stateBytes, ioBytes));
  }
  const left = runtime.memory.used - (used ?? 0);
  checks.check('memory', left === 0 ? '' : `${left} bytes are in use after everything was disposed of`);
  runtime.dispose();
}

async function checkTraining(
  bundled: TrainingPackage,
  plain: TrainingPackage,
  checks: Checks,
  network: string,
): Promise<void> {
  const name = `training ${network}`;
  try {
    const [one, two] = [
      await trainingHash(bundled, network, { simd: 'baseline', threads: 1, steps: TRAINING_STEPS }),
      await trainingHash(plain, network, { simd: 'baseline', threads: 2, steps: TRAINING_STEPS }),
    ];
    checks.note(name, one);
    checks.check(name, one === two ? '' : 'two threads give other bits than one');
  } catch (error) {
    checks.check(name, describe(error));
  }
}

function checkBlock(pkg: Package, runtime: acnet.Runtime, checks: Checks, name: string, bytes: Uint8Array): void {
  const { tensors, metadata } = pkg.readSafetensors(bytes);
  const config = JSON.parse(metadata.config!) as acnet.ACBlockOptions;
  const state = withPrefix(tensors, 'state.');
  const input = tensors.input!;

  const block = new pkg.ACBlock(runtime, config).loadStateDict(state).eval();
  const evalOutput = take(block.forward(input));
  checks.close(`${name} output_eval`, evalOutput, tensors.output_eval!, EVAL_TOLERANCE);
  const fused = block.equivalentKernelBias();
  checks.close(`${name} fused.weight`, take(fused.weight), tensors['fused.weight']!, FUSED_TOLERANCE);
  checks.close(`${name} fused.bias`, take(fused.bias), tensors['fused.bias']!, FUSED_TOLERANCE);

  const trainOutput = take(block.train().forward(input));
  checks.close(`${name} output_train`, trainOutput, tensors.output_train!, TRAIN_TOLERANCE);
  const after = block.stateDict();
  const expected = withPrefix(tensors, 'after.');
  if (Object.keys(expected).length === 0) checks.check(`${name} after`, 'the fixture has no running statistics');
  for (const [key, tensor] of Object.entries(expected)) {
    checks.close(`${name} after.${key}`, take(after[key]!, false), tensor, STATISTICS_TOLERANCE);
  }
  for (const tensor of Object.values(after)) tensor.dispose();

  block.loadStateDict(state).eval().switchToDeploy();
  const deployOutput = take(block.forward(input));
  checks.close(`${name} deploy`, deployOutput, tensors.output_eval!, EVAL_TOLERANCE);
  if (input.dims.join() === '1,2,62,62') {
    const sum = sumOfSquares(evalOutput.data, deployOutput.data);
    checks.check(`${name} deploy against train form`, sum <= SUM_OF_SQUARES ? '' : `sum of squares is ${sum}`);
  }
  block.dispose();
}

function checkNetwork(
  pkg: Package,
  runtime: acnet.Runtime,
  checks: Checks,
  name: string,
  form: 'train' | 'base',
  stateBytes: Uint8Array,
  ioBytes: Uint8Array,
): void {
  const { input, output } = pkg.readSafetensors(ioBytes).tensors;
  const model = pkg.lenet5bn(runtime, { form });
  model.loadStateDict(pkg.readSafetensors(stateBytes).tensors);
  model.eval();
  checks.close(`${name} logits as trained`, take(model.forward(input!)), output!, LOGITS_TOLERANCE);
  model.switchToDeploy();
  checks.close(`${name} logits fused`, take(model.forward(input!)), output!, LOGITS_TOLERANCE);
  model.dispose();
}

/** What is left of a tensor once its memory is given back. */
interface Taken {
  dims: readonly number[];
  data: Float32Array;
}

function take(tensor: acnet.Tensor, dispose = true): Taken {
  const taken = { dims: [...tensor.dims], data: Float32Array.from(tensor.data as Float32Array) };
  if (dispose) tensor.dispose();
  return taken;
}

/** Counts checks, and hashes what they looked at. */
class Checks {
  passed = 0;
  readonly failures: string[] = [];
  readonly hashes: Record<string, string> = {};
  private readonly all = new Fnv1a();

  /** An empty complaint is a pass. */
  check(name: string, complaint: string): void {
    if (complaint === '') this.passed++;
    else this.failures.push(`${name}: ${complaint}`);
  }

  /** A fixture that throws is one failure; the others still run. */
  guard(name: string, body: (name: string) => void): void {
    try {
      body(name);
    } catch (error) {
      this.check(name, describe(error));
    }
  }

  /** A hash that must be equal in all engines. */
  note(name: string, hash: string): void {
    this.hashes[name] = hash;
    this.all.update(new TextEncoder().encode(hash));
  }

  close(name: string, actual: Taken, expected: acnet.Tensor, tolerance: number): void {
    const bytes = new Uint8Array(actual.data.buffer, actual.data.byteOffset, actual.data.byteLength);
    this.all.update(bytes);
    this.hashes[name] = new Fnv1a().update(bytes).digest();
    if (actual.dims.join() !== expected.dims.join()) {
      this.check(name, `dims are [${actual.dims}], expected [${expected.dims}]`);
      return;
    }
    const error = relativeError(actual.data, expected.data as Float32Array);
    this.check(name, error <= tolerance ? '' : `largest error is ${error}, allowed ${tolerance}`);
  }

  hash(): string {
    return this.all.digest();
  }
}

/** The message and the first calls of the stack, which engines write in two ways. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const calls = (error.stack ?? '').split('\n').filter((line) => line.includes(':') && !line.includes(error.message));
  return [String(error), ...calls.slice(0, 3)].join('\n');
}

/** NaN anywhere makes the result NaN, which no tolerance admits. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  let scale = FLOOR;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]!));
    largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!));
  }
  return largest / scale;
}

function sumOfSquares(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

function withPrefix(tensors: acnet.StateDict, prefix: string): acnet.StateDict {
  const found: acnet.StateDict = {};
  for (const [key, tensor] of Object.entries(tensors)) {
    if (key.startsWith(prefix)) found[key.slice(prefix.length)] = tensor;
  }
  return found;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.safetensors$/, '');
}
