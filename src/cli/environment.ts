/**
 * Variables of the environment. Deno asks its user before it lets a program read one, and printing a table should not
 * prompt: there, a variable that may not be read counts as unset.
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
  // Deno exposes this one without a prompt.
  return name === 'NO_COLOR' && deno.noColor ? '1' : undefined;
}
