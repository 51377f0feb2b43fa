/** Reads a checkpoint of whichever format: what torch.save wrote, or safetensors. */
import { FormatError, UnsupportedError } from '../errors.js';
import type { StateDict } from '../tensor.js';
import { byteView } from './file.js';
import { readPth } from './pth/readPth.js';
import { isZip } from './pth/zip.js';
import { readSafetensors } from './safetensors.js';

/** What torch.compile and DataParallel put before every key, in each order of the two. */
const WRAPPERS = ['_orig_mod.', 'module.', '_orig_mod.'];

/** PROTO 2, LONG1 of 10 bytes: how torch.save began a file before version 1.6, its magic number in a pickle. */
const LEGACY_START = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/**
 * Reads a state dict from a `.pth` file (also `.pt`, `.ckpt`, `.tar`, `.bin`: what `torch.save` writes since PyTorch
 * 1.6) or a `.safetensors` file; which of them it is, the bytes tell. Nothing in the file is run.
 *
 * Of a checkpoint that holds more than a state dict, the one under `state_dict`, `model`, `net` or another usual name
 * is taken, without entries that are not tensors. A `module.` before all keys is left out. Elements of all types become
 * float32. The tensors own their data and never alias `bytes`.
 *
 * @param bytes The whole file.
 * @throws {FormatError} if the file is damaged, of another format, or asks to run anything
 * @throws {UnsupportedError} if it is of PyTorch before 1.6, a TorchScript archive, or compressed
 * @example
 * const net = lenet5bn(runtime).loadStateDict(readCheckpoint(await readFile('model.pth')));
 */
export function readCheckpoint(bytes: Uint8Array | ArrayBuffer): StateDict {
  const file = byteView(bytes, 'readCheckpoint');
  return Object.fromEntries(withoutWrappers(readTensors(file)));
}

function readTensors(file: Uint8Array) {
  if (isZip(file)) return [...readPth(file)];
  if (file[8] === 0x7b) return Object.entries(readSafetensors(file).tensors);
  if (file[0] === 0x80 && file[1]! >= 2 && file[1]! <= 5) {
    const isLegacy = LEGACY_START.every((byte, i) => byte === file[i]);
    throw new UnsupportedError(
      `readCheckpoint: the file is ${isLegacy ? 'of torch.save before PyTorch 1.6' : 'a bare pickle'}, expected the ` +
        'zip format: torch.save(torch.load(path), path) in a newer one',
    );
  }
  throw new FormatError(
    `readCheckpoint: the file is neither of torch.save (which begins with PK) nor safetensors (which has { at byte 8)`,
    0,
  );
}

function withoutWrappers<T>(entries: readonly [string, T][]): readonly [string, T][] {
  let unwrapped = entries;
  for (const wrapper of WRAPPERS) {
    if (unwrapped.every(([key]) => key.startsWith(wrapper))) {
      unwrapped = unwrapped.map(([key, value]) => [key.slice(wrapper.length), value]);
    }
  }
  return unwrapped;
}
