/** Cifar-quick (the quick model of Caffe's CIFAR-10 example) with BatchNorm, as the public ACNet code builds it. */
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { AvgPool2d, MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkModelOptions, type ModelOptions } from './options.js';
import { buildModel, convBnRelu } from './units.js';

/**
 * Input [N, inChannels = 3, 32, 32], output [N, numClasses = 10] logits. `channels` defaults to [32, 32, 64].
 *
 * State keys: `conv1`, `conv2`, `conv3` (`.acb.*`, or `.conv.*` and `.bn.*` in base form), `fc1`, `fc2`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = cifarQuick(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function cifarQuick(runtime: Runtime, options: ModelOptions = {}): Layer {
  const owner = 'cifarQuick';
  const defaults = { numClasses: 10, inChannels: 3, channels: [32, 32, 64] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults);
  const [first, second, third] = channels;
  const window = { kernelSize: 5, padding: 2 };
  const pool = { kernelSize: 3, stride: 2 };
  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        conv1: convBnRelu(runtime, form, { inChannels, outChannels: first, ...window }),
        pool1: new MaxPool2d(runtime, pool),
        conv2: convBnRelu(runtime, form, { inChannels: first, outChannels: second, ...window }),
        pool2: new AvgPool2d(runtime, pool),
        conv3: convBnRelu(runtime, form, { inChannels: second, outChannels: third, ...window }),
        pool3: new AvgPool2d(runtime, pool),
        flatten: new Flatten(runtime),
        fc1: new Linear(runtime, { inFeatures: third * 3 * 3, outFeatures: 64 }),
        relu: new ReLU(runtime),
        fc2: new Linear(runtime, { inFeatures: 64, outFeatures: numClasses }),
      }),
  );
}
