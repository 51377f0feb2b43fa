/** What tests of `acnet train` and of commands built on it share: a small trainer, images, and captured output. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArguments } from '../src/cli/arguments.js';
import type { Command, Output } from '../src/cli/command.js';
import { type Layer, Tensor } from '../src/index.js';
import type { Steps, TrainerOptions } from '../src/train/trainOptions.js';
import { seededRandom } from './support.js';

export const TERMINAL = { isTTY: false, isDumb: false, columns: 100, colour: false, unicode: false };
const BIAS = 'linear2.bias';

/** Steepest descent on the biases of the last layer; the rest of the network stays, except running statistics. */
export class BiasTrainer implements Steps {
  lr: number;
  readonly #model: Layer;

  constructor(model: Layer, options: TrainerOptions) {
    this.#model = model;
    this.lr = options.lr;
  }

  step(input: Tensor, labels: ArrayLike<number>): number {
    const { loss, gradient } = this.#run(input, labels);
    const state = this.#model.stateDict();
    const bias = Float32Array.from(state[BIAS]!.data, (value, i) => value - this.lr * gradient[i]!);
    this.#model.loadStateDict({ ...state, [BIAS]: new Tensor('float32', bias, [bias.length]) });
    return loss;
  }

  evaluate(input: Tensor, labels: ArrayLike<number>): { loss: number; correct: number } {
    return this.#run(input, labels);
  }

  stateDict() {
    return { nothing: new Tensor('float32', [0], [1]) };
  }

  loadStateDict(): void {}

  dispose(): void {}

  #run(input: Tensor, labels: ArrayLike<number>) {
    const output = this.#model.forward(input);
    const { data, dims } = output;
    output.dispose();
    const classes = dims[1]!;
    const gradient = new Array<number>(classes).fill(0);
    let loss = 0;
    let correct = 0;
    for (let i = 0; i < labels.length; i++) {
      const row = data.subarray(i * classes, (i + 1) * classes);
      const largest = Math.max(...row);
      const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
      row.forEach((value, j) => {
        gradient[j]! += (Math.exp(value - largest) / sum - (j === labels[i] ? 1 : 0)) / labels.length;
      });
      loss += (Math.log(sum) + largest - row[labels[i]!]!) / labels.length;
      if (row.indexOf(largest) === labels[i]) correct++;
    }
    return { loss, correct, gradient };
  }
}

export interface Told {
  readonly lines: string[];
  readonly events: { readonly type: string; readonly [key: string]: unknown }[];
  readonly complaints: string[];
  readonly error: Error | undefined;
}

/** Runs a command as it is called. */
export async function call(
  command: Command,
  args: readonly string[],
  onEvent: (event: Told['events'][number]) => void = () => {},
): Promise<Told> {
  const told = { lines: [] as string[], events: [] as Told['events'], complaints: [] as string[] };
  const output: Output = {
    terminal: TERMINAL,
    isJson: false,
    lines: (lines) => told.lines.push(...lines),
    json: () => {},
    jsonLine: (value) => {
      const event = JSON.parse(JSON.stringify(value));
      told.events.push(event);
      onEvent(event);
    },
    complain: (message) => told.complaints.push(message),
  };
  let error: Error | undefined;
  try {
    await command.run(parseArguments(args, { ...command.options, json: { type: 'boolean' } }), output);
  } catch (reason) {
    error = reason as Error;
  }
  return { ...told, error };
}

/** 70 training and 20 test images of three classes, most of the first, as IDX files. */
function writeImages(folder: string): void {
  const random = seededRandom(2);
  const header = (...words: number[]): Buffer => {
    const bytes = Buffer.alloc(4 * words.length);
    for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 * i);
    return bytes;
  };
  for (const [prefix, size] of [
    ['train', 70],
    ['t10k', 20],
  ] as const) {
    const pixels = Buffer.from(Uint8Array.from({ length: size * 784 }, () => 256 * random()));
    const labels = Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i % 4 === 1 ? 1 : i % 8 === 2 ? 2 : 0)));
    writeFileSync(
      path.join(folder, `${prefix}-images-idx3-ubyte`),
      Buffer.concat([header(0x803, size, 28, 28), pixels]),
    );
    writeFileSync(path.join(folder, `${prefix}-labels-idx1-ubyte`), Buffer.concat([header(0x801, size), labels]));
  }
}

export async function withFolders(
  body: (data: string, place: (name: string) => string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-run-'));
  const data = mkdtempSync(path.join(tmpdir(), 'acnet-images-'));
  try {
    writeImages(data);
    await body(data, (name) => path.join(folder, name));
  } finally {
    rmSync(folder, { recursive: true });
    rmSync(data, { recursive: true });
  }
}
