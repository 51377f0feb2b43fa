/**
 * Which parts of a range of addresses are taken: | taken and free blocks, in address order ... | end |
 *
 * Takes the best-fitting free block, or else new memory at the end. Freed neighbours are joined.
 */
interface Block {
  ptr: number;
  bytes: number;
}

export class FreeList {
  /** Free blocks in address order, no two of them neighbours. */
  readonly #free: Block[] = [];
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  /** Best fit among the free blocks; undefined if none is large enough. */
  take(size: number): number | undefined {
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

  /** Where a block at the end would begin: a free one there becomes part of it. */
  get tail(): number {
    const last = this.#free.at(-1);
    return last !== undefined && last.ptr + last.bytes === this.#end ? last.ptr : this.#end;
  }

  /** Takes a block at the end. */
  extend(size: number): number {
    const start = this.tail;
    if (start !== this.#end) this.#free.pop();
    this.#end = start + size;
    return start;
  }

  giveBack(ptr: number, bytes: number): void {
    let at = this.#firstAfter(ptr);
    const before = this.#free[at - 1];
    if (before !== undefined && before.ptr + before.bytes === ptr) {
      before.bytes += bytes;
      at -= 1;
    } else {
      this.#free.splice(at, 0, { ptr, bytes });
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
