/**
 * The one allocator of linear memory, and the only place that makes views of it. Kernels get pointers.
 *
 *   | module data | allocations and free blocks, in address order ... | guard |
 *
 * Blocks are multiples of 64 bytes (a cache line) and 64-byte aligned; freed neighbours are joined. The guard at the
 * end is never given out, so that kernels may read a whole vector at the last float of an allocation.
 */
import { OutOfMemoryError } from '../errors.js';
import { roundUp } from '../sizes.js';

const ALIGNMENT = 64;
const GUARD = 64;
const PAGE = 65536;

interface Block {
  ptr: number;
  bytes: number;
}

interface UsedBlock extends Block {
  /** Bytes that a slower but smaller form of the contents would not need. */
  overhead: number;
}

/** A piece of linear memory. Whoever drops it without `free` gives it back when it is garbage collected. */
export class Allocation {
  readonly ptr: number;
  readonly bytes: number;
  readonly overhead: number;
  #heap: Heap | undefined;

  constructor(heap: Heap, block: UsedBlock) {
    this.#heap = heap;
    this.ptr = block.ptr;
    this.bytes = block.bytes;
    this.overhead = block.overhead;
  }

  get isFree(): boolean {
    return this.#heap === undefined;
  }

  /** Gives the memory back; a second call does nothing. */
  free(): void {
    this.#heap?.release(this);
    this.#heap = undefined;
  }
}

export class Heap {
  readonly #memory: WebAssembly.Memory;
  readonly #maximum: number;
  /** Free blocks in address order, no two of them neighbours. */
  readonly #free: Block[] = [];
  /** Cloudflare Workers have none before the compatibility date 2025-05-05. */
  readonly #abandoned =
    typeof FinalizationRegistry === 'undefined'
      ? undefined
      : new FinalizationRegistry<UsedBlock>((block) => this.#giveBack(block));
  /** What the innermost `undoOnError` has to free. */
  #recorded: Allocation[] | undefined;
  #end: number;
  #used = 0;
  #peak = 0;
  #overhead = 0;
  #floats: Float32Array;

  /** @param base first byte that may be given out. @param maximum bytes that `memory` may grow to. */
  constructor(memory: WebAssembly.Memory, base: number, maximum: number) {
    this.#memory = memory;
    this.#maximum = maximum;
    this.#end = roundUp(base, ALIGNMENT);
    if (this.#end + GUARD > this.reserved && !this.#grow(this.#end + GUARD)) {
      throw new OutOfMemoryError(this.#end + GUARD, maximum);
    }
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
    return this.#memory.buffer.byteLength;
  }

  /**
   * Best fit, else new memory.
   * @param overhead how many of the bytes a slower but smaller form of the contents would not need
   * @throws OutOfMemoryError
   */
  allocate(bytes: number, overhead = 0): Allocation {
    const size = roundUp(Math.max(bytes, 1), ALIGNMENT);
    const ptr = this.#takeFree(size) ?? this.#extend(size);
    const block = { ptr, bytes: size, overhead };
    this.#used += size;
    this.#overhead += overhead;
    this.#peak = Math.max(this.#peak, this.#used);
    const allocation = new Allocation(this, block);
    this.#abandoned?.register(allocation, block, allocation);
    this.#recorded?.push(allocation);
    return allocation;
  }

  /** Runs `work`; if it throws, everything that it allocated is free again. */
  undoOnError<T>(work: () => T): T {
    const outer = this.#recorded;
    const recorded: Allocation[] = [];
    this.#recorded = recorded;
    try {
      const result = work();
      outer?.push(...recorded);
      return result;
    } catch (error) {
      for (const allocation of recorded) allocation.free();
      throw error;
    } finally {
      this.#recorded = outer;
    }
  }

  release(allocation: Allocation): void {
    this.#abandoned?.unregister(allocation);
    this.#giveBack(allocation);
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

  #takeFree(size: number): number | undefined {
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const { bytes } = this.#free[i]!;
      if (bytes >= size && (best < 0 || bytes < this.#free[best]!.bytes)) best = i;
    }
    if (best < 0) return undefined;
    const found = this.#free[best]!;
    const { ptr } = found;
    if (found.bytes === size) this.#free.splice(best, 1);
    found.ptr += size;
    found.bytes -= size;
    return ptr;
  }

  /** Takes memory at the end, growing it by a quarter at least so that growth is rare. */
  #extend(size: number): number {
    const last = this.#free.at(-1);
    const start = last !== undefined && last.ptr + last.bytes === this.#end ? last.ptr : this.#end;
    const needed = start + size + GUARD;
    if (needed > this.reserved && !this.#grow(Math.max(needed, this.reserved * 1.25)) && !this.#grow(needed)) {
      throw new OutOfMemoryError(size, Math.max(0, this.#maximum - GUARD - start));
    }
    if (start !== this.#end) this.#free.pop();
    this.#end = start + size;
    return start;
  }

  #grow(bytes: number): boolean {
    if (bytes > this.#maximum) return false;
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
    let at = this.#firstAfter(block.ptr);
    const before = this.#free[at - 1];
    if (before !== undefined && before.ptr + before.bytes === block.ptr) {
      before.bytes += block.bytes;
      at -= 1;
    } else {
      this.#free.splice(at, 0, { ptr: block.ptr, bytes: block.bytes });
    }
    const joined = this.#free[at]!;
    const after = this.#free[at + 1];
    if (after !== undefined && joined.ptr + joined.bytes === after.ptr) {
      joined.bytes += after.bytes;
      this.#free.splice(at + 1, 1);
    }
  }

  #firstAfter(ptr: number): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#free[middle]!.ptr < ptr) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
