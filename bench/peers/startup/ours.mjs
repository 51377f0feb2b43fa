// startup.mjs runs this in a fresh process: state dict in, one convolution, a line with the sum of its output.
// Arguments: model file, build.
import { readFileSync } from 'node:fs';
import { ACBlock, createRuntime, readSafetensors, Tensor } from '../../../dist/index.js';

const [file, simd] = process.argv.slice(2);
const runtime = await createRuntime({ simd });
const { tensors } = readSafetensors(readFileSync(file));
const options = { inChannels: 64, outChannels: 64, kernelSize: 3, padding: 1, form: 'deploy' };
const block = new ACBlock(runtime, options).eval().loadStateDict(tensors);
const input = new Tensor('float32', new Float32Array(64 * 32 * 32).fill(1), [1, 64, 32, 32]);
const { data } = block.forward(input);
console.log(data.reduce((sum, value) => sum + value, 0));
