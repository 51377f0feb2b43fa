/** `backward` against the gradients that PyTorch computed in float64 (test/fixtures/acblock), and what it refuses. */
import { readdirSync } from 'node:fs';
import { ACBlock, type ACBlockOptions, Composite, createRuntime, type StateDict, Tensor } from 'acnet-wasm';
import { backward } from 'acnet-wasm/train';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  randomNd,
  readFixture,
  relativeError,
  seededRandom,
  supportedBuilds,
  take,
  toTensor,
  withoutPrefix,
  withRuntime,
} from './support.js';

/** Relative to the largest magnitude of a tensor, or to 0.01 if that is smaller. */
const TOLERANCE = 1e-4;
const ALGORITHMS = [
  undefined,
  'gemm',
  'depthwise',
  'winogradF4x4K3',
  'winogradF2x2K3',
  'winogradF2x3K5',
  'winogradF1x4K5',
  'winogradF4x4K3S2',
] as const;
const builds = await supportedBuilds();
const files = readdirSync('test/fixtures/acblock').filter((name) => name.endsWith('.safetensors'));

function readBlock(file: string): { tensors: StateDict; options: ACBlockOptions } {
  const { tensors, metadata } = readFixture(`acblock/${file}`);
  const { inChannels, outChannels, kernelSize, stride, padding, dilation, groups, ...config } = JSON.parse(
    metadata.config!,
  ) as ACBlockOptions;
  const { paddingMode, affine, eps, momentum, branchSize } = config;
  const norm = { affine: affine!, eps: eps!, momentum: momentum! };
  const window = { kernelSize, stride: stride!, padding: padding!, dilation: dilation! };
  const more = { groups: groups!, paddingMode: paddingMode!, ...(branchSize !== undefined && { branchSize }) };
  return { tensors, options: { inChannels, outChannels, ...window, ...norm, ...more } };
}

function expectClose(actual: StateDict, expected: StateDict, about: string): void {
  assert.equal(Object.keys(actual).sort(), Object.keys(expected).sort(), about);
  for (const [key, { data, dims }] of Object.entries(expected)) {
    assert.equal([...actual[key]!.dims], [...dims], `${about}: dims of ${key}`);
    const error = relativeError(actual[key]!.data, data);
    assert.ok(error <= TOLERANCE, `${about}: ${key} errs ${error}`);
  }
}

for (const build of builds) {
  test(`${build}: blocks have PyTorch's gradients, by every algorithm`, async () => {
    await withRuntime(build, (runtime) => {
      for (const file of files) {
        const { tensors, options } = readBlock(file);
        let applicable = 0;
        for (const algorithm of ALGORITHMS) {
          const about = `${file}, ${algorithm ?? 'chosen'}`;
          const block = new ACBlock(runtime, { ...options, ...(algorithm !== undefined && { algorithm }) });
          block.loadStateDict(withoutPrefix(tensors, 'state.'));
          try {
            const { output, inputGradient, gradients } = backward(block, tensors.input!, tensors.grad_output!);
            const [y, dx] = [take(output), take(inputGradient)];
            assert.ok(relativeError(y, tensors.output_train!.data) <= TOLERANCE, about);
            assert.ok(relativeError(dx, tensors.grad_input!.data) <= TOLERANCE, `${about}: input`);
            expectClose(gradients, withoutPrefix(tensors, 'grad.'), about);
            const after = withoutPrefix(tensors, 'after.');
            const state = Object.entries(block.stateDict()).filter(([key]) => key in after);
            expectClose(Object.fromEntries(state), after, `${about}: statistics`);
            applicable++;
          } catch (error) {
            if (algorithm === undefined || !String(error).includes('cannot compute this convolution')) throw error;
          }
          block.dispose();
        }
        assert.ok(applicable >= 2, `${file}: ${applicable} algorithms`);
      }
    });
  });

  test(`${build}: in evaluation mode running statistics normalise, and stay`, async () => {
    await withRuntime(build, (runtime) => {
      const random = seededRandom(3);
      const options = { inChannels: 3, outChannels: 4, kernelSize: 3, padding: 1 };
      const block = new ACBlock(runtime, options).eval();
      const before = block.stateDict();
      const fused = new ACBlock(runtime, { ...options, form: 'deploy' });
      const { weight, bias } = block.equivalentKernelBias();
      fused.loadStateDict({ 'fused_conv.weight': weight, 'fused_conv.bias': bias });
      const [x, dy] = [randomNd(random, [2, 3, 6, 5]), randomNd(random, [2, 4, 6, 5])].map(toTensor) as [
        Tensor,
        Tensor,
      ];
      const [ours, deployed] = [backward(block, x, dy), backward(fused, x, dy)];
      assert.ok(relativeError(take(ours.output), take(deployed.output)) < 1e-5);
      assert.ok(relativeError(take(ours.inputGradient), take(deployed.inputGradient)) < 1e-5);
      const scale = 1 / Math.sqrt(1 + 1e-5);
      const ofSquare = deployed.gradients['fused_conv.weight']!.data.map((value) => value * scale);
      assert.ok(relativeError(ours.gradients['square_conv.weight']!.data, ofSquare) < 1e-5);
      const ofBias = deployed.gradients['fused_conv.bias']!.data;
      for (const branch of ['square', 'ver', 'hor']) {
        assert.ok(relativeError(ours.gradients[`${branch}_bn.bias`]!.data, ofBias) < 1e-5);
      }
      const after = block.stateDict();
      for (const key of Object.keys(before)) assert.equal(after[key]!.data, before[key]!.data, key);
      for (const layer of [block, fused]) layer.dispose();
    });
  });
}

test('what does not fit is refused, and nothing has changed', async () => {
  await withRuntime('baseline', async (runtime) => {
    const block = new ACBlock(runtime, { inChannels: 2, outChannels: 3, kernelSize: 3, padding: 1 });
    const before = block.stateDict();
    const used = runtime.memory.used;
    const tensor = (...dims: number[]): Tensor =>
      new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
    const [x, dy] = [tensor(1, 2, 4, 4), tensor(1, 3, 4, 4)];
    const other = await createRuntime({ simd: 'baseline' });
    const foreign = x.to(other);
    const disposed = tensor(1, 2, 4, 4);
    disposed.dispose();
    const cases: [() => unknown, RegExp][] = [
      [() => backward({} as ACBlock, x, dy), /backward: layer must be a layer, got/],
      [() => backward(block, 3 as unknown as Tensor, dy), /backward: input must be a Tensor, got 3/],
      [() => backward(block, disposed, dy), /backward: input is a disposed tensor/],
      [() => backward(block, foreign, dy), /backward: input is resident in another runtime/],
      [() => backward(block, x, 'dy' as unknown as Tensor), /backward: gradOutput must be a Tensor, got "?'?dy/],
      [
        () => backward(block, x, tensor(1, 3, 4, 5)),
        /gradOutput must have the output's dims \[1, 3, 4, 4\], got \[1, 3, 4, 5\]/,
      ],
      [() => backward(block, tensor(1, 3, 4, 4), dy), /input has 3 channels, this block expects 2/],
      [() => backward(block, [x, x], dy), /there must be 1 input, got 2/],
      [() => backward(block, tensor(1, 2, 1, 1), tensor(1, 3, 1, 1)), /more than one value per channel/],
    ];
    for (const [work, message] of cases) assert.throws(work, message);
    const after = block.stateDict();
    for (const key of Object.keys(before)) assert.equal(after[key]!.data, before[key]!.data, key);
    assert.is(runtime.memory.used, used);
    block.dispose();
    assert.throws(() => backward(block, x, dy), /this layer is disposed/);
    foreign.dispose();
    other.dispose();
  });
});

test('a value that is read twice gets both gradients', async () => {
  await withRuntime('baseline', (runtime) => {
    const layers = { block: new ACBlock(runtime, { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1 }) };
    const twice = new Composite(runtime, layers, (x, apply) => apply('block', apply('block', x))).eval();
    const random = seededRandom(5);
    const [x, dy] = [randomNd(random, [1, 4, 5, 5]), randomNd(random, [1, 4, 5, 5])].map(toTensor) as [Tensor, Tensor];
    const { output, inputGradient, gradients } = backward(twice, x, dy);
    assert.equal(
      Object.keys(gradients),
      Object.keys(twice.stateDict()).filter((key) => !key.includes('running')),
    );
    const value = (): number => {
      const y = take(twice.forward(x));
      return y.reduce((sum, one, i) => sum + one * dy.data[i]!, 0);
    };
    const key = 'block.square_conv.weight';
    const state = twice.stateDict();
    for (const i of [0, 17, 80]) {
      const at = (change: number): number => {
        const data = state[key]!.data.slice();
        data[i]! += change;
        twice.loadStateDict({ ...state, [key]: new Tensor('float32', data, state[key]!.dims) });
        return value();
      };
      const numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
      assert.ok(Math.abs(numeric - gradients[key]!.data[i]!) < 0.02 * Math.max(1, Math.abs(numeric)), `${numeric}`);
    }
    for (const tensor of [output, inputGradient]) tensor.dispose();
    twice.dispose();
  });
});

test('what a layer makes for its gradients is kept, follows its values and its mode, and goes with it', async () => {
  await withRuntime('baseline', (runtime) => {
    const random = seededRandom(11);
    const [x, dy] = [randomNd(random, [2, 3, 6, 6]), randomNd(random, [2, 4, 6, 6])].map(toTensor) as [Tensor, Tensor];
    const make = (): ACBlock => new ACBlock(runtime, { inChannels: 3, outChannels: 4, kernelSize: 3, padding: 1 });
    const run = (block: ACBlock): StateDict => {
      const { output, inputGradient, gradients } = backward(block, x, dy);
      const all = { ...gradients, output: output.data, inputGradient: inputGradient.data };
      for (const tensor of [output, inputGradient]) tensor.dispose();
      return Object.fromEntries(
        Object.entries(all).map(([key, value]) => {
          const data = value instanceof Tensor ? value.data : value;
          return [key, new Tensor('float32', data, [data.length])];
        }),
      );
    };
    const used = runtime.memory.used;
    const [kept, source] = [make(), make()];
    run(kept);
    const usedByPlan = runtime.memory.used;
    for (const prepare of [
      (block: ACBlock) => block.loadStateDict(source.stateDict()),
      (block: ACBlock) => block.eval(),
      (block: ACBlock) => block.train(),
    ]) {
      const other = make().loadStateDict(kept.stateDict());
      if (!kept.training) other.eval();
      for (const block of [kept, other]) prepare(block);
      assert.equal(run(kept), run(other));
      other.dispose();
    }
    assert.is(runtime.memory.used, usedByPlan);
    run(kept);
    assert.is(runtime.memory.used, usedByPlan);
    for (const block of [kept, source]) block.dispose();
    assert.is(runtime.memory.used, used);
  });
});

test.run();
