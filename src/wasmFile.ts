/**
 * What `acnet-wasm/baseline.wasm` and `acnet-wasm/relaxed.wasm` are to who imports them where imported binaries are
 * modules, as in Cloudflare's Workers: for the option `wasm` of `createRuntime`.
 */
declare const kernels: WebAssembly.Module;
export default kernels;
