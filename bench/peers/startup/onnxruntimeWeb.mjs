// startup.mjs runs this in a fresh process: ONNX model in, one convolution, a line with the sum of its output.
// Arguments: model file.
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-web';

ort.env.wasm.numThreads = 1;
ort.env.wasm.proxy = false;
const session = await ort.InferenceSession.create(readFileSync(process.argv[2]), { executionProviders: ['wasm'] });
const input = new ort.Tensor('float32', new Float32Array(64 * 32 * 32).fill(1), [1, 64, 32, 32]);
const { y } = await session.run({ x: input });
console.log(y.data.reduce((sum, value) => sum + value, 0));
