/**
 * AlexNet (Krizhevsky, 2014, the single column of torchvision) with BatchNorm. As in the ACNet paper, the branches of
 * its 11 x 11 and 5 x 5 layers have length 3.
 */
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkModelOptions, type ModelOptions } from './options.js';
import { buildModel, convBnRelu, type UnitOptions } from './units.js';

/**
 * Input [N, inChannels = 3, 224, 224], output [N, numClasses = 1000] logits. `channels` are those of the 5
 * convolutions, [64, 192, 384, 256, 256] by default. There is no dropout.
 *
 * State keys, numbered as in torchvision: `features.0`, `features.3`, `features.6`, `features.8`, `features.10`
 * (`.acb.*`, or `.conv.*` and `.bn.*` in base form), `classifier.1`, `classifier.4`, `classifier.6`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = alexnet(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function alexnet(runtime: Runtime, options: ModelOptions = {}): Layer {
  const owner = 'alexnet';
  const defaults = { numClasses: 1000, inChannels: 3, channels: [64, 192, 384, 256, 256] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults);
  const [first, second, third, fourth, fifth] = channels;
  const branchSize = 3;
  const window = { kernelSize: 3, padding: 1 };
  const pool = { kernelSize: 3, stride: 2 };
  return buildModel(owner, runtime, () => {
    const unit = (unitOptions: UnitOptions): Layer => convBnRelu(runtime, form, unitOptions);
    return new Sequential(runtime, {
      features: new Sequential(runtime, {
        0: unit({ inChannels, outChannels: first, kernelSize: 11, stride: 4, padding: 2, branchSize }),
        2: new MaxPool2d(runtime, pool),
        3: unit({ inChannels: first, outChannels: second, kernelSize: 5, padding: 2, branchSize }),
        5: new MaxPool2d(runtime, pool),
        6: unit({ inChannels: second, outChannels: third, ...window }),
        8: unit({ inChannels: third, outChannels: fourth, ...window }),
        10: unit({ inChannels: fourth, outChannels: fifth, ...window }),
        12: new MaxPool2d(runtime, pool),
      }),
      flatten: new Flatten(runtime),
      classifier: new Sequential(runtime, {
        1: new Linear(runtime, { inFeatures: fifth * 6 * 6, outFeatures: 4096 }),
        2: new ReLU(runtime),
        4: new Linear(runtime, { inFeatures: 4096, outFeatures: 4096 }),
        5: new ReLU(runtime),
        6: new Linear(runtime, { inFeatures: 4096, outFeatures: numClasses }),
      }),
    });
  });
}
