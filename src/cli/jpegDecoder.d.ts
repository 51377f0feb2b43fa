/** The decoder of jpeg-js alone: its types are declared for the package as a whole, which has an encoder too. */
declare module 'jpeg-js/lib/decoder.js' {
  import type { decode } from 'jpeg-js';

  const decoder: typeof decode;
  export default decoder;
}
