/** Modules of Node, for places at the edge of a network: there are none. */
import { UnsupportedError } from '../errors.js';

export async function importNodeModule(name: string): Promise<never> {
  throw new UnsupportedError(`there is no ${name} at the edge; give bytes or an address`);
}
