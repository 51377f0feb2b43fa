// Jest, whose own modules are CommonJS: Node's flag lets it load this package's.
import { checkSuite, suite } from '../program.mjs';

const NODE_OPTIONS = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

export default {
  needs: ['jest'],
  async run(project) {
    project.write('compute.test.js', suite);
    checkSuite(await project.tool('jest/bin/jest.js', ['--ci', '--no-cache'], { env: { NODE_OPTIONS } }));
  },
};
