/** The bundler embeds .wasm files as base64. */
declare module '*.wasm' {
  const base64: string;
  export default base64;
}

/** And the worker's script as text. */
declare module '*.txt' {
  const text: string;
  export default text;
}

/** Edge platforms import .wasm files as modules. */
declare module '*.wasm?module' {
  const module: WebAssembly.Module;
  export default module;
}
