/**
 * What `acnet-wasm/baseline.wasm` and `acnet-wasm/relaxed.wasm` are to who imports them: a module that is compiled
 * already, as in Cloudflare's Workers, for the option `wasm` of `createRuntime`; or the file's address, as bundlers
 * give it that are told to, for `fetch`. The type serves both.
 */
declare const kernels: WebAssembly.Module & string;
export default kernels;
