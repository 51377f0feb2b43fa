/** Threads on edge platforms: there are none. */
export function whyNoThreads(): string {
  return 'a worker at the edge has one thread';
}

export async function startThread(): Promise<never> {
  throw new Error(whyNoThreads());
}
