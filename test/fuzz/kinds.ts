/** All kinds of inputs, by the names that the command takes. */
import { jpeg } from './jpeg.js';
import type { Kind } from './kind.js';
import { onnx, session } from './onnx.js';
import { png } from './png.js';
import { pth } from './pth.js';
import { safetensors } from './safetensors.js';

export const KINDS: Readonly<Record<string, Kind>> = { onnx, session, pth, safetensors, png, jpeg };

export function kindOf(name: string): Kind {
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === undefined)
    throw new RangeError(`there is no kind ${name}; the kinds are ${Object.keys(KINDS).join(', ')}`);
  return kind;
}
