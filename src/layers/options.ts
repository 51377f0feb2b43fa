/** Checks of layer options, once, at the public door. Every message names the option, what was expected and what came. */
import type { PaddingMode, Pads, Pair, Window } from '../graph/graph.js';
import { ALGORITHMS, type Algorithm } from '../plan/algorithm.js';

/** One number for both axes, or [height, width]. */
export type Size = number | readonly [number, number];

export interface WindowOptions {
  readonly kernelSize: Size;
  readonly stride?: Size;
  readonly padding?: Size | 'same' | 'valid';
  readonly dilation?: Size;
}

const PADDING_MODES: readonly PaddingMode[] = ['zeros', 'reflect', 'replicate', 'circular'];

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

/** A number for both axes or a pair of [height, width]. */
export function pair(owner: string, name: string, value: unknown, least: number): Pair {
  if (Array.isArray(value)) {
    if (value.length !== 2) {
      throw new RangeError(`${owner}: ${name} must be a number or [height, width], got ${show(value)}`);
    }
    return [wholeNumber(owner, `${name}[0]`, value[0], least), wholeNumber(owner, `${name}[1]`, value[1], least)];
  }
  const both = wholeNumber(owner, name, value, least);
  return [both, both];
}

export function paddingMode(owner: string, value: unknown): PaddingMode {
  return oneOf(owner, 'paddingMode', value, PADDING_MODES);
}

export function checkAlgorithm(owner: string, value: unknown): Algorithm | undefined {
  return value === undefined ? undefined : oneOf(owner, 'algorithm', value, ALGORITHMS);
}

/** The window of a convolution; 'same' keeps the size, with the odd pixel at the end, as in PyTorch. */
export function convWindow(owner: string, options: WindowOptions): Window {
  const kernel = pair(owner, 'kernelSize', options.kernelSize, 1);
  const stride = pair(owner, 'stride', options.stride ?? 1, 1);
  const dilation = pair(owner, 'dilation', options.dilation ?? 1, 1);
  return { kernel, stride, dilation, pads: pads(owner, options.padding ?? 0, kernel, stride, dilation) };
}

function pads(owner: string, padding: unknown, kernel: Pair, stride: Pair, dilation: Pair): Pads {
  if (typeof padding !== 'string') {
    const [height, width] = pair(owner, 'padding', padding, 0);
    return [height, width, height, width];
  }
  if (oneOf(owner, 'padding', padding, ['same', 'valid']) === 'valid') return [0, 0, 0, 0];
  if (stride[0] !== 1 || stride[1] !== 1) {
    throw new RangeError(`${owner}: padding 'same' needs a stride of 1, got ${show(stride)}`);
  }
  const [height, width] = [dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)];
  return [height >> 1, width >> 1, height - (height >> 1), width - (width >> 1)];
}

/** Both channel counts must be multiples of groups. */
export function checkGroups(owner: string, inChannels: number, outChannels: number, groups: number): void {
  for (const [name, channels] of [
    ['inChannels', inChannels],
    ['outChannels', outChannels],
  ] as const) {
    if (channels % groups !== 0) {
      throw new RangeError(`${owner}: groups must divide ${name}, got groups ${groups} and ${name} ${channels}`);
    }
  }
}

/** Options must be an object; an unknown name is most often a misspelt one. */
export function checkNames(owner: string, options: unknown, allowed: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${owner}: options must be an object, got ${show(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!allowed.includes(name)) {
      throw new TypeError(`${owner}: unknown option ${name}; this layer has ${allowed.join(', ')}`);
    }
  }
}

export function show(value: unknown): string {
  if (typeof value === 'number' || value === undefined) return String(value);
  return JSON.stringify(value) ?? String(value);
}
