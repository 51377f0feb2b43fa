// @vercel/ncc: a program and the package in one folder, run from elsewhere, with one thread and with two.
export default {
  needs: ['@vercel/ncc'],
  async run(project) {
    await project.tool('@vercel/ncc/dist/ncc/cli.js', ['build', 'node.js', '--out', 'out', '--minify', '--quiet']);
    await project.runNode('out/index.js');
    await project.runNode('out/index.js', { threads: 2 });
    return { out: project.sizes('out') };
  },
};
