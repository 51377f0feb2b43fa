/**
 * Reads pickles (Python's serialised objects) without running anything. A pickle is a program for a stack machine, with
 * a memo of values for later use:
 *
 *     value opcodes    push a number, a string, an empty list, ...
 *     MARK             begins a group; TUPLE, APPENDS, SETITEMS, ... take what has been pushed since
 *     PUT, GET         store the top of the stack in the memo, push from the memo
 *     GLOBAL           pushes a class or function by its name
 *     REDUCE           calls one
 *     BINPERSID        pushes what the caller knows by this identifier
 *     STOP             the top of the stack is the result
 *
 * Here GLOBAL finds only what the caller allows, and REDUCE calls only functions of the caller; of all else only the
 * name is kept (PickleObject). Opcodes as listed in Lib/pickletools.py, those that Python writes in protocols 2 to 5.
 * Python's tuples, lists and sets become arrays, dicts become PickleDict, bytes become views.
 *
 * Pickles are hostile. Each opcode takes time and memory in proportion to its own bytes, and their number is bounded;
 * nothing is recursive.
 */
import { FormatError, UnsupportedError } from '../../errors.js';

/** A dict, whose map is made with its first item: a pickle may have a million empty ones. */
export class PickleDict {
  #items: Map<unknown, unknown> | undefined;

  get size(): number {
    return this.#items?.size ?? 0;
  }

  get(key: unknown): unknown {
    return this.#items?.get(key);
  }

  set(key: unknown, value: unknown): void {
    this.#items ??= new Map();
    this.#items.set(key, value);
  }

  [Symbol.iterator](): Iterator<[unknown, unknown]> {
    return (this.#items ?? new Map<unknown, unknown>()).entries();
  }
}

/**
 * A class or function that the caller does not know, or an object that one would have made. Nothing is run; the name
 * and the attributes in the pickle are kept.
 */
export class PickleObject {
  readonly name: string;
  /** Where the pickle names it, for errors. */
  readonly at: number;
  attributes: PickleDict | undefined;

  constructor(name: string, at: number) {
    this.name = name;
    this.at = at;
  }
}

/** What REDUCE may call; `at` is where it does so in the file, for errors. */
export class PickleFunction {
  readonly call: (args: readonly unknown[], at: number) => unknown;

  constructor(call: (args: readonly unknown[], at: number) => unknown) {
    this.call = call;
  }
}

export interface PickleHost {
  /**
   * By module and name, as in 'collections.OrderedDict'. A PickleFunction can be called, other values cannot; other
   * names become a PickleObject.
   */
  readonly globals: ReadonlyMap<string, unknown>;
  persistentLoad(id: unknown, at: number): unknown;
}

/** Enough for 10,000 tensors; DenseNet-201 and its optimizer have 3,000. */
const MAX_OPCODES = 2 ** 19;
const MAX_GLOBAL_NAME = 256;

const STOP = 0x2e;
const NEWLINE = 0x0a;

/**
 * @param pickle The bytes of the pickle, and perhaps more behind it.
 * @param start Where they begin in the file, for errors.
 * @returns its value, and the bytes that it takes
 * @throws {FormatError} if the pickle is damaged, too long, or asks for what is not allowed
 */
export function unpickle(pickle: Uint8Array, start: number, host: PickleHost): { value: unknown; length: number } {
  return new Unpickler(pickle, start, host).run();
}

class Unpickler {
  readonly #pickle: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #host: PickleHost;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #memo = new Map<number, unknown>();
  readonly #stack: unknown[] = [];
  /** Lengths that the stack had at each open MARK. */
  readonly #marks: number[] = [];
  #position = 0;
  /** Position of the current opcode. */
  #opcodeAt = 0;

  constructor(pickle: Uint8Array, start: number, host: PickleHost) {
    this.#pickle = pickle;
    this.#view = new DataView(pickle.buffer, pickle.byteOffset, pickle.byteLength);
    this.#start = start;
    this.#host = host;
  }

  run(): { value: unknown; length: number } {
    for (let count = 0; count < MAX_OPCODES; count++) {
      this.#opcodeAt = this.#position;
      const opcode = this.#take(1);
      if (this.#pickle[opcode] === STOP) return { value: this.#pop(), length: this.#position };
      this.#execute(this.#pickle[opcode]!);
    }
    throw this.#broken(`the pickle has more than ${MAX_OPCODES} opcodes`);
  }

  #execute(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        this.#checkProtocol(this.#uint8());
        break;
      case 0x95: // FRAME
        this.#take(8);
        break;
      case 0x28: // MARK
        this.#marks.push(this.#stack.length);
        break;
      case 0x30: // POP
        this.#pop();
        break;
      case 0x31: // POP_MARK
        this.#popGroup();
        break;
      case 0x4e: // NONE
        this.#stack.push(null);
        break;
      case 0x88: // NEWTRUE
        this.#stack.push(true);
        break;
      case 0x89: // NEWFALSE
        this.#stack.push(false);
        break;
      case 0x4b: // BININT1
        this.#stack.push(this.#uint8());
        break;
      case 0x4d: // BININT2
        this.#stack.push(this.#view.getUint16(this.#take(2), true));
        break;
      case 0x4a: // BININT
        this.#stack.push(this.#view.getInt32(this.#take(4), true));
        break;
      case 0x8a: // LONG1
        this.#stack.push(this.#long(this.#uint8()));
        break;
      case 0x8b: // LONG4
        this.#stack.push(this.#long(this.#uint32()));
        break;
      case 0x47: // BINFLOAT
        this.#stack.push(this.#view.getFloat64(this.#take(8), false));
        break;
      case 0x55: // SHORT_BINSTRING, as Python 2 writes names
        this.#stack.push(this.#latin1(this.#uint8()));
        break;
      case 0x54: // BINSTRING
        this.#stack.push(this.#latin1(this.#uint32()));
        break;
      case 0x8c: // SHORT_BINUNICODE
        this.#stack.push(this.#text(this.#uint8()));
        break;
      case 0x58: // BINUNICODE
        this.#stack.push(this.#text(this.#uint32()));
        break;
      case 0x8d: // BINUNICODE8
        this.#stack.push(this.#text(this.#uint64()));
        break;
      case 0x43: // SHORT_BINBYTES
        this.#stack.push(this.#bytes(this.#uint8()));
        break;
      case 0x42: // BINBYTES
        this.#stack.push(this.#bytes(this.#uint32()));
        break;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.#stack.push(this.#bytes(this.#uint64()));
        break;
      case 0x29: // EMPTY_TUPLE
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        this.#stack.push([]);
        break;
      case 0x85: // TUPLE1
        this.#stack.push([this.#pop()]);
        break;
      case 0x86: // TUPLE2
        this.#pushTuple(2);
        break;
      case 0x87: // TUPLE3
        this.#pushTuple(3);
        break;
      case 0x74: // TUPLE
      case 0x91: // FROZENSET
        this.#stack.push(this.#popGroup());
        break;
      case 0x61: // APPEND
        this.#append([this.#pop()]);
        break;
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        this.#append(this.#popGroup());
        break;
      case 0x7d: // EMPTY_DICT
        this.#stack.push(new PickleDict());
        break;
      case 0x73: // SETITEM
        this.#pushTuple(2);
        this.#setItems(this.#pop() as unknown[]);
        break;
      case 0x75: // SETITEMS
        this.#setItems(this.#popGroup());
        break;
      case 0x71: // BINPUT
        this.#memo.set(this.#uint8(), this.#top());
        break;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#uint32(), this.#top());
        break;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case 0x68: // BINGET
        this.#pushFromMemo(this.#uint8());
        break;
      case 0x6a: // LONG_BINGET
        this.#pushFromMemo(this.#uint32());
        break;
      case 0x63: // GLOBAL
        this.#pushGlobal(this.#line(), this.#line());
        break;
      case 0x93: // STACK_GLOBAL
        this.#pushStackGlobal();
        break;
      case 0x52: // REDUCE
        this.#reduce();
        break;
      case 0x81: // NEWOBJ
        this.#makeObject(opcode);
        break;
      case 0x92: // NEWOBJ_EX
        this.#pop();
        this.#makeObject(opcode);
        break;
      case 0x62: // BUILD
        this.#build();
        break;
      case 0x51: // BINPERSID
        this.#stack.push(this.#host.persistentLoad(this.#pop(), this.#at()));
        break;
      default:
        throw this.#broken(`the pickle has the opcode 0x${opcode.toString(16)}, which plain data does not need`);
    }
  }

  #checkProtocol(protocol: number): void {
    if (protocol < 2 || protocol > 5) {
      throw new UnsupportedError(
        `readCheckpoint: the pickle must be of protocol 2 to 5, got ${protocol}: save the checkpoint again ` +
          'without the argument pickle_protocol',
      );
    }
  }

  /** Skips this many bytes; returns where they begin. */
  #take(bytes: number): number {
    const begin = this.#position;
    if (bytes > this.#pickle.length - begin) throw this.#broken(`the pickle ends within ${bytes} bytes`);
    this.#position += bytes;
    return begin;
  }

  #uint8(): number {
    return this.#pickle[this.#take(1)]!;
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #uint64(): number {
    const low = this.#uint32();
    return low + this.#uint32() * 2 ** 32;
  }

  #text(bytes: number): string {
    try {
      // A slice, as TextDecoder takes no shared memory in browsers.
      return this.#decoder.decode(this.#bytes(bytes).slice());
    } catch (error) {
      if (error instanceof FormatError) throw error;
      throw this.#broken('the pickle has a string that is not UTF-8');
    }
  }

  #latin1(bytes: number): string {
    return new TextDecoder('latin1').decode(this.#bytes(bytes).slice());
  }

  #bytes(length: number): Uint8Array {
    const begin = this.#take(length);
    return this.#pickle.subarray(begin, begin + length);
  }

  /** An integer, little-endian in two's complement. One longer than 8 bytes is no size, and stays bytes. */
  #long(length: number): number | bigint | Uint8Array {
    const bytes = this.#bytes(length);
    if (length > 8) return bytes;
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #line(): string {
    const begin = this.#position;
    const end = this.#pickle.subarray(begin, begin + MAX_GLOBAL_NAME).indexOf(NEWLINE);
    if (end < 0) throw this.#broken(`the pickle has no line of at most ${MAX_GLOBAL_NAME} bytes here`);
    const line = this.#text(end);
    this.#take(1);
    return line;
  }

  #top(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.#broken('the pickle takes from an empty stack');
    return this.#stack.at(-1);
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  /** What has been pushed since the last MARK. */
  #popGroup(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#broken('the pickle ends a group that it has not begun');
    return this.#stack.splice(mark);
  }

  #pushTuple(length: number): void {
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) items.unshift(this.#pop());
    this.#stack.push(items);
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (list instanceof PickleObject) return;
    if (!Array.isArray(list)) throw this.#broken('the pickle appends to what is not a list');
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    const dict = this.#top();
    if (dict instanceof PickleObject) return;
    if (!(dict instanceof PickleDict)) throw this.#broken('the pickle sets an item of what is not a dict');
    if (items.length % 2 !== 0) throw this.#broken('the pickle has a key without a value');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  #pushFromMemo(index: number): void {
    if (!this.#memo.has(index)) throw this.#broken(`the pickle has nothing at place ${index} of its memo`);
    this.#stack.push(this.#memo.get(index));
  }

  #pushStackGlobal(): void {
    const name = this.#pop();
    const module = this.#pop();
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.#broken('the pickle names a global by what is not a string');
    }
    this.#pushGlobal(module, name);
  }

  #pushGlobal(module: string, name: string): void {
    if (module.length + name.length > MAX_GLOBAL_NAME) {
      throw this.#broken(`the pickle names a global by more than ${MAX_GLOBAL_NAME} characters`);
    }
    const path = `${module}.${name}`;
    const { globals } = this.#host;
    this.#stack.push(globals.has(path) ? globals.get(path) : new PickleObject(path, this.#at()));
  }

  #reduce(): void {
    const args = this.#pop();
    const callee = this.#pop();
    if (callee instanceof PickleObject) {
      this.#stack.push(new PickleObject(callee.name, callee.at));
      return;
    }
    if (!(callee instanceof PickleFunction)) throw this.#broken('the pickle calls what is not a function');
    if (!Array.isArray(args)) throw this.#broken('the pickle calls a function with what is not a tuple');
    this.#stack.push(callee.call(args, this.#at()));
  }

  #makeObject(opcode: number): void {
    this.#pop();
    const type = this.#pop();
    if (!(type instanceof PickleObject)) {
      throw this.#broken(`the pickle makes an object (opcode 0x${opcode.toString(16)}) of what is not a class`);
    }
    this.#stack.push(new PickleObject(type.name, type.at));
  }

  /** Sets attributes of an object. An OrderedDict has some, such as a state dict's `_metadata`; they are left out. */
  #build(): void {
    const attributes = this.#pop();
    const object = this.#top();
    if (object instanceof PickleObject) {
      if (attributes instanceof PickleDict) object.attributes = attributes;
    } else if (!(object instanceof PickleDict)) {
      throw this.#broken('the pickle sets attributes of what is not a dict');
    }
  }

  /** Where the current opcode is in the file. */
  #at(): number {
    return this.#start + this.#opcodeAt;
  }

  #broken(message: string): FormatError {
    return new FormatError(`readCheckpoint: ${message}`, this.#at());
  }
}
