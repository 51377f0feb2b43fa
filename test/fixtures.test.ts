/**
 * Blocks and networks against references that PyTorch computed in float64 (test/fixtures, see its README). All blocks
 * in test/fixtures/acblock are run. The oracle is checked against the same references, so that tests which trust it
 * rest on PyTorch too.
 */
import { readdirSync } from 'node:fs';
import {
  ACBlock,
  type ACBlockOptions,
  createRuntime,
  fuseStateDict,
  lenet5bn,
  type StateDict,
  type Tensor,
} from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  acBlockEval,
  acBlockTrain,
  type BlockOptions,
  type BlockState,
  conv2d,
  merge,
  type Pair,
  resolvePads,
} from './oracle.js';
import {
  type Build,
  readFixture,
  relativeError,
  sameBits,
  sumOfSquaredDifferences,
  supportedBuilds,
  take,
  withoutPrefix,
  withRuntime,
} from './support.js';

interface Config {
  inChannels: number;
  outChannels: number;
  kernelSize: number | [number, number];
  stride: number | [number, number];
  padding: number | [number, number];
  dilation: number | [number, number];
  groups: number;
  paddingMode: 'zeros' | 'reflect' | 'replicate' | 'circular';
  affine: boolean;
  eps: number;
  momentum: number;
  branchSize?: number;
}

const TOLERANCE = { output: 5e-6, train: 2e-5, running: 1e-6, fused: 1e-6, network: 1e-5 };
/** What rounding to float32 costs: sum of squared differences between the forms of the seven [1, 2, 62, 62] blocks. */
const SQUARED_DIFFERENCE = 5e-9;
/** By PyTorch in float32, of the same blocks in the same order. */
const PYTORCH_DIFFERENCES = [1.3e-9, 1.5e-9, 4.5e-9, 3.0e-9, 1.9e-9, 2.8e-9, 3.5e-9];
const ALGORITHMS = [
  'gemm',
  'depthwise',
  'winogradF4x4K3',
  'winogradF2x2K3',
  'winogradF2x3K5',
  'winogradF1x4K5',
  'winogradF4x4K3S2',
] as const;
const builds = await supportedBuilds();
const figures: string[] = [];
const files = readdirSync('test/fixtures/acblock').filter((name) => name.endsWith('.safetensors'));

function within(actual: ArrayLike<number>, expected: Tensor, tolerance: number, what: string): void {
  const error = relativeError(actual, expected.data as Float32Array);
  assert.ok(error <= tolerance, `${what}: relative error ${error}, allowed ${tolerance}`);
}

function sameDims(actual: Tensor, expected: Tensor, what: string): void {
  assert.equal([...actual.dims], [...expected.dims], `${what}: dims`);
}

function readBlock(file: string) {
  const { tensors, metadata } = readFixture(`acblock/${file}`);
  const config = JSON.parse(metadata.config!) as Config;
  return { tensors, config, state: withoutPrefix(tensors, 'state.') };
}

const pair = (value: number | [number, number]): Pair => (typeof value === 'number' ? [value, value] : value);

function oracleState(state: StateDict): BlockState {
  const branch = (name: string) => ({
    weight: state[`${name}_conv.weight`]!,
    norm: {
      ...(state[`${name}_bn.weight`] && { gamma: state[`${name}_bn.weight`]!.data as Float32Array }),
      ...(state[`${name}_bn.bias`] && { beta: state[`${name}_bn.bias`]!.data as Float32Array }),
      runningMean: state[`${name}_bn.running_mean`]!.data as Float32Array,
      runningVar: state[`${name}_bn.running_var`]!.data as Float32Array,
    },
  });
  return { square: branch('square'), ver: branch('ver'), hor: branch('hor') };
}

function oracleOptions(config: Config): BlockOptions {
  const kernel = pair(config.kernelSize);
  return {
    stride: pair(config.stride),
    dilation: pair(config.dilation),
    pads: resolvePads(pair(config.padding), kernel, pair(config.dilation)),
    paddingMode: config.paddingMode,
    groups: config.groups,
    eps: config.eps,
  };
}

test('there are fixtures to run', () => {
  assert.ok(files.length >= 21, `${files.length} files`);
  assert.is(files.filter((file) => file.endsWith('1x62x62.safetensors')).length, 7);
});

for (const file of files) {
  test(`oracle: ${file}`, () => {
    const { tensors, config, state } = readBlock(file);
    const input = tensors.input!;
    const options = oracleOptions(config);
    const blockState = oracleState(state);
    within(acBlockEval(input, blockState, options).data, tensors.output_eval!, 1e-7, 'eval');
    const merged = merge(blockState, config.eps);
    within(merged.weight.data, tensors['fused.weight']!, 1e-7, 'fused.weight');
    within(merged.bias, tensors['fused.bias']!, 1e-7, 'fused.bias');
    within(conv2d(input, merged.weight, merged.bias, options).data, tensors.output_eval!, 1e-7, 'deploy');
    const trained = acBlockTrain(input, blockState, options, config.momentum);
    within(trained.output.data, tensors.output_train!, 1e-7, 'train');
    for (const name of ['square', 'ver', 'hor'] as const) {
      within(trained[name].runningMean, tensors[`after.${name}_bn.running_mean`]!, 1e-7, `${name} running_mean`);
      within(trained[name].runningVar, tensors[`after.${name}_bn.running_var`]!, 1e-7, `${name} running_var`);
    }
  });
}

for (const simd of builds) {
  for (const file of files) test(`${simd}: ${file}`, () => checkBlock(simd, file));
  test(`${simd}: every block by every algorithm that can compute it, with 1, 2 and 3 threads`, () => checkForced(simd));
  test(`${simd}: lenet5bn, three branches`, () => checkAcbNetwork(simd));
  test(`${simd}: lenet5bn, plain`, () => checkBaseNetwork(simd));
}

async function checkBlock(simd: Build, file: string): Promise<void> {
  const { tensors, config, state } = readBlock(file);
  const input = tensors.input!;
  await withRuntime(simd, (runtime) => {
    const block = new ACBlock(runtime, config as ACBlockOptions).loadStateDict(state).eval();
    const output = block.forward(input);
    sameDims(output, tensors.output_eval!, 'eval');
    const inTrainForm = take(output);
    within(inTrainForm, tensors.output_eval!, TOLERANCE.output, 'eval');

    const { weight, bias } = block.equivalentKernelBias();
    sameDims(weight, tensors['fused.weight']!, 'fused.weight');
    sameDims(bias, tensors['fused.bias']!, 'fused.bias');
    within(take(weight), tensors['fused.weight']!, TOLERANCE.fused, 'fused.weight');
    within(take(bias), tensors['fused.bias']!, TOLERANCE.fused, 'fused.bias');

    checkTraining(block, tensors);

    // The training step moved the running statistics: a deploy form made now would be another network.
    block.eval().loadStateDict(state).switchToDeploy();
    assert.is(block.form, 'deploy');
    const inDeployForm = take(block.forward(input));
    within(inDeployForm, tensors.output_eval!, TOLERANCE.output, 'switchToDeploy');
    if (file.endsWith('1x62x62.safetensors')) {
      const squares = sumOfSquaredDifferences(inTrainForm, inDeployForm);
      const pytorch = PYTORCH_DIFFERENCES[Number(file.slice(0, 2))]!;
      figures.push(
        `# ${simd} ${file}: forms differ by ${squares.toExponential(1)}, PyTorch's by ${pytorch.toExponential(1)}`,
      );
      assert.ok(squares <= SQUARED_DIFFERENCE, `train against deploy form: squared differences sum to ${squares}`);
    }
    block.dispose();

    const fused = fuseStateDict(state, { eps: config.eps });
    assert.equal(Object.keys(fused).sort(), ['fused_conv.bias', 'fused_conv.weight']);
    within(
      fused['fused_conv.weight']!.data as Float32Array,
      tensors['fused.weight']!,
      TOLERANCE.fused,
      'fuseStateDict',
    );
    const fresh = new ACBlock(runtime, { ...config, form: 'deploy' } as ACBlockOptions).loadStateDict(fused).eval();
    within(take(fresh.forward(input)), tensors.output_eval!, TOLERANCE.output, 'fuseStateDict and deploy form');
    fresh.dispose();
    for (const tensor of Object.values(fused)) tensor.dispose();
  });
}

/** Both forms of every block; the bits do not depend on the number of threads. */
async function checkForced(simd: Build): Promise<void> {
  const runtimes = await Promise.all([1, 2, 3].map((threads) => createRuntime({ simd, threads })));
  const counts = Object.fromEntries(ALGORITHMS.map((algorithm) => [algorithm, 0]));
  for (const file of files) {
    const { tensors, config, state } = readBlock(file);
    for (const algorithm of ALGORITHMS) {
      const outputs = runtimes.map((runtime) => {
        const block = new ACBlock(runtime, { ...config, algorithm } as ACBlockOptions).loadStateDict(state).eval();
        const forms = applies(block, tensors.input!)
          ? [take(block.forward(tensors.input!)), take(block.switchToDeploy().forward(tensors.input!))]
          : [];
        block.dispose();
        return forms;
      });
      for (const [form, values] of outputs[0]!.entries()) {
        counts[algorithm]!++;
        within(values, tensors.output_eval!, TOLERANCE.output, `${file} by ${algorithm}`);
        for (const other of outputs) assert.ok(sameBits(other[form]!, values), `${file} by ${algorithm}: bits`);
      }
    }
  }
  for (const [algorithm, count] of Object.entries(counts)) assert.ok(count > 0, `nothing was computed by ${algorithm}`);
  for (const runtime of runtimes) runtime.dispose();
}

function applies(block: ACBlock, input: Tensor): boolean {
  try {
    block.forward(input).dispose();
    return true;
  } catch (error) {
    assert.match(String(error), 'cannot compute');
    return false;
  }
}

function checkTraining(block: ACBlock, tensors: StateDict): void {
  block.train();
  assert.is(block.training, true);
  const output = block.forward(tensors.input!);
  sameDims(output, tensors.output_train!, 'train');
  within(take(output), tensors.output_train!, TOLERANCE.train, 'train');
  const after = block.stateDict();
  const expected = withoutPrefix(tensors, 'after.');
  assert.ok(Object.keys(expected).length >= 6);
  for (const [key, value] of Object.entries(expected)) {
    within(after[key]!.data as Float32Array, value, TOLERANCE.running, `after ${key}`);
  }
  for (const tensor of Object.values(after)) tensor.dispose();
}

async function checkAcbNetwork(simd: Build): Promise<void> {
  const { tensors: state } = readFixture('networks/lenet5bn-acb-fashion-mnist.safetensors');
  const { tensors: io } = readFixture('networks/lenet5bn-acb-fashion-mnist.io.safetensors');
  await withRuntime(simd, (runtime) => {
    const network = lenet5bn(runtime, { form: 'train' }).loadStateDict(state).eval();
    const output = network.forward(io.input!);
    sameDims(output, io.output!, 'train form');
    within(take(output), io.output!, TOLERANCE.network, 'train form');
    const own = network.stateDict();
    assert.equal(Object.keys(own).sort(), Object.keys(state).sort());
    for (const [key, tensor] of Object.entries(own)) {
      assert.equal(tensor.data, state[key]!.data, key);
      tensor.dispose();
    }
    network.switchToDeploy();
    within(take(network.forward(io.input!)), io.output!, TOLERANCE.network, 'switchToDeploy');
    network.dispose();

    const fused = fuseStateDict(state);
    const fresh = lenet5bn(runtime, { form: 'deploy' }).loadStateDict(fused).eval();
    within(take(fresh.forward(io.input!)), io.output!, TOLERANCE.network, 'fuseStateDict and deploy form');
    fresh.dispose();
    for (const tensor of Object.values(fused)) tensor.dispose();
  });
}

async function checkBaseNetwork(simd: Build): Promise<void> {
  const { tensors: state } = readFixture('networks/lenet5bn-base-fashion-mnist.safetensors');
  const { tensors: io } = readFixture('networks/lenet5bn-base-fashion-mnist.io.safetensors');
  await withRuntime(simd, (runtime) => {
    const network = lenet5bn(runtime, { form: 'base' }).loadStateDict(state).eval();
    within(take(network.forward(io.input!)), io.output!, TOLERANCE.network, 'base form');
    network.dispose();
  });
}

test.after(() => console.log(`\n${figures.join('\n')}`));

test.run();
