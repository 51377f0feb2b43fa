// publint and "are the types wrong" on the tarball, without a complaint. The package has only ES modules, which
// CommonJS gets by require if Node supports that.
export default {
  needs: ['publint', '@arethetypeswrong/cli'],
  async run(project) {
    const lint = await project.tool('publint/src/cli.js', ['--strict', project.packed.tarball], { mayWarn: true });
    if (!/All good/.test(lint)) throw new Error(lint);
    const types = [project.packed.tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm'];
    await project.tool('@arethetypeswrong/cli/dist/index.js', types, { mayWarn: true });
  },
};
