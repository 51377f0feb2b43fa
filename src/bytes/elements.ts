/**
 * Element types of tensors in files, by the names of safetensors, and their conversion to float32.
 *
 * Numbers in files are little-endian, as every host of WebAssembly is in practice, so elements are copied and never
 * swapped.
 */
interface ElementArray {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): Float32Array | ArrayLike<number> | BigInt64Array;
}

const ARRAYS = {
  F32: Float32Array,
  F64: Float64Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const satisfies Record<string, ElementArray>;

export type ElementType = keyof typeof ARRAYS;

export function isElementType(name: unknown): name is ElementType {
  return typeof name === 'string' && Object.hasOwn(ARRAYS, name);
}

/** The names, for messages. */
export function elementTypes(): string {
  return Object.keys(ARRAYS).join(', ');
}

export function bytesPerElement(type: ElementType): number {
  return ARRAYS[type].BYTES_PER_ELEMENT;
}

/** The elements as float32, rounded to the nearest where float32 cannot hold them. F32 keeps the buffer. */
export function toFloat32(type: ElementType, buffer: ArrayBuffer): Float32Array {
  const elements = new (ARRAYS[type] as ElementArray)(buffer);
  if (elements instanceof Float32Array) return elements;
  if (elements instanceof BigInt64Array) return longsToFloat32(elements);
  if (type === 'F16') return halvesToFloat32(elements);
  if (type === 'BF16') return brainsToFloat32(elements);
  return new Float32Array(elements);
}

/** Not by `Array.from`, which would hold every element as an object at once. */
function longsToFloat32(longs: BigInt64Array): Float32Array {
  const floats = new Float32Array(longs.length);
  for (let i = 0; i < floats.length; i++) {
    let long = longs[i]!;
    // From here on a double drops bits, and rounding twice may round to another float32. What is dropped cannot be
    // the half of a float32's last place, so that one sticky bit stands for all of it.
    if (!Number.isSafeInteger(Number(long)) && (long & 0x7ffn) !== 0n) long = (long & ~0x7ffn) | 0x400n;
    floats[i] = Number(long);
  }
  return floats;
}

/** Converts bfloat16 bits. */
export function brainsToFloat32(brains: ArrayLike<number>): Float32Array {
  const bits = new Uint32Array(brains.length);
  for (let i = 0; i < bits.length; i++) bits[i] = brains[i]! << 16; // the upper half of a float32
  return new Float32Array(bits.buffer);
}

/** Converts float16 bits. */
export function halvesToFloat32(halves: ArrayLike<number>): Float32Array {
  const bits = new Uint32Array(halves.length);
  const floats = new Float32Array(bits.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = halves[i]!;
    // The exponent is biased by 15 here and by 127 in float32; an exponent of ones is infinity or NaN in both.
    const special = (half & 0x7c00) === 0x7c00;
    bits[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13) | (special ? 0x7f800000 : 0);
    floats[i]! *= 2 ** 112;
  }
  return floats;
}
