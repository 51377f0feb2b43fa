/** Checks of options, once, at the public door. Every message names the option, what was expected and what came. */
import { show, showName } from './shown.js';

/** @throws TypeError, RangeError when it is none or below `least` */
export function wholeNumber(owner: string, name: string, value: unknown, least: number): number {
  if (typeof value !== 'number') throw new TypeError(`${owner}: ${name} must be a whole number, got ${show(value)}`);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${owner}: ${name} must be a whole number of at least ${least}, got ${show(value)}`);
  }
  return value;
}

export function finiteNumber(owner: string, name: string, value: unknown, least = Number.NEGATIVE_INFINITY): number {
  if (typeof value !== 'number') throw new TypeError(`${owner}: ${name} must be a number, got ${show(value)}`);
  if (!Number.isFinite(value) || value < least) {
    const range = least === Number.NEGATIVE_INFINITY ? 'a finite number' : `a finite number of at least ${least}`;
    throw new RangeError(`${owner}: ${name} must be ${range}, got ${show(value)}`);
  }
  return value;
}

export function flag(owner: string, name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${owner}: ${name} must be true or false, got ${show(value)}`);
  return value;
}

export function oneOf<T extends string>(owner: string, name: string, value: unknown, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) {
    const error = typeof value === 'string' ? RangeError : TypeError;
    throw new error(`${owner}: ${name} must be one of ${allowed.map(show).join(', ')}, got ${show(value)}`);
  }
  return value as T;
}

/**
 * Options must be an object; an unknown name is most often a misspelt one.
 *
 * @param ignored names that are taken and do nothing
 */
export function checkNames(
  owner: string,
  options: unknown,
  allowed: readonly string[],
  ignored: readonly string[] = [],
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${owner}: options must be an object, got ${show(options)}`);
  }
  const unknown = Object.keys(options).find((name) => !allowed.includes(name) && !ignored.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`${owner}: unknown option ${showName(unknown)}; there are ${allowed.join(', ')}`);
  }
}
