/** LeNet-5 with BatchNorm for 28 x 28 images, as the public ACNet code builds it. */
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkModelOptions, type ModelOptions } from './options.js';
import { buildModel, convBnRelu } from './units.js';

/**
 * Input [N, inChannels = 1, 28, 28], output [N, numClasses = 10] logits. `channels` defaults to [20, 50].
 *
 * State keys: `stem.conv1`, `stem.conv2` (`.acb.*`, or `.conv.*` and `.bn.*` in base form), `linear1`, `linear2`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = lenet5bn(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function lenet5bn(runtime: Runtime, options: ModelOptions = {}): Layer {
  const owner = 'lenet5bn';
  const defaults = { numClasses: 10, inChannels: 1, channels: [20, 50] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults);
  const [first, second] = channels;
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
