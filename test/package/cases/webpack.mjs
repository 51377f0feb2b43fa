// webpack 5, for a page and for Node, without a configuration file.
export default {
  needs: ['webpack', 'webpack-cli'],
  usesBrowser: true,
  async run(project) {
    const build = (entry, folder, ...args) =>
      project.tool('webpack-cli/bin/cli.js', [
        'build',
        ...['--mode', 'production', '--entry', `./${entry}`, '--output-path', `./${folder}`, ...args],
      ]);
    await build('page.js', 'web');
    project.write('web/index.html', '<!doctype html><title>page</title><script src="./main.js"></script>\n');
    for (const threads of [1, 2]) await project.openPage({ folder: 'web', threads });
    await build('node.js', 'node', '--target', 'node', '--output-filename', 'main.cjs');
    for (const threads of [1, 2]) await project.runNode('node/main.cjs', { threads });
    return { web: project.sizes('web'), 'target node': project.sizes('node') };
  },
};
