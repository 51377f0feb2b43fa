/**
 * Modules of Node (which Deno, Bun and Electron have too), for code that bundlers prepare for web pages as well. No
 * form of `import` is left alone by every bundler, in every format, without a warning.
 * @throws Error where there are none
 */
export async function importNodeModule<T>(name: string): Promise<T> {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => T | undefined } };
  const module = process?.getBuiltinModule?.(name);
  if (module === undefined) throw new Error(`there is no ${name} here; Node has it from 20.16 on`);
  return module;
}
