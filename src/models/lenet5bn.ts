/** LeNet-5 with BatchNorm for 28 x 28 images, as the public ACNet code builds it. */
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { checkNames, show, wholeNumber } from '../layers/options.js';
import { MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { buildModel, checkForm, convBnRelu, type Form } from './units.js';

export interface ModelOptions {
  /** `'train'`, `'base'` (plain convolution and BatchNorm) or `'deploy'`; default `'train'`. */
  form?: Form;
  /** Default 10. */
  numClasses?: number;
  /** Channels of the images. */
  inChannels?: number;
  /** Output channels of the convolutions. */
  channels?: readonly number[];
}

/**
 * Input [N, inChannels = 1, 28, 28], output [N, numClasses] logits. `channels` defaults to [20, 50].
 *
 * State keys: `stem.conv1`, `stem.conv2` (`.acb.*`, or `.conv.*` and `.bn.*` in base form), `linear1`, `linear2`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = lenet5bn(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function lenet5bn(runtime: Runtime, options: ModelOptions = {}): Layer {
  const owner = 'lenet5bn';
  checkNames(owner, options, ['form', 'numClasses', 'inChannels', 'channels']);
  const form = checkForm(owner, options.form ?? 'train');
  const numClasses = wholeNumber(owner, 'numClasses', options.numClasses ?? 10, 1);
  const inChannels = wholeNumber(owner, 'inChannels', options.inChannels ?? 1, 1);
  const channels = options.channels ?? [20, 50];
  if (!Array.isArray(channels) || channels.length !== 2) {
    throw new RangeError(`${owner}: channels must be two numbers, got ${show(channels)}`);
  }
  const [first, second] = channels.map((count, i) => wholeNumber(owner, `channels[${i}]`, count, 1)) as [
    number,
    number,
  ];
  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        stem: new Sequential(runtime, {
          conv1: convBnRelu(runtime, form, { inChannels, outChannels: first, kernelSize: 5 }),
          maxpool1: new MaxPool2d(runtime, { kernelSize: 2 }),
          conv2: convBnRelu(runtime, form, { inChannels: first, outChannels: second, kernelSize: 5 }),
          maxpool2: new MaxPool2d(runtime, { kernelSize: 2 }),
        }),
        flatten: new Flatten(runtime),
        linear1: new Linear(runtime, { inFeatures: second * 4 * 4, outFeatures: 500 }),
        relu1: new ReLU(runtime),
        linear2: new Linear(runtime, { inFeatures: 500, outFeatures: numClasses }),
      }),
  );
}
