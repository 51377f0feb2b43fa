// Vite: the development server, which prepares dependencies first, and the build.
export default {
  needs: ['vite'],
  usesBrowser: true,
  async run(project) {
    await project.tool('vite/bin/vite.js', ['build']);
    for (const threads of [1, 2]) await project.openPage({ folder: 'dist', threads });
    const server = project.startTool('vite/bin/vite.js', ['--host', '127.0.0.1', '--port', '0']);
    const address = await project.waitFor(server, /http:\/\/127\.0\.0\.1:\d+/);
    for (const threads of [1, 2]) await project.openPage({ server: address, threads });
    project.checkQuiet(server);
    return { build: project.sizes('dist') };
  },
};
