/** What the engine can do, found by validating modules of a few bytes. */

// (func (result v128) i32.const 0  i8x16.splat): fixed-width SIMD
const SIMD = '0061736d010000000105016000017b030201000a080106004100fd0f0b';
// (func (param v128 v128 v128) (result v128) ... f32x4.relaxed_madd)
const RELAXED_SIMD = '0061736d0100000001080160037b7b7b017b030201000a0d010b00200020012002fd85020b';

export function hasSimd(): boolean {
  return validates(SIMD);
}

export function hasRelaxedSimd(): boolean {
  return validates(RELAXED_SIMD);
}

function validates(hex: string): boolean {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return typeof WebAssembly === 'object' && WebAssembly.validate(bytes);
}
