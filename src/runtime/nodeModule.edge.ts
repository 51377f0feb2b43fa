/** Modules of Node on edge platforms: there are none. */
import { UnsupportedError } from '../errors.js';

export async function importNodeModule(name: string): Promise<never> {
  throw new UnsupportedError(`there is no ${name} at the edge; give bytes or an address`);
}
