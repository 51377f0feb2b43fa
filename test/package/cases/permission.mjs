// Node's permission model: nothing is allowed but to read the project; threads take one word more.
const FLAG = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';

export default {
  async run(project) {
    const flags = [FLAG, '--no-warnings', `--allow-fs-read=${project.folder}/*`];
    await project.runNode('node.js', { flags });
    const refused = await project.run(process.execPath, [...flags, 'node.js'], {
      env: { FROM_PATH: '1', THREADS: '2' },
    });
    project.checkPrinted(refused, { reason: '--allow-worker' });
    await project.runNode('node.js', { flags: [...flags, '--allow-worker'], threads: 2 });
  },
};
