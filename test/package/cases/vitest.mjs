// Vitest, without configuration.
import { checkSuite, suite } from '../program.mjs';

export default {
  needs: ['vitest'],
  async run(project) {
    project.write('compute.test.js', `import { test } from 'vitest';\n${suite}`);
    checkSuite(await project.tool('vitest/vitest.mjs', ['run']));
  },
};
