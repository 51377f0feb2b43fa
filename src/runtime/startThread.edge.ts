/** Threads, for places at the edge of a network: there are none. */
export function whyNoThreads(): string {
  return 'a worker at the edge has one thread';
}

export async function startThread(): Promise<never> {
  throw new Error(whyNoThreads());
}
