/** Mutations: of bytes, and of the messages of an ONNX file, which stays well-formed. */
import { readModel, writeModel } from '../../src/formats/onnx/file/proto.js';
import type { Random } from './random.js';

const TELLING_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff];

/** One change of a byte, or one to four changes: bytes, runs of a byte, pieces repeated, left out or brought from elsewhere. */
export function mutateBytes(bytes: Uint8Array, random: Random, position = () => random.whole(0, bytes.length - 1)) {
  let file: Uint8Array = bytes.slice();
  const isSmall = random.chance(0.5);
  for (let changes = isSmall ? 1 : random.whole(1, 4); changes > 0; changes--) {
    if (file.length === 0) return file;
    const at = Math.min(position(), file.length - 1);
    const length = 1 + Math.floor(random.next() ** 3 * 64);
    const telling = random.pick(TELLING_BYTES);
    const kind = random.whole(0, isSmall ? 2 : 7);
    if (kind === 0) file[at]! ^= 1 << random.whole(0, 7);
    else if (kind === 1) file[at] = random.whole(0, 255);
    else if (kind === 2) file[at] = telling;
    else if (kind === 3) file.fill(telling, at, at + 1 + (length % 10));
    else if (kind === 4) {
      const from = position();
      file.copyWithin(at, from, from + length);
    } else if (kind === 5) file = joined(file.subarray(0, at), file.subarray(at + length));
    else if (kind === 6) file = joined(file.subarray(0, at + length), file.subarray(at));
    else file = joined(file.subarray(0, at), new Uint8Array(length).fill(telling), file.subarray(at));
  }
  return file;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Changes numbers, names and lists of an ONNX file's messages. */
export function mutateMessages(bytes: Uint8Array, random: Random): Uint8Array {
  const model = structuredClone(readModel(bytes));
  for (let changes = 1 + Math.floor(random.next() ** 2 * 4); changes > 0; changes--) {
    const places = placesIn(model);
    const { parent, key } = random.pick(places);
    const value = parent[key];
    if (typeof value === 'number') parent[key] = random.hostile();
    else if (typeof value === 'string')
      parent[key] = random.pick(places.map((place) => place.parent[place.key]).filter(isString));
    else if (Array.isArray(value)) parent[key] = changedList(value, random);
    else parent[key] = (value as Uint8Array).slice(random.whole(0, 7));
  }
  return writeModel(model);
}

export interface Place {
  readonly parent: Record<string, unknown>;
  readonly key: string;
}

const isString = (value: unknown): value is string => typeof value === 'string';

/** Everything in a message and in those within it that can be changed. */
export function placesIn(message: unknown): Place[] {
  const parent = message as Record<string, unknown>;
  return Object.entries(parent).flatMap(([key, value]) => {
    if (key === 'at' || value === undefined) return [];
    if (typeof value !== 'object' || value instanceof Uint8Array) return [{ parent, key }];
    if (!Array.isArray(value)) return placesIn(value);
    const inner = typeof value[0] === 'object' && !(value[0] instanceof Uint8Array) ? value.flatMap(placesIn) : [];
    return [{ parent, key }, ...inner];
  });
}

function changedList(list: readonly unknown[], random: Random): unknown[] {
  if (list.length === 0) return [];
  const at = random.whole(0, list.length - 1);
  const other = random.pick(list);
  const kind = random.whole(0, 4);
  if (kind === 0) return list.filter((_, i) => i !== at);
  if (kind === 1) return [...list.slice(0, at), other, ...list.slice(at)];
  if (kind === 2) return list.map((one, i) => (i === at ? other : one));
  if (kind === 3) return [...list].reverse();
  return typeof other === 'number' ? list.map((one, i) => (i === at ? random.hostile() : one)) : [];
}
