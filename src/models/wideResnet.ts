/**
 * Wide ResNet for 32 x 32 images (Zagoruyko, Komodakis, 2016), as the public ACNet code builds it: a projection in the
 * first block of every stage, with a BatchNorm of its own, and no ReLU after the last BatchNorm.
 */
import { BatchNorm2d } from '../layers/batchNorm2d.js';
import { Composite } from '../layers/composite.js';
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { Sequential } from '../layers/sequential.js';
import { Add, Flatten, GlobalAvgPool2d } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkBlocksPerStage, checkModelOptions, type StagedModelOptions } from './options.js';
import { bnReluConv, buildModel, conv } from './units.js';

/**
 * Input [N, inChannels = 3, 32, 32], output [N, numClasses = 10] logits. `channels` are those of the first convolution
 * and of the stages, [16, 128, 256, 512] by default; with n `blocksPerStage` it has 6n + 4 layers; the default 2 gives
 * WRN-16-8.
 *
 * State keys: `conv1`, `stageS.blockI.conv1`, `stageS.blockI.conv2` with I from 1 (`.bn.*` and `.acb.*`, or `.bn.*` and
 * `.conv.*` in base form), `stageS.block1.proj` (1 x 1: `.bn.*` and `.conv.*` in every form), `last_bn`, `linear`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const wrn28x10 = wideResnet(runtime, { channels: [16, 160, 320, 640], blocksPerStage: 4 });
 */
export function wideResnet(runtime: Runtime, options: StagedModelOptions = {}): Layer {
  const owner = 'wideResnet';
  const defaults = { numClasses: 10, inChannels: 3, channels: [16, 128, 256, 512] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults, ['blocksPerStage']);
  const blocksPerStage = checkBlocksPerStage(owner, options.blocksPerStage ?? 2, 3);
  const window = { kernelSize: 3, padding: 1 };

  const firstBlock = (from: number, outChannels: number, stride: number): Layer => {
    const layers = {
      proj: bnReluConv(runtime, form, { inChannels: from, outChannels, kernelSize: 1, stride }),
      conv1: bnReluConv(runtime, form, { inChannels: from, outChannels, stride, ...window }),
      conv2: bnReluConv(runtime, form, { inChannels: outChannels, outChannels, ...window }),
      add: new Add(runtime),
    };
    return new Composite(runtime, layers, (x, apply) =>
      apply('add', apply('proj', x), apply('conv2', apply('conv1', x))),
    );
  };

  const block = (inChannels: number): Layer => {
    const layers = {
      conv1: bnReluConv(runtime, form, { inChannels, outChannels: inChannels, ...window }),
      conv2: bnReluConv(runtime, form, { inChannels, outChannels: inChannels, ...window }),
      add: new Add(runtime),
    };
    return new Composite(runtime, layers, (x, apply) => apply('add', x, apply('conv2', apply('conv1', x))));
  };

  const stage = (s: number): Layer => {
    const [from, outChannels] = [channels[s - 1]!, channels[s]!];
    const blocks = Array.from({ length: blocksPerStage[s - 1]! }, (_, i) => [
      `block${i + 1}`,
      i === 0 ? firstBlock(from, outChannels, s === 1 ? 1 : 2) : block(outChannels),
    ]);
    return new Sequential(runtime, Object.fromEntries(blocks));
  };

  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        conv1: conv(runtime, form, { inChannels, outChannels: channels[0], ...window }),
        stage1: stage(1),
        stage2: stage(2),
        stage3: stage(3),
        last_bn: new BatchNorm2d(runtime, { numFeatures: channels[3] }),
        gap: new GlobalAvgPool2d(runtime),
        flatten: new Flatten(runtime),
        linear: new Linear(runtime, { inFeatures: channels[3], outFeatures: numClasses }),
      }),
  );
}
