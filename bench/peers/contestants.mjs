// Who runs in npm run bench:peers: this package and its peers, each used as its own documents say and set to what makes
// it fastest here, with one thread.
//
// An opened contestant is { name, version, prepare(sizes, data), close() }. `prepare` sets up one convolution:
//   variants ways to run it, fastest unknown; each call computes the result and releases it, sync or async result() the
//   output once, as a Float32Array in NCHW order dispose()
// The folder's own package.json hides the name acnet-wasm.
import { ACBlock, createRuntime, Tensor } from '../../dist/index.js';
import { onnxConv } from './onnxModel.mjs';
import { loadOnnxNode, loadOnnxWeb, versionOf, withPeers } from './onnxruntimes.mjs';

/**
 * A block, input resident: merged, or (`form` 'train') in evaluation mode with three real branches that together are the
 * convolution of the others.
 */
async function openOurs(simd, form) {
  const runtime = await createRuntime({ simd });
  return {
    name: 'acnet-wasm',
    version: versionOf('../../package.json'),
    simd: runtime.simd,
    prepare({ inChannels, outChannels, size, kernel, stride, padding }, { input, weight, bias }) {
      const options = { inChannels, outChannels, kernelSize: kernel, stride, padding, form };
      const block = new ACBlock(runtime, options).eval();
      const dims = [outChannels, inChannels, kernel, kernel];
      block.loadStateDict(form === 'train' ? branches(weight, bias, dims) : merged(weight, bias, dims));
      const resident = new Tensor('float32', input, [1, inChannels, size, size]).to(runtime);
      return {
        variants: [() => block.forward(resident).dispose()],
        result() {
          const output = block.forward(resident);
          const { data } = output;
          output.dispose();
          return data;
        },
        dispose() {
          block.dispose();
          resident.dispose();
        },
      };
    },
    close: () => runtime.dispose(),
  };
}

function merged(weight, bias, dims) {
  return {
    'fused_conv.weight': new Tensor('float32', weight, dims),
    'fused_conv.bias': new Tensor('float32', bias, [dims[0]]),
  };
}

/** The middle column and row of each kernel are halved, and the branches have the other halves; BatchNorms do nothing. */
function branches(weight, bias, [outChannels, inChannels, kernel]) {
  const [square, column, row] = [weight.slice(), [], []];
  const middle = kernel >> 1;
  for (let plane = 0; plane < outChannels * inChannels; plane++) {
    for (let i = 0; i < kernel; i++) {
      for (const [list, at] of [
        [column, (plane * kernel + i) * kernel + middle],
        [row, (plane * kernel + middle) * kernel + i],
      ]) {
        list.push(weight[at] / 2);
        square[at] -= weight[at] / 2;
      }
    }
  }
  const state = {};
  for (const [name, values, size] of [
    ['square', square, [kernel, kernel]],
    ['ver', column, [kernel, 1]],
    ['hor', row, [1, kernel]],
  ]) {
    state[`${name}_conv.weight`] = new Tensor('float32', values, [outChannels, inChannels, ...size]);
    const vector = (value) => new Tensor('float32', new Float32Array(outChannels).fill(value), [outChannels]);
    state[`${name}_bn.weight`] = vector(1);
    state[`${name}_bn.bias`] = new Tensor('float32', name === 'square' ? bias : bias.map(() => 0), [outChannels]);
    state[`${name}_bn.running_mean`] = vector(0);
    // Plus eps it is 1.
    state[`${name}_bn.running_var`] = vector(1 - 1e-5);
  }
  return state;
}

/** Tensors live in its wasm memory and kernels run synchronously, so the result is there when the call returns. */
async function openTfjs() {
  const { default: tf } = await import('@tensorflow/tfjs-core');
  const { default: wasm } = await import('@tensorflow/tfjs-backend-wasm');
  wasm.setThreadsCount(1);
  tf.enableProdMode();
  await tf.setBackend('wasm');
  if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')))
    throw new Error('tfjs-backend-wasm did not take its SIMD build');
  return {
    name: 'tfjs-backend-wasm',
    version: versionOf('node_modules/@tensorflow/tfjs-backend-wasm/package.json'),
    prepare({ inChannels, outChannels, size, kernel, stride, padding }, { input, weight, bias }) {
      const toLast = (data, dims, order) => tf.tidy(() => tf.transpose(tf.tensor4d(data, dims), order));
      const x = toLast(input, [1, inChannels, size, size], [0, 2, 3, 1]);
      const filter = toLast(weight, [outChannels, inChannels, kernel, kernel], [2, 3, 1, 0]);
      const options = { x, filter, bias: tf.tensor1d(bias), strides: stride, pad: padding, dataFormat: 'NHWC' };
      return {
        variants: [() => tf.fused.conv2d(options).dispose()],
        result() {
          const planar = tf.tidy(() => tf.transpose(tf.fused.conv2d(options), [0, 3, 1, 2]));
          const data = planar.dataSync();
          planar.dispose();
          return data;
        },
        dispose: () => tf.dispose(options),
      };
    },
    close() {},
  };
}

/** Without fetches: 1.30 leaves a given output tensor of its wasm backend unwritten. */
async function openOnnxWeb() {
  const { name, version, Tensor: OnnxTensor, open } = await loadOnnxWeb();
  return {
    name,
    version,
    async prepare(sizes, { input, weight, bias }) {
      const { inChannels, size } = sizes;
      const session = await open(onnxConv(sizes, weight, bias));
      const feeds = { x: new OnnxTensor('float32', input, [1, inChannels, size, size]) };
      return {
        variants: [() => session.run(feeds)],
        result: async () => (await session.run(feeds)).y.data,
        dispose: () => session.release(),
      };
    },
    close() {},
  };
}

/** At the better of its two optimisation levels. Its output is allocated beforehand. */
async function openOnnxNode() {
  const { name, version, Tensor: OnnxTensor, open } = await loadOnnxNode();
  return {
    name,
    version,
    async prepare(sizes, { input, weight, bias }) {
      const { inChannels, outChannels, size, outSize } = sizes;
      const feeds = { x: new OnnxTensor('float32', input, [1, inChannels, size, size]) };
      const output = new Float32Array(outChannels * outSize * outSize);
      const fetches = { y: new OnnxTensor('float32', output, [1, outChannels, outSize, outSize]) };
      const sessions = await open(onnxConv(sizes, weight, bias));
      return {
        variants: sessions.map((session) => () => session.run(feeds, fetches)),
        async result() {
          await sessions[0].run(feeds, fetches);
          return output.slice();
        },
        async dispose() {
          for (const session of sessions) await session.release();
        },
      };
    },
    close() {},
  };
}

/** All four, this package first. @throws Error that says how to install the peers if they are missing */
export async function openContestants(simd, form = 'deploy') {
  return withPeers(async () => [
    await openOurs(simd, form),
    await openTfjs(),
    await openOnnxWeb(),
    await openOnnxNode(),
  ]);
}
