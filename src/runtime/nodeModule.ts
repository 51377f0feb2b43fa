/**
 * Modules of Node, for code that bundlers prepare for web pages too. The name comes as an argument: one that a minifier
 * can set into the import is looked for, and not found, when a page is bundled.
 */
export function importNodeModule<T>(name: string): Promise<T> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name);
}
