/** Lets others have their turn: signals and pipes of a process, the events of a page. */

interface Turns {
  setImmediate?: (callback: () => void) => unknown;
}

/** Settles when what waits has been served. A timer would wait too long: 4 ms in pages. */
export function breathe(): Promise<void> {
  const { setImmediate } = globalThis as Turns;
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
