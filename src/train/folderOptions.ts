/** What the readers of datasets in folders take. */
import { checkNames, oneOf } from '../options.js';
import { show } from '../shown.js';

export interface FolderOptions {
  /** Which part of the set; default `'train'`. */
  readonly split?: 'train' | 'test';
  /** Names by label; by default what the set says, or the numbers of the labels. */
  readonly classes?: readonly string[];
}

export function checkFolderOptions(owner: string, folder: unknown, options: FolderOptions) {
  if (typeof folder !== 'string') throw new TypeError(`${owner}: folder must be a path, got ${show(folder)}`);
  checkNames(owner, options, ['split', 'classes']);
  const split = oneOf(owner, 'split', options.split ?? 'train', ['train', 'test'] as const);
  return { split, classes: checkClasses(owner, options.classes) };
}

export function checkClasses(owner: string, classes: unknown): readonly string[] | undefined {
  if (classes === undefined) return undefined;
  if (!Array.isArray(classes) || !classes.every((name) => typeof name === 'string')) {
    throw new TypeError(`${owner}: classes must be an array of names, got ${show(classes)}`);
  }
  return classes;
}
