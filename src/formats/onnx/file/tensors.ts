/**
 * TensorProto to values. A tensor's elements stand in `rawData`, little-endian, or in the typed field of its type;
 * small integers, booleans and half floats in `int32Data`. Sizes are checked against the data there is when a file is
 * read; values are only made when something asks for them.
 */

import { brainsToFloat32, halvesToFloat32 } from '../../../bytes/elements.js';
import { FormatError, UnsupportedError } from '../../../errors.js';
import { show, showList } from '../../../shown.js';
import { fitsMemory, product, sizeOf } from '../../../sizes.js';
import { Tensor } from '../../../tensor.js';
import type { TensorProto } from './proto.js';

type TypedField = 'floatData' | 'int32Data' | 'int64Data' | 'doubleData' | 'uint64Data';
type ElementArray = new (buffer: ArrayBuffer) => ArrayLike<number> | ArrayLike<bigint>;

interface ElementType {
  readonly name: string;
  /** True for integers and booleans. */
  readonly integer: boolean;
  readonly array: ElementArray & { readonly BYTES_PER_ELEMENT: number };
  readonly field: TypedField;
}

/** By TensorProto.DataType. */
const ELEMENT_TYPES: ReadonlyMap<number | undefined, ElementType> = new Map<number, ElementType>([
  [1, { name: 'FLOAT', integer: false, array: Float32Array, field: 'floatData' }],
  [2, { name: 'UINT8', integer: true, array: Uint8Array, field: 'int32Data' }],
  [3, { name: 'INT8', integer: true, array: Int8Array, field: 'int32Data' }],
  [4, { name: 'UINT16', integer: true, array: Uint16Array, field: 'int32Data' }],
  [5, { name: 'INT16', integer: true, array: Int16Array, field: 'int32Data' }],
  [6, { name: 'INT32', integer: true, array: Int32Array, field: 'int32Data' }],
  [7, { name: 'INT64', integer: true, array: BigInt64Array, field: 'int64Data' }],
  [9, { name: 'BOOL', integer: true, array: Uint8Array, field: 'int32Data' }],
  [10, { name: 'FLOAT16', integer: false, array: Uint16Array, field: 'int32Data' }],
  [11, { name: 'DOUBLE', integer: false, array: Float64Array, field: 'doubleData' }],
  [12, { name: 'UINT32', integer: true, array: Uint32Array, field: 'uint64Data' }],
  [13, { name: 'UINT64', integer: true, array: BigUint64Array, field: 'uint64Data' }],
  [16, { name: 'BFLOAT16', integer: false, array: Uint16Array, field: 'int32Data' }],
]);

export const DataType = { FLOAT: 1, INT32: 6, INT64: 7, BOOL: 9, DOUBLE: 11 } as const;

/** More axes than this are an attack: work per axis would grow without bound. */
export const MAX_RANK = 32;

/** The name of an element type, for messages. */
export function typeName(dataType: number | undefined): string {
  return ELEMENT_TYPES.get(dataType)?.name ?? `${dataType}`;
}

/** Whether elements of this type are integers or booleans. */
export function isIntegerType(dataType: number | undefined): boolean {
  return ELEMENT_TYPES.get(dataType)?.integer ?? false;
}

/** Values that are known when a file is read. */
export class Constant {
  readonly dims: readonly number[];
  readonly size: number;
  /** Whether the values are integers or booleans. */
  readonly integer: boolean;
  readonly #make: () => ArrayLike<number>;
  #values: ArrayLike<number> | undefined;
  #tensor: Tensor | undefined;

  constructor(dims: readonly number[], integer: boolean, make: () => ArrayLike<number>) {
    this.dims = dims;
    this.size = sizeOf(dims);
    this.integer = integer;
    this.#make = make;
  }

  static of(tensor: Tensor, integer = false): Constant {
    const constant = new Constant(tensor.dims, integer, () => tensor.data);
    constant.#tensor = tensor;
    return constant;
  }

  /** In row-major order, as exact as the file has them; integers only up to 2^53. */
  get values(): ArrayLike<number> {
    this.#values ??= this.#make();
    return this.#values;
  }

  /** The values in float32. */
  get tensor(): Tensor {
    if (this.#tensor === undefined) {
      const values = this.values;
      const data = values instanceof Float32Array ? values : Float32Array.from(values);
      this.#tensor = new Tensor('float32', data, this.dims);
    }
    return this.#tensor;
  }

  /** The same values under other dims of the same size. */
  reshaped(dims: readonly number[]): Constant {
    const { values } = this;
    return new Constant(dims, this.integer, () => values);
  }
}

/**
 * The type and the number of a tensor's elements, which its data must fit.
 * @throws {FormatError} if its dims are no sizes
 * @throws {UnsupportedError} if its elements are of a type that has no place here
 */
function layoutOf({ dims, dataType, name, at }: TensorProto): { label: string; type: ElementType; size: number } {
  const label = `tensor ${show(name)}`;
  if (dims.length > MAX_RANK || !dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new FormatError(`readOnnx: ${label} must have at most ${MAX_RANK} dims from 0, got [${showList(dims)}]`, at);
  }
  const type = ELEMENT_TYPES.get(dataType);
  if (type === undefined) {
    throw new UnsupportedError(`readOnnx: ${label} must have numbers or booleans as elements, got type ${dataType}`);
  }
  return { label, type, size: sizeOf(dims) };
}

/** How many bytes a tensor's elements take; Infinity beyond exact numbers. */
export function byteSizeOf(tensor: TensorProto): number {
  const { type, size } = layoutOf(tensor);
  return product(size, type.array.BYTES_PER_ELEMENT);
}

/**
 * @throws {FormatError} if the tensor's data does not fit its dims
 * @throws {UnsupportedError} if its elements are of a type that has no place here
 */
export function readTensor(tensor: TensorProto): Constant {
  const { dims, rawData } = tensor;
  const { label, type, size } = layoutOf(tensor);
  const given = rawData === undefined ? tensor[type.field].length : rawData.length / type.array.BYTES_PER_ELEMENT;
  if (given !== size || !fitsMemory(dims)) {
    throw new FormatError(
      `readOnnx: ${label} of dims [${showList(dims)}] must have ${size} elements of type ${type.name}, got ${given}`,
      tensor.at,
    );
  }
  return new Constant(dims, type.integer, () => elementsOf(tensor, type));
}

function elementsOf(tensor: TensorProto, type: ElementType): ArrayLike<number> {
  const { rawData, ownsData } = tensor;
  // slice, not subarray: the copy is aligned, and does not keep the file alive.
  const bytes = ownsData ? rawData : rawData?.slice();
  const elements = bytes === undefined ? tensor[type.field] : new type.array(bytes.buffer as ArrayBuffer);
  if (type.name === 'FLOAT16') return halvesToFloat32(elements as ArrayLike<number>);
  if (type.name === 'BFLOAT16') return brainsToFloat32(elements as ArrayLike<number>);
  if (type.name === 'FLOAT')
    return elements instanceof Float32Array ? elements : Float32Array.from(elements as number[]);
  if (elements instanceof BigInt64Array || elements instanceof BigUint64Array)
    return Float64Array.from(elements, Number);
  return elements as ArrayLike<number>;
}
