/** Checks of options, once, at the public door. Every message names the option, what was expected and what came. */
import { show, showName } from './shown.js';

/** @throws TypeError, RangeError unless it is a whole number from `least` to `most` */
export function wholeNumber(owner: string, name: string, value: unknown, least: number, most?: number): number {
  if (typeof value !== 'number') throw new TypeError(`${owner}: ${name} must be a whole number, got ${show(value)}`);
  if (!Number.isSafeInteger(value) || isOutside(value, least, most)) {
    throw new RangeError(`${owner}: ${name} must be a whole number${range(least, most)}, got ${show(value)}`);
  }
  return value;
}

function isOutside(value: number, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY): boolean {
  return value < least || value > most;
}

function range(least: number | undefined, most: number | undefined): string {
  if (least === undefined) return '';
  return most === undefined ? ` of at least ${least}` : ` from ${least} to ${most}`;
}

export function finiteNumber(owner: string, name: string, value: unknown, least?: number, most?: number): number {
  if (typeof value !== 'number') throw new TypeError(`${owner}: ${name} must be a number, got ${show(value)}`);
  if (!Number.isFinite(value) || isOutside(value, least, most)) {
    throw new RangeError(`${owner}: ${name} must be a finite number${range(least, most)}, got ${show(value)}`);
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
 * Options must be an object; an unknown name is usually a typo.
 *
 * @param ignored names that are accepted and ignored
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
