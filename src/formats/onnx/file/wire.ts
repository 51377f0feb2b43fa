/**
 * The wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding), as far as ONNX needs it.
 *
 *     message = field*      field = tag value      tag = varint, field number * 8 + wire type
 *     wire type 0: varint, 7 bits a byte, low ones first, at most 10 bytes
 *               1: 8 bytes      5: 4 bytes      2: varint n, then n bytes (string, bytes, message, packed numbers)
 *
 * Hand-written to keep a page's download small: with the schema of proto.ts it takes 2.3 kB gzip'd, where
 * @bufbuild/protobuf 2 takes 19.1 kB with the same messages, and its wire subpath alone 3.6 kB. Integers are numbers:
 * those of 64 bits are exact up to 2^53 and rounded beyond, so code that needs exact ones asks Number.isSafeInteger.
 * Every read is checked against the end of the message.
 */
import { FormatError } from '../../../errors.js';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const TWO_32 = 2 ** 32;
let decoder: TextDecoder | undefined;
let encoder: TextEncoder | undefined;

/** Reads the fields of one message, which is the bytes from `position` to `end` of the file. */
export class WireReader {
  readonly file: Uint8Array;
  readonly end: number;
  /** Byte offset in the file of what is read next. */
  position: number;
  readonly #view: DataView;

  constructor(file: Uint8Array, position = 0, end = file.length) {
    this.file = file;
    this.position = position;
    this.end = end;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** The number and the wire type of the next field. */
  tag(): { field: number; type: number } {
    const at = this.position;
    const tag = this.uint64();
    if (tag < 8 || tag >= TWO_32) throw new FormatError(`readOnnx: ${tag} is not the tag of a field`, at);
    return { field: Math.floor(tag / 8), type: tag % 8 };
  }

  int64(): number {
    const [low, high] = this.#varint();
    return (high | 0) * TWO_32 + low;
  }

  uint64(): number {
    const [low, high] = this.#varint();
    return high * TWO_32 + low;
  }

  int32(): number {
    return this.#varint()[0] | 0;
  }

  float(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** The bytes themselves, not a copy of them. */
  bytes(): Uint8Array {
    const inner = this.message();
    return this.file.subarray(inner.position, inner.end);
  }

  string(): string {
    const at = this.position;
    const bytes = this.bytes();
    try {
      // A slice, as TextDecoder takes no shared memory in browsers.
      decoder ??= new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      return decoder.decode(bytes.slice());
    } catch {
      throw new FormatError('readOnnx: a string is not UTF-8', at);
    }
  }

  /** A reader of the next length-delimited value, which this reader skips. */
  message(): WireReader {
    const at = this.position;
    const length = this.uint64();
    if (length > this.end - this.position) {
      throw new FormatError(`readOnnx: a value of ${length} bytes, where ${this.end - this.position} are left`, at);
    }
    const start = this.position;
    this.position = start + length;
    return new WireReader(this.file, start, this.position);
  }

  skip(type: number): void {
    if (type === VARINT) this.#varint();
    else if (type === FIXED64) this.#take(8);
    else if (type === BYTES) this.message();
    else if (type === FIXED32) this.#take(4);
    else throw new FormatError(`readOnnx: the wire type of a field must be 0, 1, 2 or 5, got ${type}`, this.position);
  }

  /** The low and the high 32 bits, each unsigned. */
  #varint(): [number, number] {
    const at = this.position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.file[this.#take(1)]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= shift < 63 ? bits << (shift - 32) : (bits & 1) << 31;
      if (byte < 0x80) return [low >>> 0, high >>> 0];
    }
    throw new FormatError('readOnnx: an integer of more than 10 bytes', at);
  }

  /** Skips `count` bytes; returns their offset. */
  #take(count: number): number {
    const at = this.position;
    if (count > this.end - at) {
      throw new FormatError(`readOnnx: the message must go on for at least ${count} bytes, got ${this.end - at}`, at);
    }
    this.position = at + count;
    return at;
  }
}

/** Writes the fields of one message. Long byte strings are kept as they are and copied once, at the end. */
export class WireWriter {
  /** Bytes written so far. */
  length = 0;
  readonly #chunks: Uint8Array[] = [];
  #small: number[] = [];

  tag(field: number, type: number): void {
    this.int64(field * 8 + type);
  }

  /** Any whole number from -2^63; also int32, which is encoded alike, and uint64. */
  int64(value: number): void {
    let high = Math.floor(value / TWO_32);
    let low = value - high * TWO_32;
    high >>>= 0;
    while (high > 0 || low > 0x7f) {
      this.#byte((low & 0x7f) | 0x80);
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#byte(low);
  }

  float(value: number): void {
    this.#small.push(...new Uint8Array(Float32Array.of(value).buffer));
    this.length += 4;
  }

  double(value: number): void {
    this.#small.push(...new Uint8Array(Float64Array.of(value).buffer));
    this.length += 8;
  }

  bytes(value: Uint8Array): void {
    this.int64(value.length);
    this.#append(value);
  }

  string(value: string): void {
    encoder ??= new TextEncoder();
    this.bytes(encoder.encode(value));
  }

  message(inner: WireWriter): void {
    this.int64(inner.length);
    inner.#flush();
    this.#flush();
    for (const chunk of inner.#chunks) this.#chunks.push(chunk);
    this.length += inner.length;
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    const file = new Uint8Array(this.length);
    let position = 0;
    for (const chunk of this.#chunks) {
      file.set(chunk, position);
      position += chunk.length;
    }
    return file;
  }

  #byte(value: number): void {
    this.#small.push(value);
    this.length++;
  }

  #append(chunk: Uint8Array): void {
    this.#flush();
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  #flush(): void {
    if (this.#small.length === 0) return;
    this.#chunks.push(Uint8Array.from(this.#small));
    this.#small = [];
  }
}
