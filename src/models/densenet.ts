/** DenseNet for 32 x 32 images, without bottlenecks and compression (Huang, Liu, van der Maaten, Weinberger, 2017). */
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { AvgPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, GlobalAvgPool2d, ReLU } from '../layers/simple.js';
import { wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkBlocksPerStage, checkModelOptions, type DenseModelOptions } from './options.js';
import { bnReluConv, buildModel, conv, denseLayer } from './units.js';

/**
 * Input [N, inChannels = 3, 32, 32], output [N, numClasses = 10] logits. `channels` is that of the first convolution,
 * [16] by default; every layer adds `growth = 12`; with n layers (`blocksPerStage`) in each of the 3 stages it has 3n +
 * 4 layers; the default 12 gives DenseNet-40.
 *
 * State keys: `conv1`, `stageS.layerI.conv` with I from 0 (`.bn.*` and `.acb.*`, or `.bn.*` and `.conv.*` in base
 * form), `trans1`, `trans2` (1 x 1: `.bn.*` and `.conv.*` in every form), `last_bn`, `linear`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = densenet(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function densenet(runtime: Runtime, options: DenseModelOptions = {}): Layer {
  const owner = 'densenet';
  const defaults = { numClasses: 10, inChannels: 3, channels: [16] } as const;
  const further = ['blocksPerStage', 'growth'];
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults, further);
  const blocksPerStage = checkBlocksPerStage(owner, options.blocksPerStage ?? 12, 3);
  const growth = wholeNumber(owner, 'growth', options.growth ?? 12, 1);
  const window = { kernelSize: 3, padding: 1 };
  let width: number = channels[0];

  const stage = (s: number): Layer => {
    const layers = Array.from({ length: blocksPerStage[s]! }, (_, i) => {
      const unit = bnReluConv(runtime, form, { inChannels: width, outChannels: growth, ...window });
      width += growth;
      return [`layer${i}`, denseLayer(runtime, { conv: unit })];
    });
    return new Sequential(runtime, Object.fromEntries(layers));
  };
  const transition = (): Layer => bnReluConv(runtime, form, { inChannels: width, outChannels: width, kernelSize: 1 });

  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        conv1: conv(runtime, form, { inChannels, outChannels: width, ...window }),
        stage1: stage(0),
        trans1: transition(),
        pool1: new AvgPool2d(runtime, { kernelSize: 2 }),
        stage2: stage(1),
        trans2: transition(),
        pool2: new AvgPool2d(runtime, { kernelSize: 2 }),
        stage3: stage(2),
        last_bn: new BatchNorm2d(runtime, { numFeatures: width }),
        relu: new ReLU(runtime),
        gap: new GlobalAvgPool2d(runtime),
        flatten: new Flatten(runtime),
        linear: new Linear(runtime, { inFeatures: width, outFeatures: numClasses }),
      }),
  );
}
