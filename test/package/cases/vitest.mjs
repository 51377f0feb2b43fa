// Vitest, without configuration.
const TEST = `
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { compute } from './compute.js';

test.each([1, 2])('computes with %i threads', async (threads) => {
  const answer = await compute({ load: async (name) => new Uint8Array(await readFile(name)), threads });
  console.log(JSON.stringify(answer));
  expect(answer.threads).toBe(threads);
});

test('loads from a path', async () => {
  const answer = await compute({ load: (name) => readFile(name), source: 'cfqkbnc-small.onnx' });
  console.log(JSON.stringify(answer));
});
`;

export default {
  needs: ['vitest'],
  async run(project) {
    project.write('compute.test.js', TEST);
    const output = await project.tool('vitest/vitest.mjs', ['run']);
    const answers = output.split('\n').filter((line) => line.trim().startsWith('{"bits"'));
    if (answers.length !== 3) throw new Error(`${answers.length} answers, not 3\n${output}`);
    for (const [i, answer] of answers.entries()) project.checkPrinted(answer, { threads: [1, 2, 1][i] });
  },
};
