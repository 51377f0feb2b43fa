/**
 * The memory of the test build. Heap computes addresses and sizes as in the package, but the allocation lies elsewhere,
 * with a pattern on both sides, and so does each thread's working memory.
 *
 *   | ... | zone | working memory | zone | ... | zone | allocation | up to 64 bytes and a zone | ...
 *
 * What is allocated, and what a step of a plan is about to write, holds a value that nothing computes. So a kernel that
 * writes outside of what it was given, or leaves something unwritten, is found when the step is done, and named.
 */
import { OutOfMemoryError } from '../errors.js';
import { bytesOf, type Extent, extentOf, type Layout, roundUp } from '../sizes.js';
import { FreeList } from './freeList.js';
import type { Kernels } from './kernels.js';

export const ZONE_BYTES = 64;
const ALIGNMENT = 64;
const PAGE = 65536;
/** What zones hold: about 1.2 as a float and 0.03 as a double, so that what is added to it shows. */
const PATTERN = 0x3f9df3b6;
/** A signalling NaN: arithmetic makes a quiet one of it, only a copy leaves it as it is. */
const UNWRITTEN = 0x7fa5c3e1;
/** Another one, for what was given back. */
const FREED = 0x7fa5dead;

const ofOwner = new WeakMap<object, RedZones>();

/** The red zones of a memory, a heap or what shares them. */
export function redZonesOf(owner: object): RedZones {
  return ofOwner.get(owner)!;
}

export function shareRedZones(owner: object, other: object): void {
  ofOwner.set(other, redZonesOf(owner));
}

/** A part of memory with a zone before and behind it. */
interface Region {
  readonly ptr: number;
  /** As requested. */
  readonly bytes: number;
}

export class RedZones {
  /** Bytes that the memory would have grown to in the package. */
  reserved: number;
  readonly #memory: WebAssembly.Memory;
  readonly #blocks: FreeList;
  /** By the address that the allocation would have in the package. */
  readonly #regions = new Map<number, Region>();
  readonly #scratch: readonly Region[];
  readonly #called = new Set<string>();
  #words: Int32Array;

  /** @param base first byte behind the zones of working memory */
  constructor(memory: WebAssembly.Memory, scratchPtrs: readonly number[], scratchBytes: number, base: number) {
    ofOwner.set(memory, this);
    this.reserved = memory.buffer.byteLength;
    this.#memory = memory;
    this.#blocks = new FreeList(roundUp(base, ALIGNMENT));
    this.#words = new Int32Array(memory.buffer);
    this.#growTo(base);
    this.#scratch = scratchPtrs.map((ptr) => ({ ptr, bytes: scratchBytes }));
    for (const region of this.#scratch) this.#paintZones(region);
  }

  /** Where an allocation lies. */
  open(key: number, bytes: number): number {
    const size = sizeOf(bytes);
    let start = this.#blocks.take(size);
    if (start === undefined) {
      this.#growTo(this.#blocks.tail + size);
      start = this.#blocks.extend(size);
    }
    const region = { ptr: start + ZONE_BYTES, bytes };
    this.#regions.set(key, region);
    this.#paintZones(region);
    this.fill(region.ptr, bytes);
    return region.ptr;
  }

  /** Gives an allocation more room than the package would. Its values are lost. */
  enlarge(ptr: number, bytes: number): number {
    const [key] = [...this.#regions].find(([, region]) => region.ptr === ptr)!;
    this.close(key);
    return this.open(key, bytes);
  }

  /** @throws Error if something was written into a zone of it */
  close(key: number): void {
    const region = this.#regions.get(key)!;
    this.#regions.delete(key);
    this.#view().fill(FREED, region.ptr / 4, (region.ptr + roundUp(region.bytes, 4)) / 4);
    const damage = damageOf(this.#view(), region);
    this.#blocks.giveBack(region.ptr - ZONE_BYTES, sizeOf(region.bytes));
    if (damage !== undefined) throw new Error(`red zones: ${damage}, found when it was given back`);
  }

  /** Allocations there are. */
  get count(): number {
    return this.#regions.size;
  }

  /** The kernels, noting that they were called. */
  watch(kernels: Kernels): Kernels {
    const watched: Record<string, unknown> = {};
    for (const [name, kernel] of Object.entries(kernels)) {
      watched[name] =
        typeof kernel !== 'function'
          ? kernel
          : (...args: unknown[]): unknown => {
              this.note(name);
              return kernel(...args);
            };
    }
    return watched as unknown as Kernels;
  }

  note(kernel: string): void {
    this.#called.add(kernel);
  }

  /** To be called before work that `check` examines. */
  begin(): void {
    this.#called.clear();
  }

  /** Marks memory as unwritten. */
  fill(ptr: number, bytes: number): void {
    this.#view().fill(UNWRITTEN, ptr / 4, Math.floor((ptr + bytes) / 4));
  }

  /** A zone before and behind a part of an allocation; see `expectZones`. */
  paintZones(ptr: number, bytes: number): void {
    this.#paintZones({ ptr, bytes });
  }

  /** `work` on a part of the working memory, with a zone behind it where that fits. */
  within<T>(ptr: number, bytes: number, room: number, work: (ptr: number) => T): T {
    if (roundUp(bytes, 4) + ZONE_BYTES > room) return work(ptr);
    this.paintZones(ptr, bytes);
    const result = work(ptr);
    this.expectZones(ptr, bytes, 'a conversion');
    return result;
  }

  /** @throws Error when something was written into a zone */
  check(who: string): void {
    const words = this.#view();
    for (const region of this.#scratch) this.#expect(words, region, who, 'the working memory');
    for (const region of this.#regions.values()) this.#expect(words, region, who, 'an allocation');
  }

  /** @throws Error when something was written into the zones around a part of an allocation */
  expectZones(ptr: number, bytes: number, who: string): void {
    this.#expect(this.#view(), { ptr, bytes }, who, 'a value');
  }

  /** @throws Error when a word is unwritten */
  expectWords(ptr: number, bytes: number, who: string): void {
    const at = this.#view()
      .subarray(ptr / 4, (ptr + bytes) / 4)
      .indexOf(UNWRITTEN);
    if (at >= 0) throw new Error(`red zones: ${this.#name(who)} left word ${at} of ${bytes / 4} unwritten`);
  }

  /**
   * @param lanes of a pixel of a memory that the value shares with others (see Among)
   * @throws Error when something of a value is unwritten, or not zero behind its channels
   */
  expectValue(ptr: number, dims: readonly number[], layout: Layout, who: string, lanes?: number): void {
    const extent = extentOf(dims);
    if (layout === 'planar') this.expectWords(ptr, bytesOf(dims, layout), who);
    else this.#expectLanes(ptr, extent, lanes ?? extent.lanes, lanes === undefined, who);
  }

  #expectLanes(ptr: number, { batch, channels, pixels }: Extent, lanes: number, padded: boolean, who: string): void {
    const words = this.#view();
    const floats = padded ? lanes : channels;
    for (let pixel = 0, at = ptr / 4; pixel < batch * pixels; pixel++, at += lanes) {
      for (let c = 0; c < floats; c++) {
        const word = words[at + c]!;
        if (word === UNWRITTEN || (c >= channels && word << 1 !== 0)) {
          const what = c < channels ? `channel ${c}` : `lane ${c} behind channel ${channels - 1}`;
          const state = word === UNWRITTEN ? 'unwritten' : 'not zero';
          throw new Error(`red zones: ${this.#name(who)} left ${what} of pixel ${pixel} ${state}`);
        }
      }
    }
  }

  #expect(words: Int32Array, region: Region, who: string, what: string): void {
    const damage = damageOf(words, region);
    if (damage === undefined) return;
    // So that it is reported once, under this name.
    for (const painted of [region, ...this.#scratch, ...this.#regions.values()]) this.#paintZones(painted);
    throw new Error(`red zones: ${this.#name(who)} wrote ${damage} (${what})`);
  }

  #name(who: string): string {
    return `${who} [${[...this.#called].join(', ')}]`;
  }

  #paintZones({ ptr, bytes }: Region): void {
    const words = this.#view();
    const end = ptr + roundUp(bytes, 4);
    words.fill(PATTERN, (ptr - ZONE_BYTES) / 4, ptr / 4);
    words.fill(PATTERN, end / 4, (end + ZONE_BYTES) / 4);
  }

  #view(): Int32Array {
    if (this.#words.buffer !== this.#memory.buffer) this.#words = new Int32Array(this.#memory.buffer);
    return this.#words;
  }

  #growTo(bytes: number): void {
    const missing = bytes + ZONE_BYTES - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.#memory.grow(Math.ceil(Math.max(missing, this.#memory.buffer.byteLength / 4) / PAGE));
    } catch {
      throw new OutOfMemoryError(bytes, 0);
    }
  }
}

/** Bytes of a region with its zones. */
function sizeOf(bytes: number): number {
  return roundUp(bytes, ALIGNMENT) + 2 * ZONE_BYTES;
}

/** Where zones were written to; undefined if they are intact. */
function damageOf(words: Int32Array, { ptr, bytes }: Region): string | undefined {
  for (let i = (ptr - ZONE_BYTES) / 4; i < ptr / 4; i++) {
    if (words[i] !== PATTERN) return `${ptr - i * 4} bytes before ${bytes} bytes`;
  }
  const end = ptr + roundUp(bytes, 4);
  for (let i = end / 4; i < (end + ZONE_BYTES) / 4; i++) {
    if (words[i] !== PATTERN) return `${i * 4 - ptr - bytes} bytes behind ${bytes} bytes`;
  }
  return undefined;
}
