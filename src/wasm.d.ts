/** The bundler embeds .wasm files as base64. */
declare module '*.wasm' {
  const base64: string;
  export default base64;
}
