/** The unit that networks are built from, in three forms: convolution, BatchNorm, perhaps ReLU. */
import { ACBlock } from '../layers/acBlock.js';
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import { Conv2d, type Conv2dOptions } from '../layers/conv2d.js';
import type { Layer } from '../layers/layer.js';
import { oneOf, show } from '../layers/options.js';
import { Sequential } from '../layers/sequential.js';
import { ReLU } from '../layers/simple.js';
import { Runtime } from '../runtime/runtime.js';

/** `'train'`: ACBlocks of three branches; `'deploy'`: merged ones; `'base'`: plain convolution and BatchNorm. */
export type Form = 'train' | 'base' | 'deploy';

export function checkForm(owner: string, form: unknown): Form {
  return oneOf(owner, 'form', form, ['train', 'base', 'deploy'] as const);
}

/** Runs a builder; memory of the layers that it made before an error is given back. */
export function buildModel(owner: string, runtime: Runtime, build: () => Layer): Layer {
  if (!(runtime instanceof Runtime)) {
    throw new TypeError(`${owner}: runtime must come from createRuntime, got ${show(runtime)}`);
  }
  return runtime.heap.undoOnError(build);
}

/** Keys: the block under `acb`, or `conv` and `bn` in base form. */
export function convBnRelu(runtime: Runtime, form: Form, options: Omit<Conv2dOptions, 'bias'>): Layer {
  if (form !== 'base') {
    return new Sequential(runtime, { acb: new ACBlock(runtime, { ...options, form }), relu: new ReLU(runtime) });
  }
  return new Sequential(runtime, {
    conv: new Conv2d(runtime, { ...options, bias: false }),
    bn: new BatchNorm2d(runtime, { numFeatures: options.outChannels }),
    relu: new ReLU(runtime),
  });
}
