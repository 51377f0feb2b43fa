/**
 * DenseNet-121 for ImageNet (Huang, Liu, van der Maaten, Weinberger, 2017), as torchvision builds it: its base form
 * loads torchvision's state dict. By the rule of the public ACNet code its first convolution, 7 x 7, stays a plain one.
 */
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { AvgPool2d, MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Flatten, GlobalAvgPool2d, ReLU } from '../layers/simple.js';
import { wholeNumber } from '../options.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkBlocksPerStage, checkModelOptions, type DenseModelOptions } from './options.js';
import { buildModel, conv, denseLayer } from './units.js';

/** A dense layer's 1 x 1 convolution makes this many times `growth` channels. */
const BOTTLENECK = 4;

/**
 * Input [N, inChannels = 3, 224, 224], output [N, numClasses = 1000] logits. `channels` is that of the first
 * convolution, [64] by default; every layer adds `growth = 32`; `blocksPerStage` are the layers of the dense blocks,
 * [6, 12, 24, 16] by default.
 *
 * State keys: `features.conv0`, `features.norm0`, `features.denseblockB.denselayerI.{norm1,conv1,norm2,conv2}`,
 * `features.transitionB.{norm,conv}`, `features.norm5`, `classifier`. Only the `conv2` are blocks.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = densenet121(runtime, { form: 'base' }).loadStateDict(readSafetensors(bytes).tensors).eval();
 */
export function densenet121(runtime: Runtime, options: DenseModelOptions = {}): Layer {
  const owner = 'densenet121';
  const defaults = { numClasses: 1000, inChannels: 3, channels: [64] } as const;
  const further = ['blocksPerStage', 'growth'];
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults, further);
  const blocksPerStage = checkBlocksPerStage(owner, options.blocksPerStage ?? [6, 12, 24, 16], 4);
  const growth = wholeNumber(owner, 'growth', options.growth ?? 32, 1);
  let width: number = channels[0];

  const norm = (numFeatures: number): Layer => new BatchNorm2d(runtime, { numFeatures });
  const layer = (): Layer => {
    const inner = growth * BOTTLENECK;
    const layers = {
      norm1: norm(width),
      relu1: new ReLU(runtime),
      conv1: conv(runtime, form, { inChannels: width, outChannels: inner, kernelSize: 1 }),
      norm2: norm(inner),
      relu2: new ReLU(runtime),
      conv2: conv(runtime, form, { inChannels: inner, outChannels: growth, kernelSize: 3, padding: 1 }),
    };
    width += growth;
    return denseLayer(runtime, layers);
  };
  const denseBlock = (b: number): Layer => {
    const layers = Array.from({ length: blocksPerStage[b]! }, (_, i) => [`denselayer${i + 1}`, layer()]);
    return new Sequential(runtime, Object.fromEntries(layers));
  };
  const transition = (): Layer => {
    const from = width;
    width = Math.floor(from / 2);
    return new Sequential(runtime, {
      norm: norm(from),
      relu: new ReLU(runtime),
      conv: conv(runtime, form, { inChannels: from, outChannels: width, kernelSize: 1 }),
      pool: new AvgPool2d(runtime, { kernelSize: 2 }),
    });
  };

  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        features: new Sequential(runtime, {
          conv0: conv(runtime, form, { inChannels, outChannels: width, kernelSize: 7, stride: 2, padding: 3 }),
          norm0: norm(width),
          relu0: new ReLU(runtime),
          pool0: new MaxPool2d(runtime, { kernelSize: 3, stride: 2, padding: 1 }),
          denseblock1: denseBlock(0),
          transition1: transition(),
          denseblock2: denseBlock(1),
          transition2: transition(),
          denseblock3: denseBlock(2),
          transition3: transition(),
          denseblock4: denseBlock(3),
          norm5: norm(width),
        }),
        relu: new ReLU(runtime),
        gap: new GlobalAvgPool2d(runtime),
        flatten: new Flatten(runtime),
        classifier: new Linear(runtime, { inFeatures: width, outFeatures: numClasses }),
      }),
  );
}
