/**
 * How to notice a worker's end in engines that have no event for it (browsers and Deno): it holds a lock while it
 * lives, and a thread that waits for that lock gets it when the worker's last instruction is done.
 */

/** A name for a worker's lock; undefined where there are no locks. */
export function lifelineName(): string | undefined {
  return locks() && `acnet-wasm ${crypto.randomUUID()}`;
}

/** Holds the lock until this thread ends. False where a page may not have locks. */
export function holdLifeline(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = (): Promise<never> => {
      resolve(true);
      return new Promise(() => {});
    };
    locks()!
      .request(name, hold)
      .catch(() => resolve(false));
  });
}

/** Settled when the thread that holds the lock has ended. */
export async function lifelineCut(name: string): Promise<void> {
  await locks()!.request(name, () => {});
}

function locks(): Pick<LockManager, 'request'> | undefined {
  return (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
}
