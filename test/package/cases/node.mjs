// A plain import in Node, from bytes and from a path, with one thread and with two.
export default {
  async run(project) {
    await project.runNode('node.js');
    await project.runNode('node.js', { env: { FROM_PATH: '1' }, threads: 2 });
    return { 'in node_modules': project.sizes('node_modules/acnet-wasm/dist') };
  },
};
