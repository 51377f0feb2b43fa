/** VGG-16 with BatchNorm for 32 x 32 images, as the public ACNet code builds it (Simonyan, Zisserman, 2015). */
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkModelOptions, type ModelOptions } from './options.js';
import { buildModel, convBnRelu, type UnitOptions } from './units.js';

const CHANNELS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512] as const;
/** Convolutions after which the image is halved, counted from 1. */
const POOLED: readonly number[] = [2, 4, 7, 10, 13];

/**
 * Input [N, inChannels = 3, 32, 32], output [N, numClasses = 10] logits. `channels` are those of the 13 convolutions,
 * 64 to 512 by default.
 *
 * State keys: `stem.conv1` to `stem.conv13` (`.acb.*`, or `.conv.*` and `.bn.*` in base form), `linear1`, `linear2`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = vgg16(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function vgg16(runtime: Runtime, options: ModelOptions = {}): Layer {
  const owner = 'vgg16';
  const defaults = { numClasses: 10, inChannels: 3, channels: CHANNELS } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults);
  return buildModel(owner, runtime, () => {
    const stem: Record<string, Layer> = {};
    channels.forEach((outChannels, i) => {
      const unit: UnitOptions = { inChannels: channels[i - 1] ?? inChannels, outChannels, kernelSize: 3, padding: 1 };
      stem[`conv${i + 1}`] = convBnRelu(runtime, form, unit);
      const pool = POOLED.indexOf(i + 1) + 1;
      if (pool > 0) stem[`maxpool${pool}`] = new MaxPool2d(runtime, { kernelSize: 2 });
    });
    return new Sequential(runtime, {
      stem: new Sequential(runtime, stem),
      flatten: new Flatten(runtime),
      linear1: new Linear(runtime, { inFeatures: channels[12], outFeatures: 512 }),
      relu: new ReLU(runtime),
      linear2: new Linear(runtime, { inFeatures: 512, outFeatures: numClasses }),
    });
  });
}
