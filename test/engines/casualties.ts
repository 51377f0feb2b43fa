/**
 * Worker threads that die, fail or hang, in any engine: no value is ever wrong, sessions finish by themselves, nothing
 * in use is overwritten, and `threads` is right afterwards.
 */
import type * as acnet from 'acnet-wasm';
import { type Fault, Faults, type Start } from './faults.js';

export type Package = Pick<typeof acnet, 'Conv2d' | 'createRuntime' | 'InferenceSession' | 'Sequential' | 'Tensor'>;

/** What one case cost. */
export interface Casualty {
  readonly name: string;
  /** Empty if all is well. */
  readonly complaints: readonly string[];
  /** How long the call that met the fault took. */
  readonly milliseconds: number;
  /** `runtime.threads`, and why there are no more, right after that call and later. */
  readonly after: string;
  readonly later: string;
}

const CHANNELS = 64;
const SIZE = 40;
/** Runs until a worker has got a chunk at last: with few cores the main thread may compute all of them. */
const MAX_RUNS = 500;
const MAX_WAIT_MILLISECONDS = 20_000;
/** Tensors that are filled while a worker hangs. */
const BYSTANDERS = 12;

/** All cases, one after the other. @param stall milliseconds that a worker hangs in the middle of a chunk */
export async function runCasualties(pkg: Package, threads: number, stall: number): Promise<Casualty[]> {
  const cases: Casualty[] = [];
  for (const fault of ['die', 'fail', 'stall'] as const) cases.push(await meetFault(pkg, threads, fault, stall));
  cases.push(await killBetweenRuns(pkg, threads));
  for (const start of ['dies', 'hangs'] as const) cases.push(await failAtStart(pkg, threads, start));
  return cases;
}

async function meetFault(pkg: Package, threads: number, fault: Fault, stall: number): Promise<Casualty> {
  const patient = await Patient.admit(pkg, threads);
  const { faults, runtime } = patient;
  const used = runtime.memory.used;
  faults.arm(fault, stall);
  // As when the system does not run the thread: it cannot end before it continues.
  faults.holdsEnds = fault === 'stall';
  let milliseconds = 0;
  for (let i = 0; i < MAX_RUNS && faults.met === 0; i++) milliseconds = await patient.run(`${fault}, run ${i}`);
  patient.expect(faults.met === 1, 'no worker met the fault');
  const after = describe(runtime);
  if (fault === 'stall') {
    const bystanders = patient.fillMemory();
    while (faults.resumed === 0 && (await patient.isWaiting())) await patient.run('while a worker stands still');
    patient.expect(faults.resumed === 1, 'the worker did not go on');
    await patient.run('after the worker went on');
    patient.checkMemory(bystanders);
    faults.holdsEnds = false;
    for (const end of faults.heldEnds) end();
  }
  while ((runtime.threads !== threads || runtime.memory.used !== used) && (await patient.isWaiting()));
  const later = describe(runtime);
  patient.expect(runtime.threads === threads, `later there are ${later}`);
  patient.expect(runtime.memory.used === used, `${runtime.memory.used - used} bytes more are in use`);
  await patient.run('with a new pool');
  return patient.discharge(`${fault}s while it computes`, milliseconds, after, later);
}

async function killBetweenRuns(pkg: Package, threads: number): Promise<Casualty> {
  const patient = await Patient.admit(pkg, threads);
  const { faults, runtime } = patient;
  faults.workers[0]!.terminate();
  const milliseconds = await patient.run('at once after the end');
  const after = describe(runtime);
  // An engine may take seconds to end a thread without reporting it: the thread computes until then.
  for (let i = 0; i < 40; i++) {
    await pause(50);
    await patient.run('after the end');
  }
  while (runtime.threads !== threads && (await patient.isWaiting()));
  const later = describe(runtime);
  patient.expect(runtime.threads === threads, `later there are ${later}`);
  await patient.run('with a new pool');
  return patient.discharge('killed between runs', milliseconds, after, later);
}

async function failAtStart(pkg: Package, threads: number, start: Start): Promise<Casualty> {
  const patient = await Patient.admit(pkg, threads, start);
  const after = describe(patient.runtime);
  patient.expect(patient.runtime.threads === 1, `there are ${after}`);
  patient.expect(patient.runtime.capabilities.threads.reason !== undefined, 'there is no reason');
  await patient.run('with one thread');
  return patient.discharge(`${start} at start`, patient.startMilliseconds, after, describe(patient.runtime));
}

/** A session with faulty workers. */
class Patient {
  readonly startMilliseconds: number;
  readonly faults: Faults;
  readonly runtime: acnet.Runtime;
  readonly #pkg: Package;
  readonly #session: acnet.InferenceSession;
  readonly #input: acnet.Tensor;
  readonly #expected: Float32Array;
  readonly #complaints: string[] = [];
  readonly #since = performance.now();

  private constructor(
    pkg: Package,
    faults: Faults,
    runtime: acnet.Runtime,
    startMilliseconds: number,
    session: acnet.InferenceSession,
    input: acnet.Tensor,
    expected: Float32Array,
  ) {
    this.#pkg = pkg;
    this.faults = faults;
    this.runtime = runtime;
    this.startMilliseconds = startMilliseconds;
    this.#session = session;
    this.#input = input;
    this.#expected = expected;
  }

  static async admit(pkg: Package, threads: number, start: Start = 'well'): Promise<Patient> {
    const input = new pkg.Tensor('float32', wave(CHANNELS * SIZE * SIZE, 1), [1, CHANNELS, SIZE, SIZE]);
    const alone = await pkg.createRuntime({ simd: 'baseline' });
    const net = network(pkg, alone);
    const expected = net.forward(input).data;
    const state = net.stateDict();
    alone.dispose();
    const faults = new Faults();
    faults.start = start;
    const since = performance.now();
    const runtime = await pkg.createRuntime({ simd: 'baseline', threads });
    const startMilliseconds = performance.now() - since;
    const given = network(pkg, runtime).loadStateDict(state);
    const session = await pkg.InferenceSession.create(given, { runtime });
    given.dispose();
    const patient = new Patient(pkg, faults, runtime, startMilliseconds, session, input, expected);
    if (start === 'well') patient.expect(runtime.threads === threads, `there are ${describe(runtime)}`);
    await patient.run('at first');
    return patient;
  }

  expect(holds: boolean, complaint: string): void {
    if (!holds) this.#complaints.push(complaint);
  }

  /** Runs the session once, checks its bits, returns how long it took. */
  async run(when: string): Promise<number> {
    const since = performance.now();
    try {
      const given = new this.#pkg.Tensor('float32', this.#input.data.slice(), this.#input.dims);
      const running = this.#session.run({ [this.#session.inputNames[0]!]: given });
      // What the caller does with it from now on must not affect the run, however often that is repeated.
      given.data.fill(0);
      const { data } = Object.values(await running)[0]!;
      this.expect(sameBits(data, this.#expected), `wrong values ${when}`);
    } catch (error) {
      this.expect(false, `${when}: ${String(error)}`);
    }
    return performance.now() - since;
  }

  /** Allocates memory of the sizes that the session uses, including all that was freed. */
  fillMemory(): acnet.Tensor[] {
    return Array.from({ length: BYSTANDERS }, (_, i) => this.#bystander(i).to(this.runtime));
  }

  checkMemory(bystanders: readonly acnet.Tensor[]): void {
    bystanders.forEach((tensor, i) => {
      this.expect(sameBits(tensor.data, this.#bystander(i).data), `bystander ${i} was overwritten`);
      tensor.dispose();
    });
  }

  /** False if it took too long. */
  async isWaiting(): Promise<boolean> {
    await pause(10);
    return performance.now() - this.#since < MAX_WAIT_MILLISECONDS;
  }

  async discharge(name: string, milliseconds: number, after: string, later: string): Promise<Casualty> {
    await this.#session.release();
    this.expect(this.runtime.memory.used === 0, `${this.runtime.memory.used} bytes are left after release`);
    this.runtime.dispose();
    this.faults.restore();
    return { name, complaints: this.#complaints, milliseconds, after, later };
  }

  #bystander(i: number): acnet.Tensor {
    return new this.#pkg.Tensor('float32', wave(CHANNELS * SIZE * SIZE, i + 2), [1, CHANNELS, SIZE, SIZE]);
  }
}

function network(pkg: Package, runtime: acnet.Runtime): acnet.Sequential {
  const options = { inChannels: CHANNELS, outChannels: CHANNELS, kernelSize: 3, padding: 1 };
  return new pkg.Sequential(runtime, [new pkg.Conv2d(runtime, options), new pkg.Conv2d(runtime, options)]).eval();
}

function wave(length: number, frequency: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * frequency));
}

function describe({ threads, capabilities }: acnet.Runtime): string {
  const { reason } = capabilities.threads;
  return reason === undefined ? `${threads} threads` : `${threads} thread: ${reason}`;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
