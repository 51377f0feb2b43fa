/**
 * The units that networks are built from, in three forms, under the key names of the public ACNet code: a block that a
 * ReLU follows is `acb`, one on its own has its unit's name, a plain pair is `conv` and `bn`.
 */
import { ACBlock } from '../layers/acBlock.js';
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import { Composite } from '../layers/composite.js';
import { Conv2d, type Conv2dOptions } from '../layers/conv2d.js';
import type { Layer } from '../layers/layer.js';
import type { Size } from '../layers/options.js';
import { Sequential } from '../layers/sequential.js';
import { Concat, ReLU } from '../layers/simple.js';
import { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import type { Form } from './options.js';

export interface UnitOptions extends Omit<Conv2dOptions, 'bias'> {
  /** Length of a block's one-dimensional kernels; with it, a kernel of any size becomes a block. */
  branchSize?: number;
}

/** Runs a builder; on an error, frees the layers that it had made. */
export function buildModel(owner: string, runtime: Runtime, build: () => Layer): Layer {
  if (!(runtime instanceof Runtime)) {
    throw new TypeError(`${owner}: runtime must come from createRuntime, got ${show(runtime)}`);
  }
  return runtime.heap.undoOnError(build);
}

/** Whether the public code's builder makes a block of this kernel: square and of size 2 to 6. */
export function isBlockKernel(kernelSize: Size): boolean {
  const [height, width] = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : kernelSize;
  return height === width && height >= 2 && height <= 6;
}

/** A convolution and its BatchNorm, or the block that takes their place. */
function pair(runtime: Runtime, form: Form, options: UnitOptions): ACBlock | { conv: Conv2d; bn: BatchNorm2d } {
  const block = blockOf(runtime, form, options);
  if (block !== undefined) return block;
  return { conv: plainConv(runtime, options), bn: new BatchNorm2d(runtime, { numFeatures: options.outChannels }) };
}

function blockOf(runtime: Runtime, form: Form, options: UnitOptions): ACBlock | undefined {
  const isBlock = options.branchSize !== undefined || isBlockKernel(options.kernelSize);
  return form !== 'base' && isBlock ? new ACBlock(runtime, { ...options, form }) : undefined;
}

function plainConv(runtime: Runtime, { branchSize: _, ...options }: UnitOptions): Conv2d {
  return new Conv2d(runtime, { ...options, bias: false });
}

/** Keys: the convolution's or the block's own. */
export function conv(runtime: Runtime, form: Form, options: UnitOptions): Layer {
  return blockOf(runtime, form, options) ?? plainConv(runtime, options);
}

/** Keys: the block's own, or `conv` and `bn`. */
export function convBn(runtime: Runtime, form: Form, options: UnitOptions): Layer {
  const layers = pair(runtime, form, options);
  return layers instanceof ACBlock ? layers : new Sequential(runtime, layers);
}

/** Keys: the block under `acb`, or `conv` and `bn`. */
export function convBnRelu(runtime: Runtime, form: Form, options: UnitOptions): Layer {
  const layers = pair(runtime, form, options);
  const relu = new ReLU(runtime);
  return new Sequential(runtime, layers instanceof ACBlock ? { acb: layers, relu } : { ...layers, relu });
}

/** Keys: `bn`, and the block under `acb` or the convolution under `conv`. */
export function bnReluConv(runtime: Runtime, form: Form, options: UnitOptions): Layer {
  const bn = new BatchNorm2d(runtime, { numFeatures: options.inChannels });
  const relu = new ReLU(runtime);
  const acb = blockOf(runtime, form, options);
  return new Sequential(
    runtime,
    acb === undefined ? { bn, relu, conv: plainConv(runtime, options) } : { bn, relu, acb },
  );
}

/** Appends what a chain of layers makes of the input to the input's channels. Keys: the layers' own. */
export function denseLayer(runtime: Runtime, layers: Readonly<Record<string, Layer>>): Layer {
  const names = Object.keys(layers);
  return new Composite(runtime, { ...layers, concat: new Concat(runtime) }, (input, apply) =>
    apply(
      'concat',
      input,
      names.reduce((value, name) => apply(name, value), input),
    ),
  );
}
