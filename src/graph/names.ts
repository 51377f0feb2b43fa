/** Names that are taken, and new ones that are not. */
export class Names {
  readonly #taken = new Set<string>();
  /** By base, the number to try next: a file may be full of equal names. */
  readonly #next = new Map<string, number>();

  add(name: string): void {
    this.#taken.add(name);
  }

  /** `base` itself or with a number behind it; taken from now on. */
  derive(base: string): string {
    let name = base;
    let i = this.#next.get(base) ?? 1;
    while (this.#taken.has(name)) name = `${base}_${i++}`;
    this.#next.set(base, i);
    this.#taken.add(name);
    return name;
  }
}
