/**
 * The one allocator of linear memory, and the only place that makes views of it. Kernels get pointers.
 *
 *   | module data | allocations and free blocks, in address order ... | guard |
 *
 * Blocks are multiples of 64 bytes (a cache line) and 64-byte aligned; freed neighbours are joined. The guard at the
 * end is never given out, so that kernels may read a whole vector at the last float of an allocation.
 */
import { OutOfMemoryError, ThreadError } from '../errors.js';
import { roundUp } from '../sizes.js';
import { FreeList } from './freeList.js';
import { redZonesOf, shareRedZones } from './redZones.js';

const ALIGNMENT = 64;
const GUARD = 64;
const PAGE = 65536;

interface UsedBlock {
  readonly ptr: number;
  readonly bytes: number;
  /** Bytes that a slower but smaller form of the contents would not need. */
  readonly overhead: number;
}

/** A piece of linear memory. Without a call of `free` it is given back when garbage collected. */
export class Allocation {
  readonly ptr: number;
  readonly #block: UsedBlock;
  #heap: Heap | undefined;

  constructor(heap: Heap, block: UsedBlock, ptr: number) {
    this.#heap = heap;
    this.#block = block;
    this.ptr = ptr;
  }

  get isFree(): boolean {
    return this.#heap === undefined;
  }

  /** Gives the memory back; a second call does nothing. */
  free(): void {
    const heap = this.#heap;
    this.#heap = undefined;
    heap?.release(this, this.#block);
  }

  /** As `free`, but the memory is not reused until `gone` settles, since a worker thread may still be writing there. */
  freeAfter(gone: Promise<void>): void {
    this.#heap?.releaseAfter(this, this.#block, gone);
    this.#heap = undefined;
  }
}

export class Heap {
  readonly #memory: WebAssembly.Memory;
  readonly #maximum: number;
  readonly #start: number;
  readonly #blocks: FreeList;
  /** Cloudflare Workers have none before the compatibility date 2025-05-05. */
  readonly #abandoned =
    typeof FinalizationRegistry === 'undefined'
      ? undefined
      : new FinalizationRegistry<UsedBlock>((block) => this.#giveBack(block));
  /** What the innermost `undoOnError` has to free. */
  #recorded: Allocation[] | undefined;
  #used = 0;
  #peak = 0;
  #overhead = 0;
  /** Bytes of those in use that only wait for worker threads to end. */
  #withheld = 0;
  #withheldUntil: Promise<unknown> | undefined;
  #floats: Float32Array;

  /** @param base first byte that may be given out. @param maximum bytes that `memory` may grow to. */
  constructor(memory: WebAssembly.Memory, base: number, maximum: number) {
    this.#memory = memory;
    this.#maximum = maximum;
    if (CHECKED) shareRedZones(memory, this);
    const start = roundUp(base, ALIGNMENT);
    this.#start = start;
    this.#blocks = new FreeList(start);
    if (start + GUARD > this.reserved && !this.#grow(start + GUARD)) throw new OutOfMemoryError(start + GUARD, maximum);
    this.#floats = new Float32Array(memory.buffer);
  }

  get used(): number {
    return this.#used;
  }

  get peak(): number {
    return this.#peak;
  }

  /** Bytes of those in use that are overhead. */
  get overhead(): number {
    return this.#overhead;
  }

  get reserved(): number {
    return CHECKED ? redZonesOf(this).reserved : this.#memory.buffer.byteLength;
  }

  /**
   * Best fit, else new memory.
   * @param overhead how many of the bytes a slower but smaller form of the contents would not need
   * @throws OutOfMemoryError
   */
  allocate(bytes: number, overhead = 0): Allocation {
    const size = roundUp(Math.max(bytes, 1), ALIGNMENT);
    const ptr = this.#take(size);
    const block = { ptr, bytes: size, overhead };
    this.#used += size;
    this.#overhead += overhead;
    this.#peak = Math.max(this.#peak, this.#used);
    const allocation = new Allocation(this, block, CHECKED ? redZonesOf(this).open(ptr, bytes) : ptr);
    this.#abandoned?.register(allocation, block, allocation);
    this.#recorded?.push(allocation);
    return allocation;
  }

  /** @throws OutOfMemoryError if this many bytes would not fit even into empty memory */
  expectRoom(bytes: number): void {
    const most = this.#maximum - GUARD - this.#start;
    if (bytes > most) throw new OutOfMemoryError(bytes, Math.max(0, most - this.#used));
  }

  /** Reserves memory for the runtime itself, for good; it does not count as in use. @throws OutOfMemoryError */
  reserve(bytes: number): number {
    const ptr = this.#take(roundUp(bytes, ALIGNMENT));
    return CHECKED ? redZonesOf(this).open(ptr, bytes) : ptr;
  }

  /** Runs `work`; if it throws, frees all that it allocated, after a ThreadError as soon as the workers have ended. */
  undoOnError<T>(work: () => T): T {
    const outer = this.#recorded;
    const recorded: Allocation[] = [];
    this.#recorded = recorded;
    try {
      const result = work();
      // One by one: a call takes only so many arguments.
      if (outer !== undefined) for (const allocation of recorded) outer.push(allocation);
      return result;
    } catch (error) {
      for (const allocation of recorded) {
        if (error instanceof ThreadError) allocation.freeAfter(error.workersGone);
        else allocation.free();
      }
      throw error;
    } finally {
      this.#recorded = outer;
    }
  }

  release(allocation: Allocation, block: UsedBlock): void {
    this.#abandoned?.unregister(allocation);
    this.#giveBack(block);
  }

  releaseAfter(allocation: Allocation, block: UsedBlock, gone: Promise<void>): void {
    this.#abandoned?.unregister(allocation);
    this.#withheld += block.bytes;
    this.#withheldUntil = Promise.all([this.#withheldUntil, gone]);
    void gone.then(() => {
      this.#withheld -= block.bytes;
      if (this.#withheld === 0) this.#withheldUntil = undefined;
      this.#giveBack(block);
    });
  }

  /** Settles when all memory that worker threads may still write to is back; undefined if there is none. */
  get withheldUntil(): Promise<unknown> | undefined {
    return this.#withheldUntil;
  }

  /** A view that holds until the next allocation. */
  floats(ptr: number, count: number): Float32Array {
    if (this.#floats.buffer !== this.#memory.buffer) this.#floats = new Float32Array(this.#memory.buffer);
    return this.#floats.subarray(ptr / 4, ptr / 4 + count);
  }

  /** A view that holds until the next allocation. */
  words(ptr: number, count: number): Int32Array {
    return new Int32Array(this.#memory.buffer, ptr, count);
  }

  /** A view that holds until the next allocation. */
  doubles(ptr: number, count: number): Float64Array {
    return new Float64Array(this.#memory.buffer, ptr, count);
  }

  #take(size: number): number {
    return this.#blocks.take(size) ?? this.#extend(size);
  }

  /** Takes memory at the end, growing it by a quarter at least so that growth is rare. */
  #extend(size: number): number {
    const start = this.#blocks.tail;
    const needed = start + size + GUARD;
    if (needed > this.reserved && !this.#grow(Math.max(needed, this.reserved * 1.25)) && !this.#grow(needed)) {
      throw new OutOfMemoryError(size, Math.max(0, this.#maximum - GUARD - start), this.#withheld);
    }
    return this.#blocks.extend(size);
  }

  #grow(bytes: number): boolean {
    if (bytes > this.#maximum) return false;
    if (CHECKED) {
      redZonesOf(this).reserved = roundUp(bytes, PAGE);
      return true;
    }
    try {
      this.#memory.grow(Math.ceil((bytes - this.reserved) / PAGE));
      return true;
    } catch {
      return false;
    }
  }

  #giveBack(block: UsedBlock): void {
    this.#used -= block.bytes;
    this.#overhead -= block.overhead;
    this.#blocks.giveBack(block.ptr, block.bytes);
    if (CHECKED) redZonesOf(this).close(block.ptr);
  }
}
