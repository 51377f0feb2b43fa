/**
 * Variables of the environment. Deno asks its user before it lets a program read one, and nobody who wants a table should
 * be asked: there, what may not be read is not there.
 */
import process from 'node:process';

interface Deno {
  readonly noColor: boolean;
  readonly permissions: { querySync(what: { name: 'env'; variable: string }): { readonly state: string } };
}

const { Deno: deno } = globalThis as { Deno?: Deno };

export function variable(name: string): string | undefined {
  if (deno === undefined || deno.permissions.querySync({ name: 'env', variable: name }).state === 'granted') {
    return process.env[name];
  }
  // Deno tells this one without being asked.
  return name === 'NO_COLOR' && deno.noColor ? '1' : undefined;
}
