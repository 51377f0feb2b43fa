// Jest, whose own modules are CommonJS: Node's flag lets it load this package's.
const TEST = `
import { readFile } from 'node:fs/promises';
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
const NODE_OPTIONS = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

export default {
  needs: ['jest'],
  async run(project) {
    project.write('compute.test.js', TEST);
    const output = await project.tool('jest/bin/jest.js', ['--ci', '--no-cache'], { env: { NODE_OPTIONS } });
    const answers = output.split('\n').filter((line) => line.trim().startsWith('{"bits"'));
    if (answers.length !== 3) throw new Error(`${answers.length} answers, not 3\n${output}`);
    for (const [i, answer] of answers.entries()) project.checkPrinted(answer, { threads: [1, 2, 1][i] });
  },
};
