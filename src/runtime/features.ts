/** What the engine can do, found by validating modules of a few bytes. */
import { fromBase64 } from './base64.js';

// (func (result v128) i32.const 0  i8x16.splat): fixed-width SIMD
const SIMD = 'AGFzbQEAAAABBQFgAAF7AwIBAAoIAQYAQQD9Dws=';
// (func (param v128 v128 v128) (result v128) ... f32x4.relaxed_madd)
const RELAXED_SIMD = 'AGFzbQEAAAABCAFgA3t7ewF7AwIBAAoNAQsAIAAgASAC/YUCCw==';

export function hasSimd(): boolean {
  return validates(SIMD);
}

export function hasRelaxedSimd(): boolean {
  return validates(RELAXED_SIMD);
}

function validates(base64: string): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(fromBase64(base64));
}
