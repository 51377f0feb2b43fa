/**
 * ResNet-18 for ImageNet (He, Zhang, Ren, Sun, 2016), as the public ACNet code builds it: its first convolution, 7 x 7,
 * stays a plain one.
 */
import { Composite } from '../layers/composite.js';
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { MaxPool2d } from '../layers/pool2d.js';
import { Sequential } from '../layers/sequential.js';
import { Add, Flatten, GlobalAvgPool2d, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkBlocksPerStage, checkModelOptions, type StagedModelOptions } from './options.js';
import { buildModel, convBn, convBnRelu } from './units.js';

/**
 * Input [N, inChannels = 3, 224, 224], output [N, numClasses = 1000] logits. `channels` are those of the stages, [64,
 * 128, 256, 512] by default; 2 `blocksPerStage` by default, and [3, 4, 6, 3] makes it ResNet-34.
 *
 * State keys: `conv1` and `stageS.I.shortcut` (`.conv.*` and `.bn.*` in every form), `stageS.I.conv1` (`.acb.*`) and
 * `stageS.I.conv2` with I from 0 (`.conv.*` and `.bn.*` in base form), `linear`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const net = resnet18(runtime).loadStateDict(readSafetensors(bytes).tensors).eval().switchToDeploy();
 */
export function resnet18(runtime: Runtime, options: StagedModelOptions = {}): Layer {
  const owner = 'resnet18';
  const defaults = { numClasses: 1000, inChannels: 3, channels: [64, 128, 256, 512] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults, ['blocksPerStage']);
  const blocksPerStage = checkBlocksPerStage(owner, options.blocksPerStage ?? 2, 4);

  const block = (from: number, outChannels: number, stride: number): Layer => {
    const isProjected = stride !== 1 || from !== outChannels;
    const layers = {
      ...(isProjected && {
        shortcut: convBn(runtime, form, { inChannels: from, outChannels, kernelSize: 1, stride }),
      }),
      conv1: convBnRelu(runtime, form, { inChannels: from, outChannels, kernelSize: 3, stride, padding: 1 }),
      conv2: convBn(runtime, form, { inChannels: outChannels, outChannels, kernelSize: 3, padding: 1 }),
      add: new Add(runtime),
      relu: new ReLU(runtime),
    };
    return new Composite(runtime, layers, (x, apply) => {
      const shortcut = isProjected ? apply('shortcut', x) : x;
      return apply('relu', apply('add', shortcut, apply('conv2', apply('conv1', x))));
    });
  };

  const stage = (s: number): Layer => {
    const [from, outChannels] = [channels[s === 0 ? 0 : s - 1]!, channels[s]!];
    const blocks = Array.from({ length: blocksPerStage[s]! }, (_, i) =>
      i === 0 ? block(from, outChannels, s === 0 ? 1 : 2) : block(outChannels, outChannels, 1),
    );
    return new Sequential(runtime, blocks);
  };

  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        conv1: convBnRelu(runtime, form, {
          inChannels,
          outChannels: channels[0],
          kernelSize: 7,
          stride: 2,
          padding: 3,
        }),
        maxpool: new MaxPool2d(runtime, { kernelSize: 3, stride: 2, padding: 1 }),
        stage1: stage(0),
        stage2: stage(1),
        stage3: stage(2),
        stage4: stage(3),
        gap: new GlobalAvgPool2d(runtime),
        flatten: new Flatten(runtime),
        linear: new Linear(runtime, { inFeatures: channels[3], outFeatures: numClasses }),
      }),
  );
}
