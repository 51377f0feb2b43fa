/** Reads checkpoints of either format: torch.save's or safetensors. */

import { byteView } from '../bytes/byteView.js';
import { describeKind, fileKind } from '../bytes/sniff.js';
import { FormatError, UnsupportedError } from '../errors.js';
import { checkNames } from '../options.js';
import { show } from '../shown.js';
import type { StateDict, Tensor } from '../tensor.js';
import { type CheckpointSelection, findState } from './pth/findState.js';
import { isLegacy, readLegacy } from './pth/readLegacy.js';
import { readPth } from './pth/readPth.js';
import { loadTensors } from './pth/tensors.js';
import { readSafetensors } from './safetensors.js';

export interface CheckpointOptions {
  /** Which state to take if the file holds several: a key such as 'ema', or keys joined by dots. */
  readonly select?: string;
  /** Called with the state that is taken and all those available. */
  readonly onSelect?: (selection: CheckpointSelection) => void;
}

/** Prefixes that torch.compile and DataParallel put before every key, in either order. */
const WRAPPERS = ['_orig_mod.', 'module.', '_orig_mod.'];
/** A key that torch.optim.swa_utils.AveragedModel adds to those of its module. */
const COUNTER = 'n_averaged';

/**
 * Reads a state dict from a `.pth` file (also `.pt`, `.ckpt`, `.tar`, `.bin`: what `torch.save` writes, in the forms
 * since and before PyTorch 1.6, and TorchScript archives) or a `.safetensors` file, told apart by their bytes. Nothing
 * in the file is executed.
 *
 * From a checkpoint that holds more than a state dict, takes the one under `state_dict`, `model`, `net` or another
 * usual name, or `ema` if there is no other, without entries that are not tensors. Reads modules saved as a whole too.
 * Drops a `module.` before all keys. Elements of all types become float32. The tensors own their data and never alias
 * `bytes`.
 *
 * @param bytes The whole file.
 * @throws {FormatError} if the file is damaged, of another format, or holds several states and none stands out
 * @throws {RangeError} if there is no state at `select`
 * @throws {UnsupportedError} if it is a bare pickle, compressed or big-endian
 * @example
 * const net = lenet5bn(runtime).loadStateDict(readCheckpoint(await readFile('model.pth')));
 */
export function readCheckpoint(bytes: Uint8Array | ArrayBuffer, options: CheckpointOptions = {}): StateDict {
  const file = byteView(bytes, 'readCheckpoint');
  checkNames('readCheckpoint', options, ['select', 'onSelect']);
  const { select, onSelect } = options;
  if (select !== undefined && typeof select !== 'string') {
    throw new TypeError(`readCheckpoint: select must be a string, got ${show(select)}`);
  }
  if (onSelect !== undefined && typeof onSelect !== 'function') {
    throw new TypeError(`readCheckpoint: onSelect must be a function, got ${show(onSelect)}`);
  }
  const { tensors, selection } = readTensors(file, select);
  onSelect?.(selection);
  return Object.fromEntries(withoutWrappers(tensors));
}

function readTensors(
  file: Uint8Array,
  select: string | undefined,
): { tensors: [string, Tensor][]; selection: CheckpointSelection } {
  const kind = fileKind(file);
  if (kind === 'safetensors') {
    if (select !== undefined)
      throw new RangeError(`readCheckpoint: select is ${show(select)}, but safetensors hold one`);
    const selection = { selected: '', candidates: [''] };
    return { tensors: Object.entries(readSafetensors(file).tensors), selection };
  }
  if (kind !== 'zip' && kind !== 'pickle') {
    const found = kind === undefined ? '' : `: it is ${describeKind(kind)}`;
    throw new FormatError(`readCheckpoint: the file is neither of torch.save nor of safetensors${found}`, 0);
  }
  if (kind === 'pickle' && !isLegacy(file)) {
    throw new UnsupportedError(
      'readCheckpoint: the file must be of torch.save, got a bare pickle: torch.save(pickle.load(file), path)',
    );
  }
  const { value, at } = kind === 'zip' ? readPth(file) : readLegacy(file);
  const { selected, candidates, tensors } = findState(value, select, at);
  return { tensors: [...loadTensors(file, tensors)], selection: { selected, candidates } };
}

function withoutWrappers<T>(entries: readonly [string, T][]): readonly [string, T][] {
  const averaged = entries.filter(([key]) => key !== COUNTER);
  if (averaged.length < entries.length && averaged.every(([key]) => key.startsWith('module.'))) {
    return withoutWrappers(averaged);
  }
  let unwrapped = entries;
  for (const wrapper of WRAPPERS) {
    if (unwrapped.every(([key]) => key.startsWith(wrapper))) {
      unwrapped = unwrapped.map(([key, value]) => [key.slice(wrapper.length), value]);
    }
  }
  return unwrapped;
}
