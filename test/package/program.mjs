// The programs that every tool builds, as a user would write them, and what they must answer. They compute a block that
// is large enough to be cut for threads, in the build whose bits are the same everywhere, and a network from an ONNX
// file in the build that the engine prefers, so that both binaries are loaded.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const NETWORK = 'test/fixtures/networks/cfqkbnc-small';
/** What the projects find beside their programs. */
export const fixtures = [`${NETWORK}.onnx`, `${NETWORK}.io.safetensors`];

/** The difference to PyTorch's float64 results that is allowed for any output of the network. */
const TOLERANCE = 1e-5;

const COMPUTE = `
import { ACBlock, createRuntime, InferenceSession, readSafetensors, Tensor } from 'acnet-wasm';

/** @param load gives the bytes of a file, @param source the network: its bytes, address or path */
export async function compute({ load, source, threads = 1, wasm }) {
  const runtime = await createRuntime({ simd: 'baseline', threads, wasm });
  const { reason } = runtime.capabilities.threads;
  const bits = computeBlock(runtime);
  const used = runtime.threads;
  runtime.dispose();
  const values = await runNetwork(source ?? (await load('cfqkbnc-small.onnx')), await load('cfqkbnc-small.io.safetensors'), wasm);
  return { bits, threads: used, reason, values };
}

function computeBlock(runtime) {
  const block = new ACBlock(runtime, { inChannels: 48, outChannels: 48, kernelSize: 3, padding: 1, form: 'deploy' });
  const fill = (dims) => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return new Tensor('float32', Float32Array.from({ length: size }, (_, i) => ((i * 2654435761) % 1021) / 1021 - 0.5), dims);
  };
  const state = Object.entries(block.stateDict()).map(([key, { dims }]) => [key, fill(dims)]);
  block.loadStateDict(Object.fromEntries(state)).eval();
  const output = block.forward(fill([1, 48, 40, 40]));
  const words = new Int32Array(output.data.buffer, output.data.byteOffset, output.size);
  output.dispose();
  block.dispose();
  return words.reduce((hash, word) => Math.imul(hash ^ word, 16777619), 2166136261) >>> 0;
}

async function runNetwork(source, io, wasm) {
  const runtime = wasm === undefined ? undefined : await createRuntime({ simd: 'baseline', wasm });
  const session = await InferenceSession.create(source, { runtime });
  const { logits } = await session.run({ input: readSafetensors(io).tensors.input });
  const values = Array.from(logits.data);
  session.release();
  return values;
}
`;

const PAGE = `
import { compute } from './compute.js';

const threads = Number(new URL(location.href).searchParams.get('threads') ?? 1);
const load = async (name) => new Uint8Array(await (await fetch('/files/' + name)).arrayBuffer());
compute({ load, threads, source: threads === 1 ? '/files/cfqkbnc-small.onnx' : undefined })
  .catch((error) => ({ error: String(error?.stack ?? error) }))
  .then((answer) => fetch('/answer', { method: 'POST', body: JSON.stringify(answer) }));
`;

const NODE = `
import { readFile } from 'node:fs/promises';
import { compute } from './compute.js';

const load = async (name) => new Uint8Array(await readFile(name));
const threads = Number(process.env.THREADS ?? 1);
const source = process.env.FROM_PATH ? 'cfqkbnc-small.onnx' : undefined;
compute({ load, source, threads }).then((answer) => console.log(JSON.stringify(answer)));
`;

/**
 * By file name. `page.js` posts its answer to the server, `node.js` prints it; both load the fixtures, and the network
 * from its bytes or from where it is.
 */
export const programs = {
  'compute.js': COMPUTE,
  'page.js': PAGE,
  'node.js': NODE,
  'index.html': '<!doctype html><title>page</title><script type="module" src="./page.js"></script>\n',
};

/** In the words of several test runners: three answers. */
export const suite = `
import { readFile } from 'node:fs/promises';
import { compute } from './compute.js';

const load = async (name) => new Uint8Array(await readFile(name));

test.each([1, 2])('computes with %i threads', async (threads) => {
  console.log(JSON.stringify(await compute({ load, threads })));
});

test('loads from a path', async () => {
  console.log(JSON.stringify(await compute({ load, source: 'cfqkbnc-small.onnx' })));
});
`;

/** @throws Error if a runner's output does not hold the right answers of `suite` */
export function checkSuite(output) {
  const answers = output.split('\n').filter((line) => line.trim().startsWith('{"bits"'));
  if (answers.length !== 3) throw new Error(`${answers.length} answers, not 3\n${output}`);
  for (const [i, answer] of answers.entries()) checkAnswer(JSON.parse(answer), { threads: [1, 2, 1][i] });
}

let reference;

/** What a plain import of the package, with one thread, gives for the bits; PyTorch's values for the network. */
export async function prepare(project) {
  const { compute } = await import(pathToFileURL(project.path('compute.js')));
  const load = async (name) => new Uint8Array(readFileSync(project.path(name)));
  const { readSafetensors } = await import(pathToFileURL(path.join(root, 'dist/index.js')));
  const { bits } = await compute({ load });
  const { tensors } = readSafetensors(await load('cfqkbnc-small.io.safetensors'));
  reference = { bits, values: tensors.output.data };
}

/** @throws Error that says what is wrong with a program's answer */
export function checkAnswer(answer, { threads = 1, reason } = {}) {
  if (answer.error !== undefined) throw new Error(answer.error);
  if (answer.bits !== reference.bits) throw new Error(`the block's bits are ${answer.bits}, not ${reference.bits}`);
  if (answer.values?.length !== reference.values.length) throw new Error(`${answer.values?.length} logits came`);
  const differences = answer.values.map((value, i) => Math.abs(value - reference.values[i]));
  // Written so that a NaN fails.
  if (!differences.every((difference) => difference <= TOLERANCE)) {
    throw new Error(`logits differ from PyTorch's by ${Math.max(...differences)}`);
  }
  if (answer.threads !== threads) throw new Error(`${answer.threads} threads, not ${threads}: ${answer.reason}`);
  if (reason !== undefined && !answer.reason?.includes(reason)) throw new Error(`the reason is '${answer.reason}'`);
}
