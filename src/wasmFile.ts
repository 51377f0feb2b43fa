/**
 * What importing `acnet-wasm/baseline.wasm` or `acnet-wasm/relaxed.wasm` gives: a compiled module for the option `wasm`
 * of `createRuntime`, as in Cloudflare Workers; or the file's address for `fetch`, from bundlers that are configured to
 * return it. The type serves both.
 */
declare const kernels: WebAssembly.Module & string;
export default kernels;
