// A script for onnxruntime-web as people write it; test/sameScript.test.ts also runs it with the import of this
// package. Arguments: a model's path, and a file of float32 values. Prints what it sees as JSON.
import { readFile } from 'node:fs/promises';
import { InferenceSession, Tensor } from 'onnxruntime-web';

const [modelPath, inputPath, ...dims] = process.argv.slice(1);
const bytes = await readFile(modelPath);
const values = new Float32Array((await readFile(inputPath)).buffer.slice(0));
const seen = [];
for (const source of [modelPath, bytes, new Uint8Array(bytes).buffer]) {
  const session = await InferenceSession.create(source, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const feeds = { [session.inputNames[0]]: new Tensor('float32', values, dims.map(Number)) };
  const all = await session.run(feeds);
  const some = await session.run(feeds, [session.outputNames[0]]);
  for (const results of [all, some, await session.run(feeds, { tag: 'once' })]) {
    for (const [name, { type, dims, size, data }] of Object.entries(results)) {
      seen.push({ inputs: session.inputNames, outputs: session.outputNames, name, type, dims, size, data: [...data] });
    }
  }
  await session.release();
}
console.log(JSON.stringify(seen));
