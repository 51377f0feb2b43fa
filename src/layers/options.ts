/** Checks of options that only layers have: windows, paddings, groups, algorithms. */

import type { PaddingMode, Pads, Pair, Window } from '../graph/graph.js';
import type { Algorithm } from '../nodes/algorithm.js';
import { oneOf, wholeNumber } from '../options.js';
import { ALGORITHMS } from '../plan/conv/algorithm.js';
import { show } from '../shown.js';

/** One number for both axes, or [height, width]. */
export type Size = number | readonly [number, number];

export interface WindowOptions {
  readonly kernelSize: Size;
  readonly stride?: Size;
  readonly padding?: Size | 'same' | 'valid';
  readonly dilation?: Size;
}

const PADDING_MODES: readonly PaddingMode[] = ['zeros', 'reflect', 'replicate', 'circular'];

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
  const [top, left] = [Math.floor(height / 2), Math.floor(width / 2)];
  return [top, left, height - top, width - left];
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
