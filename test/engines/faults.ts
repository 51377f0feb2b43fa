/**
 * Worker threads that die, fail or hang when a test says so, in any engine. The package knows nothing of it: the
 * constructors of workers are replaced, so that scripts begin with the text below and setups have a few more words of
 * shared memory.
 */

/** What happens to a worker in the middle of the next chunk that one takes. */
export type Fault = 'die' | 'fail' | 'stall';
/** What becomes of a worker that is started. */
export type Start = 'well' | 'dies' | 'hangs';

/** Words shared with the workers. */
const FAULT = 0;
const MET = 1;
const RESUMED = 2;
const MILLISECONDS = 3;
const WORDS = 16;
/** How long a worker goes on writing after it hung. */
const WRITING_MILLISECONDS = 1_000;
const FAULTS: readonly Fault[] = ['die', 'fail', 'stall'];

interface FaultyWorker {
  terminate(): unknown;
}
type WorkerClass = new (script: never, options: object) => FaultyWorker & { postMessage(message: object): void };

/** Where the package finds Node's worker threads. */
interface NodeModules {
  process?: { getBuiltinModule?: (name: string) => { Worker: WorkerClass } };
}

export class Faults {
  /** All workers that were made, in order. */
  readonly workers: FaultyWorker[] = [];
  /** Requests to end workers while they had to wait, as with a thread that the system does not run. */
  readonly heldEnds: (() => void)[] = [];
  holdsEnds = false;
  start: Start = 'well';
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  readonly #undo: () => void;

  readonly #kernels: readonly string[];

  /**
   * From now on, until `restore`, the package's workers are faulty ones.
   * @param kernels that fail; all take a range as their arguments 5 and 6
   */
  constructor(kernels: readonly string[] = ['conv2d', 'depthwiseConv2d', 'winogradConv2d']) {
    this.#kernels = kernels;
    const scope = globalThis as unknown as { Worker?: WorkerClass };
    const owner = scope.Worker === undefined ? (globalThis as NodeModules).process!.getBuiltinModule!(NODE) : scope;
    const { Worker } = owner;
    const { createObjectURL } = URL;
    owner.Worker = this.#faulty(Worker!);
    URL.createObjectURL = (blob) => createObjectURL.call(URL, new Blob([this.#prelude(), blob as Blob], blob as Blob));
    this.#undo = () => {
      owner.Worker = Worker!;
      URL.createObjectURL = createObjectURL;
    };
  }

  /** Makes the next chunk that a worker takes meet the fault. */
  arm(fault: Fault, milliseconds = 0): void {
    this.#words[MILLISECONDS] = milliseconds;
    Atomics.store(this.#words, FAULT, FAULTS.indexOf(fault) + 1);
  }

  disarm(): void {
    Atomics.store(this.#words, FAULT, 0);
  }

  /** Faults that workers have met. */
  get met(): number {
    return Atomics.load(this.#words, MET);
  }

  /** Stalls after which workers have gone on. */
  get resumed(): number {
    return Atomics.load(this.#words, RESUMED);
  }

  restore(): void {
    this.#undo();
  }

  #faulty(Worker: WorkerClass): WorkerClass {
    const faults = this;
    const words = this.#words;
    return class extends Worker {
      constructor(script: never, options: { eval?: boolean }) {
        super((options.eval === true ? faults.#prelude() + script : script) as never, options);
        faults.workers.push(this);
      }

      override postMessage(message: object): void {
        super.postMessage({ ...message, faults: words });
      }

      override terminate(): unknown {
        if (!faults.holdsEnds) return super.terminate();
        faults.heldEnds.push(() => super.terminate());
        return undefined;
      }
    };
  }

  #prelude(): string {
    const start = { well: '', dies: 'die();', hangs: 'sleep(new Int32Array(new SharedArrayBuffer(4)), 0, 0);' };
    return `(() => {
      let faults;
      const { wait: sleep } = Atomics;
      const die = () => {
        if (typeof process === 'object') process.exit();
        else close();
      };
      ${start[this.start]}
      const meet = (kernel, args) => {
        const fault = faults === undefined ? 0 : Atomics.exchange(faults, ${FAULT}, 0);
        if (fault === 0) return kernel(...args);
        const middle = (args[5] + args[6]) >> 1;
        kernel(...args.slice(0, 6), middle, ...args.slice(7));
        Atomics.add(faults, ${MET}, 1);
        if (fault === 1) {
          die();
          // A browser's worker ends no earlier than its script does.
          sleep(faults, ${WORDS - 1}, 0);
        }
        if (fault === 2) throw new Error('this kernel fails');
        const end = performance.now() + faults[${MILLISECONDS}];
        while (performance.now() < end) sleep(faults, ${WORDS - 1}, 0, end - performance.now());
        // Wrong values, so that they show wherever they are read.
        while (performance.now() < end + ${WRITING_MILLISECONDS}) kernel(args[0], args[1] + 4, ...args.slice(2));
        Atomics.add(faults, ${RESUMED}, 1);
      };
      const { Instance } = WebAssembly;
      WebAssembly.Instance = function (...args) {
        const exports = { ...new Instance(...args).exports };
        for (const name of ${JSON.stringify(this.#kernels)}) {
          const kernel = exports[name];
          if (kernel !== undefined) exports[name] = (...args) => meet(kernel, args);
        }
        return { exports };
      };
      const listen = (setup) => { faults = setup.faults; };
      if (typeof WorkerGlobalScope === 'function') addEventListener('message', ({ data }) => listen(data));
      else process.getBuiltinModule('${NODE}').parentPort.once('message', listen);
    })();
    `;
  }
}

const NODE = 'node:worker_threads';
