/**
 * All that a run needs to go on, in one safetensors file: the tensors `model.*`, `optimizer.*` and, where there is one,
 * `average.*`; and how far the run is, as JSON under `acnet.train` of the metadata. There is no random state beside the
 * seed (random.ts).
 */
import { FormatError, readSafetensors, type StateDict, writeSafetensors } from '../index.js';
import { show } from '../shown.js';

/** How far a run is. */
export interface Progress {
  /** Epochs that are done. */
  readonly epoch: number;
  /** Batches of the epoch that is not. */
  readonly batch: number;
  /** Of their losses. */
  readonly lossSum: number;
  readonly best: Best | undefined;
}

/** The best epoch on the validation images. */
export interface Best {
  /** From 1. */
  readonly epoch: number;
  readonly accuracy: number;
  readonly loss: number;
}

/** What must be the same for a run to go on as if nothing had been. */
export interface RunIdentity {
  readonly seed: number;
  readonly batchSize: number;
  /** Number of images. */
  readonly images: number;
  readonly classes: readonly string[];
  readonly dims: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface Checkpoint {
  readonly identity: RunIdentity;
  readonly progress: Progress;
  readonly model: StateDict;
  readonly optimizer: StateDict;
  readonly average: StateDict | undefined;
}

const KEY = 'acnet.train';
const VERSION = 1;
const PARTS = ['model', 'optimizer', 'average'] as const;

export function writeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const { identity, progress } = checkpoint;
  const tensors = PARTS.flatMap((part) =>
    Object.entries(checkpoint[part] ?? {}).map(([key, tensor]) => [`${part}.${key}`, tensor] as const),
  );
  return writeSafetensors(Object.fromEntries(tensors), {
    [KEY]: JSON.stringify({ version: VERSION, ...identity, ...progress, averages: checkpoint.average !== undefined }),
  });
}

/** A model's state by itself, with what its input takes and its outputs are, as `acnet run` looks for them. */
export function writeState(state: StateDict, identity: RunIdentity): Uint8Array<ArrayBuffer> {
  return writeSafetensors(state, stateMetadata(identity));
}

export function stateMetadata({ classes, mean, std }: RunIdentity): Record<string, string> {
  const texts = Object.entries({ classes, mean, std }).map(([key, value]) => [key, JSON.stringify(value)]);
  return Object.fromEntries(texts);
}

/** Whether a file's metadata say that it is such a checkpoint. */
export function isTrainingCheckpoint(metadata: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(metadata, KEY);
}

/** @throws FormatError when the file is damaged or no checkpoint of a run */
export function readTrainingCheckpoint(bytes: Uint8Array | ArrayBuffer): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes);
  const { averages, identity, progress } = readMetadata(metadata[KEY]);
  const part = (name: (typeof PARTS)[number]): StateDict =>
    Object.fromEntries(
      Object.entries(tensors).flatMap(([key, tensor]) =>
        key.startsWith(`${name}.`) ? [[key.slice(name.length + 1), tensor]] : [],
      ),
    );
  const average = averages ? part('average') : undefined;
  return { identity, progress, model: part('model'), optimizer: part('optimizer'), average };
}

function readMetadata(text: string | undefined) {
  if (text === undefined) {
    throw new FormatError(`readTrainingCheckpoint: expected a checkpoint of a run, got a file without ${KEY}`, 0);
  }
  const value = parse(text);
  const { version, averages, seed, batchSize, images, classes, dims, mean, std, epoch, batch, lossSum, best } = value;
  if (version !== VERSION) throw broken(`version must be ${VERSION}`, version);
  return {
    averages: averages === true,
    identity: {
      seed: count('seed', seed),
      batchSize: count('batchSize', batchSize),
      images: count('images', images),
      classes: list('classes', classes, (name) => typeof name === 'string') as string[],
      dims: list('dims', dims, isNumber) as number[],
      mean: list('mean', mean, isNumber) as number[],
      std: list('std', std, isNumber) as number[],
    },
    progress: {
      epoch: count('epoch', epoch),
      batch: count('batch', batch),
      lossSum: number('lossSum', lossSum),
      best: best === undefined ? undefined : readBest(best),
    },
  };
}

function readBest(value: unknown): Best {
  const { epoch, accuracy, loss } = Object(value) as Record<string, unknown>;
  return {
    epoch: count('best.epoch', epoch),
    // In the order in which a run that never stopped has them, for the same bytes.
    loss: number('best.loss', loss),
    accuracy: number('best.accuracy', accuracy),
  };
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    throw broken('expected JSON', text);
  }
}

function count(name: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw broken(`${name} must be a whole number`, value);
}

function number(name: string, value: unknown): number {
  if (isNumber(value)) return value;
  throw broken(`${name} must be a finite number`, value);
}

function list(name: string, value: unknown, isExpected: (item: unknown) => boolean): unknown[] {
  if (Array.isArray(value) && value.every(isExpected)) return value;
  throw broken(`${name} must be an array`, value);
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function broken(expected: string, value: unknown): FormatError {
  return new FormatError(`readTrainingCheckpoint: ${KEY}: ${expected}, got ${show(value)}`, 0);
}
