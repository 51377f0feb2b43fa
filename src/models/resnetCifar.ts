/**
 * ResNet for 32 x 32 images (He, Zhang, Ren, Sun, 2016, section 4.2), as the public ACNet code builds it stage by
 * stage.
 */
import { type Apply, Composite } from '../layers/composite.js';
import type { Layer } from '../layers/layer.js';
import { Linear } from '../layers/linear.js';
import { Sequential } from '../layers/sequential.js';
import { Add, Flatten, GlobalAvgPool2d, ReLU } from '../layers/simple.js';
import type { Runtime } from '../runtime/runtime.js';
import { checkBlocksPerStage, checkModelOptions, type StagedModelOptions } from './options.js';
import { buildModel, convBn, convBnRelu } from './units.js';

/**
 * Input [N, inChannels = 3, 32, 32], output [N, numClasses = 10] logits. `channels` are those of the stages, [16, 32,
 * 64] by default; with n `blocksPerStage` it has 6n + 2 layers; the default 9 gives ResNet-56.
 *
 * State keys: `stage1.conv1`, `stage2.projection`, `stage3.projection` (1 x 1: `.conv.*` and `.bn.*` in every form),
 * `stageS.blockI.conv1` (`.acb.*`), `stageS.blockI.conv2` with I from 0, `linear`. In base form each has `.conv.*` and
 * `.bn.*`.
 * @throws TypeError, RangeError naming the option
 * @example
 * const resnet20 = resnetCifar(runtime, { blocksPerStage: 3 });
 */
export function resnetCifar(runtime: Runtime, options: StagedModelOptions = {}): Layer {
  const owner = 'resnetCifar';
  const defaults = { numClasses: 10, inChannels: 3, channels: [16, 32, 64] } as const;
  const { form, numClasses, inChannels, channels } = checkModelOptions(owner, options, defaults, ['blocksPerStage']);
  const blocksPerStage = checkBlocksPerStage(owner, options.blocksPerStage ?? 9, 3);
  const window = { kernelSize: 3, padding: 1 };

  const block = (from: number, outChannels: number, stride: number): Layer =>
    new Sequential(runtime, {
      conv1: convBnRelu(runtime, form, { inChannels: from, outChannels, stride, ...window }),
      conv2: convBn(runtime, form, { inChannels: outChannels, outChannels, ...window }),
    });

  const stage = (s: number): Layer => {
    const [from, outChannels] = [channels[s - 1] ?? inChannels, channels[s]!];
    const blocks = Array.from({ length: blocksPerStage[s]! }, (_, i) =>
      i === 0 && s > 0 ? block(from, outChannels, 2) : block(outChannels, outChannels, 1),
    );
    return s === 0
      ? firstStage(runtime, convBn(runtime, form, { inChannels: from, outChannels, ...window }), blocks)
      : laterStage(runtime, convBn(runtime, form, { inChannels: from, outChannels, kernelSize: 1, stride: 2 }), blocks);
  };

  return buildModel(
    owner,
    runtime,
    () =>
      new Sequential(runtime, {
        stage1: stage(0),
        stage2: stage(1),
        stage3: stage(2),
        gap: new GlobalAvgPool2d(runtime),
        flatten: new Flatten(runtime),
        linear: new Linear(runtime, { inFeatures: channels[2], outFeatures: numClasses }),
      }),
  );
}

/** A convolution, then the blocks. */
function firstStage(runtime: Runtime, conv1: Layer, blocks: readonly Layer[]): Layer {
  const named = nameBlocks(blocks);
  const layers = { conv1, ...named, add: new Add(runtime), relu: new ReLU(runtime) };
  return new Composite(runtime, layers, (input, apply) =>
    Object.keys(named).reduce((x, name) => addResidual(x, apply(name, x), apply), apply('relu', apply('conv1', input))),
  );
}

/** The blocks, with a projection beside the first one. */
function laterStage(runtime: Runtime, projection: Layer, blocks: readonly Layer[]): Layer {
  const named = nameBlocks(blocks);
  const layers = { projection, ...named, add: new Add(runtime), relu: new ReLU(runtime) };
  return new Composite(runtime, layers, (input, apply) =>
    Object.keys(named).reduce((x, name) => {
      const shortcut = name === 'block0' ? apply('projection', x) : x;
      return addResidual(shortcut, apply(name, x), apply);
    }, input),
  );
}

function nameBlocks(blocks: readonly Layer[]): Record<string, Layer> {
  return Object.fromEntries(blocks.map((block, i) => [`block${i}`, block]));
}

function addResidual(shortcut: string, residual: string, apply: Apply): string {
  return apply('relu', apply('add', shortcut, residual));
}
