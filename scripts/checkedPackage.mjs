// An esbuild plugin for tests and the fuzzer: in bundles in a folder of build/, the package's name stands for the build
// whose memory has red zones (src/runtime/redZones.ts).
export function checkedPackage() {
  return {
    name: 'checked package',
    setup({ onResolve }) {
      onResolve({ filter: /^acnet-wasm$/ }, () => ({ path: '../checked/index.js', external: true }));
      onResolve({ filter: /^acnet-wasm\/train$/ }, () => ({ path: '../checked/train.js', external: true }));
    },
  };
}
