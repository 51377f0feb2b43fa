/** Model files of every kind, and the shapes of what goes into them. */
import path from 'node:path';
import { fileKind } from '../bytes/sniff.js';
import {
  type CheckpointSelection,
  type Graph,
  loadOnnx,
  readCheckpoint,
  readOnnx,
  readSafetensors,
  type StateDict,
} from '../index.js';
import { sizeOf } from '../sizes.js';
import { isTrainingCheckpoint, readTrainingCheckpoint, stateMetadata } from '../train/checkpoint.js';
import { CommandError, messageOf, UsageError } from './errors.js';
import { readHead, readWhole } from './files.js';
import { showDims } from './table.js';
import { printable } from './terminal.js';

export interface GraphFile {
  readonly kind: 'onnx';
  readonly bytes: number;
  readonly graph: Graph;
}

export interface CheckpointFile {
  readonly kind: 'pth' | 'safetensors';
  readonly bytes: number;
  readonly state: StateDict;
  readonly metadata: Readonly<Record<string, string>>;
  /** Which state was taken, and which others the file holds. */
  readonly selection: CheckpointSelection;
}

/** Values of an input that a file may declare: a hundred photos as networks take them. */
const MAX_DECLARED = 2 ** 24;
/** Values of one input that may be asked for; more do not fit into a runtime's memory with anything else. */
const MAX_ASKED = 2 ** 28;
/** Enough to tell what a file is. */
const HEAD_BYTES = 256;
const DIMS = /^\d+(x\d+)*$/i;

/** What a name says about a file's format; undefined if it says nothing. */
export function formatOfName(file: string): 'onnx' | 'pth' | 'safetensors' | undefined {
  switch (path.extname(file).toLowerCase()) {
    case '.onnx':
      return 'onnx';
    case '.safetensors':
      return 'safetensors';
    case '.pth':
    case '.pt':
    case '.ckpt':
    case '.tar':
    case '.bin':
      return 'pth';
    default:
      return undefined;
  }
}

/** @param select which state of a checkpoint to take */
export async function readModelFile(file: string, select?: string): Promise<GraphFile | CheckpointFile> {
  if (file === '-') return readModelBytes(file, await readWhole(file), select);
  const { head, bytes } = await readHead(file, HEAD_BYTES);
  if (isCheckpoint(file, head)) return readModelBytes(file, await readWhole(file), select);
  if (select !== undefined) throw new UsageError('--select is for checkpoints; an ONNX file holds one network');
  // Not its bytes: weights may lie in files beside it.
  return { kind: 'onnx', bytes, graph: await named(file, () => loadOnnx(file)) };
}

async function readModelBytes(
  file: string,
  bytes: Uint8Array,
  select: string | undefined,
): Promise<GraphFile | CheckpointFile> {
  return named(file, () => {
    if (!isCheckpoint(file, bytes)) return { kind: 'onnx', bytes: bytes.length, graph: readOnnx(bytes) };
    const isSafetensors = fileKind(bytes) === 'safetensors';
    const metadata = isSafetensors ? readSafetensors(bytes).metadata : {};
    if (isTrainingCheckpoint(metadata)) return readRun(bytes, select);
    let selection: CheckpointSelection = { selected: '', candidates: [] };
    const onSelect = (taken: CheckpointSelection): void => {
      selection = taken;
    };
    const state = readCheckpoint(bytes, { onSelect, ...(select !== undefined && { select }) });
    return { kind: isSafetensors ? 'safetensors' : 'pth', bytes: bytes.length, state, metadata, selection };
  });
}

/** The model in the checkpoint of a run: its average if there is one. */
function readRun(bytes: Uint8Array, select: string | undefined): CheckpointFile {
  const { identity, model, average } = readTrainingCheckpoint(bytes);
  const states = new Map(Object.entries({ ...(average && { average }), model }));
  const candidates = [...states.keys()];
  const selected = select ?? candidates[0]!;
  const state = states.get(selected);
  if (state === undefined) throw new RangeError(`there is no state '${selected}', expected ${candidates.join(' or ')}`);
  const metadata = stateMetadata(identity);
  return { kind: 'safetensors', bytes: bytes.length, state, metadata, selection: { selected, candidates } };
}

/** If the bytes do not tell, the name does. */
function isCheckpoint(file: string, head: Uint8Array): boolean {
  const kind = fileKind(head);
  if (kind === undefined) return ['pth', 'safetensors'].includes(formatOfName(file) ?? '');
  return ['zip', 'pickle', 'safetensors'].includes(kind);
}

/** For a file that holds more than one state: what was taken, and what else there is. */
export function describeSelection({ selected, candidates }: CheckpointSelection): string[] {
  if (selected === '') return [];
  const others = candidates.filter((path) => path !== selected);
  const more = others.length === 0 ? '' : `; --select takes ${others.join(', ')}`;
  return [printable(`State: ${selected}${more}`)];
}

async function named<T>(file: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new CommandError(`${file}: ${messageOf(error)}`);
  }
}

/** @throws {CommandError} if it is a checkpoint, which has no graph to run */
export async function readGraphFile(file: string): Promise<GraphFile> {
  const model = await readModelFile(file);
  if (model.kind === 'onnx') return model;
  throw new CommandError(
    `${file}: is a checkpoint, which holds tensors but not how they are connected; export the network as ONNX`,
  );
}

/** `1x3x224x224`, or `image=1x3x224x224`, which a network with several inputs needs. */
export function parseShapes(texts: readonly string[], graph: Graph): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const text of texts) {
    const split = text.lastIndexOf('=');
    const dims = text.slice(split + 1);
    if (!DIMS.test(dims)) throw new UsageError(`--shape must be such as 1x3x224x224 or NAME=1x3x32x32, got '${text}'`);
    const name = split < 0 ? graph.inputs[0] : text.slice(0, split);
    if (name === undefined || !graph.inputs.includes(name) || (split < 0 && graph.inputs.length > 1)) {
      throw new UsageError(`--shape must be NAME=DIMS of one of the inputs ${namesOf(graph.inputs)}, got '${text}'`);
    }
    shapes.set(name, dims.split(/x/i).map(Number));
  }
  return shapes;
}

/**
 * Dims of all inputs: those asked for, else those of the file, with a batch of 1 if it may have any size.
 * @throws {CommandError} if others may have any size
 */
export function inputShapes(graph: Graph, asked: ReadonlyMap<string, readonly number[]>): (readonly number[])[] {
  return graph.inputs.map((name) => {
    const declared = graph.inputDims?.get(name);
    const dims = asked.get(name) ?? declared?.map((dim, axis) => (axis === 0 && typeof dim === 'string' ? 1 : dim));
    if (dims === undefined || dims.some((dim) => typeof dim === 'string')) {
      const known = declared === undefined ? 'dims that the file does not tell' : `dims ${showDims(declared)}`;
      throw new CommandError(
        printable(`input ${name} has ${known}; say which to take with --shape, for example --shape 1x3x224x224`),
      );
    }
    const size = sizeOf(dims as number[]);
    const most = asked.has(name) ? MAX_ASKED : MAX_DECLARED;
    if (!(size >= 1 && size <= most)) {
      throw new CommandError(
        printable(`input ${name} must have 1 to ${most} values, got dims ${showDims(dims)}; --shape takes others`),
      );
    }
    return dims as number[];
  });
}

function namesOf(names: readonly string[]): string {
  return printable(names.join(', '));
}
