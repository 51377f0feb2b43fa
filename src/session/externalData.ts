/**
 * Data of a model's tensors that lies in other files: given with the model, or found beside it. Bytes go to the tensors
 * as they arrive, so no file is ever held as a whole, and only the parts of files that hold tensors are read.
 */
import { byteView } from '../bytes/byteView.js';
import {
  attach,
  attachBytes,
  checkKind,
  checkLength,
  describeFile,
  type ExternalTensor,
  externalTensors,
  normalPath,
  notGiven,
} from '../formats/onnx/externalData.js';
import type { ModelProto } from '../formats/onnx/file/proto.js';
import { showText } from '../shown.js';
import { besideOf, join, type Source, sourceAt, sourceOfBlob } from './loadBytes.js';
import type { Progress } from './progress.js';

/**
 * A file of weights beside a model, in onnxruntime-web's words: the path by which the model names it, and its bytes or
 * where they are.
 */
export interface ExternalData {
  readonly path: string;
  readonly data: Uint8Array | ArrayBuffer | Blob | URL | string;
}

/** Bytes between two tensors that are read rather than skipped. */
const MAX_GAP = 2 ** 16;
/** Enough to tell what a file is. */
const HEAD_BYTES = 256;

/**
 * @param home where the model is; undefined if it was given as bytes
 * @throws FormatError when a file is too short, or a path leads out of the model's folder; UnsupportedError when a file
 * is not given; Error naming what cannot be read
 */
export async function loadExternalData(
  model: ModelProto,
  given: readonly ExternalData[],
  home: string | URL | undefined,
  progress: Progress,
  owner: string,
): Promise<void> {
  for (const [path, tensors] of externalTensors(model)) {
    const data = given.find((one) => normalPath(one.path) === path)?.data;
    const location = typeof data === 'string' || data instanceof URL ? data : undefined;
    if (data === undefined && home === undefined) throw notGiven(tensors, path, owner);
    if (data === undefined || location !== undefined) {
      const what = `${owner}: ${describeFile(tensors, path)}`;
      await attachFrom(tensors, path, await locate(location, home!, path, progress, what));
    } else if (isBlob(data)) {
      await attachFrom(tensors, path, sourceOfBlob(data, progress));
    } else {
      attachBytes(tensors, path, byteView(data as Uint8Array | ArrayBuffer, `${owner}: externalData ${path}`));
    }
  }
}

/** By what it can do: test runners give modules a realm of their own. */
function isBlob(data: unknown): data is Blob {
  return typeof (data as Partial<Blob> | null)?.stream === 'function';
}

async function locate(
  given: string | URL | undefined,
  home: string | URL,
  path: string,
  progress: Progress,
  what: string,
): Promise<Source> {
  try {
    return await sourceAt(given ?? (await besideOf(home, path)), progress, what);
  } catch (cause) {
    progress.throwIfAborted();
    throw new Error(`${what}, which cannot be read: ${showText((cause as Error).message)}`, { cause });
  }
}

/** Range by range; in one go if the size is not known, as a server may send the whole file each time. */
async function attachFrom(tensors: readonly ExternalTensor[], path: string, source: Source): Promise<void> {
  const { size } = source;
  if (size !== undefined) await checkSize(tensors, path, source, size);
  let run: ExternalTensor[] = [];
  let end = 0;
  for (const tensor of tensors) {
    if (run.length > 0 && size !== undefined && tensor.begin - end > MAX_GAP) {
      await attachRun(run, end, path, source);
      run = [];
    }
    end = Math.max(run.length > 0 ? end : 0, tensor.end);
    run.push(tensor);
  }
  await attachRun(run, end, path, source);
}

async function checkSize(
  tensors: readonly ExternalTensor[],
  path: string,
  source: Source,
  size: number,
): Promise<void> {
  const tooLong = tensors.find(({ end }) => end > size);
  if (tooLong === undefined) return;
  // The first bytes may tell why.
  const { chunks } = await source.open(0, Math.min(size, HEAD_BYTES));
  for await (const chunk of chunks) checkKind(tensors, path, chunk);
  checkLength(tooLong, path, size);
}

/** Keeps what has arrived until the first incomplete tensor has all of its bytes. */
async function attachRun(tensors: readonly ExternalTensor[], end: number, path: string, source: Source): Promise<void> {
  const { position, chunks } = await source.open(tensors[0]!.begin, end);
  let next = 0;
  const held: Uint8Array[] = [];
  let start = position;
  let arrived = position;
  const settle = (): void => {
    for (let tensor = tensors[next]; tensor !== undefined && tensor.end <= arrived; tensor = tensors[++next]) {
      attach(tensor, join(held, start, tensor.begin, tensor.end));
    }
    // Bytes before the next tensor are not needed.
    const from = tensors[next]?.begin ?? arrived;
    let count = 0;
    while (count < held.length && start + held[count]!.length <= from) start += held[count++]!.length;
    held.splice(0, count);
  };
  settle();
  for await (const chunk of chunks) {
    if (arrived === 0) checkKind(tensors, path, chunk);
    held.push(chunk);
    arrived += chunk.length;
    settle();
    if (next === tensors.length) break;
  }
  if (next < tensors.length) checkLength(tensors[next]!, path, arrived);
}
