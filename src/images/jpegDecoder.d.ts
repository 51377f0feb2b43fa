/** The decoder of jpeg-js alone. Its own types are declared for the package as a whole, and name Node's Buffer. */
declare module 'jpeg-js/lib/decoder.js' {
  export interface DecoderOptions {
    readonly useTArray: true;
    readonly formatAsRGBA: boolean;
    readonly maxResolutionInMP: number;
    readonly maxMemoryUsageInMB: number;
  }

  export default function decode(
    file: Uint8Array,
    options: DecoderOptions,
  ): { readonly width: number; readonly height: number; readonly data: Uint8Array };
}
