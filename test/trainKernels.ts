/**
 * The kernels for training over a memory of their own, in which every allocation lies between two zones. What is
 * allocated is filled with NaN, so that what a kernel leaves unwritten, or reads without need, shows in its results.
 */
import { readFileSync } from 'node:fs';
import { instantiateSync } from '@assemblyscript/loader';
import * as assert from 'uvu/assert';
import type { TrainKernels } from '../src/train/abi.js';
import type { Build } from './support.js';

const PAGES = 1024;
const ZONE_BYTES = 64;
const ZONE = 0x5a5a5a5a;
const UNWRITTEN = 0x7fa00001;

export class TrainMemory {
  readonly kernels: TrainKernels;
  readonly memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  #next = ZONE_BYTES;
  #zones: number[] = [];

  constructor(build: Build) {
    const binary = readFileSync(`build/train.${build}.wasm`);
    this.kernels = instantiateSync<TrainKernels & Record<string, unknown>>(binary, {
      env: { memory: this.memory },
    }).exports;
  }

  /** Address of so many bytes; zones begin at the words around them. */
  allocate(bytes: number): number {
    const ptr = this.#next;
    const end = ptr + ((bytes + 3) & ~3);
    this.#next = ((end + ZONE_BYTES + 15) & ~15) + ZONE_BYTES;
    assert.ok(this.#next + ZONE_BYTES <= this.memory.buffer.byteLength, 'the memory of the test is full');
    this.words(ptr, (end - ptr) / 4).fill(UNWRITTEN);
    for (const zone of [ptr - ZONE_BYTES, end]) {
      this.words(zone, ZONE_BYTES / 4).fill(ZONE);
      this.#zones.push(zone);
    }
    return ptr;
  }

  put(values: ArrayLike<number>): number {
    const ptr = this.allocate(values.length * 4);
    this.floats(ptr, values.length).set(values);
    return ptr;
  }

  putWords(values: ArrayLike<number>): number {
    const ptr = this.allocate(values.length * 4);
    this.words(ptr, values.length).set(values);
    return ptr;
  }

  putDoubles(values: ArrayLike<number>): number {
    const ptr = this.allocate(values.length * 8);
    this.doubles(ptr, values.length).set(values);
    return ptr;
  }

  /** A record whose words are named; see src/train/records.ts. */
  putRecord<Fields extends Readonly<Record<string, number>>>(
    fields: Fields,
    values: Readonly<Record<keyof Fields, number>>,
  ): number {
    const names: (keyof Fields)[] = Object.keys(fields);
    const ptr = this.allocate(names.length * 4);
    names.forEach((name, i) => {
      if (fields[name] === 0) this.words(ptr + i * 4, 1)[0] = values[name];
      else this.floats(ptr + i * 4, 1)[0] = values[name];
    });
    return ptr;
  }

  floats(ptr: number, count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer, ptr, count);
  }

  doubles(ptr: number, count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.memory.buffer, ptr, count);
  }

  words(ptr: number, count: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.buffer, ptr, count);
  }

  /** Looks at all zones and gives everything back. */
  clear(about: string): void {
    for (const zone of this.#zones) {
      const damaged = this.words(zone, ZONE_BYTES / 4).findIndex((word) => word !== ZONE);
      assert.is(damaged, -1, `${about}: word ${damaged} of the zone at ${zone} was written`);
    }
    this.#zones = [];
    this.#next = ZONE_BYTES;
  }
}

/** [batch][channels][pixels] to [batch][pixels][lanes], lanes behind the channels zero. */
export function channelsLast(planar: ArrayLike<number>, batch: number, channels: number, pixels: number): Float32Array {
  const lanes = (channels + 3) & ~3;
  const out = new Float32Array(batch * pixels * lanes);
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < pixels; i++) out[(n * pixels + i) * lanes + c] = planar[(n * channels + c) * pixels + i]!;
    }
  }
  return out;
}

/** The reverse; asserts that lanes behind the channels are zero. */
export function planar(image: ArrayLike<number>, batch: number, channels: number, pixels: number): Float32Array {
  const lanes = (channels + 3) & ~3;
  const out = new Float32Array(batch * channels * pixels);
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < pixels; i++) {
      for (let c = 0; c < lanes; c++) {
        const value = image[(n * pixels + i) * lanes + c]!;
        if (c < channels) out[(n * channels + c) * pixels + i] = value;
        else assert.ok(Object.is(value, 0), `lane ${c} of pixel ${i} is ${value}`);
      }
    }
  }
  return out;
}
