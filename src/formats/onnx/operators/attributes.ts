/** Attributes of ONNX's nodes, to write. */
import { type AttributeProto, AttributeType } from '../file/proto.js';

export function int(name: string, i: number): AttributeProto {
  return attribute(name, AttributeType.INT, { i });
}

export function ints(name: string, values: readonly number[]): AttributeProto {
  return attribute(name, AttributeType.INTS, { ints: values });
}

export function float(name: string, f: number): AttributeProto {
  return attribute(name, AttributeType.FLOAT, { f });
}

export function string(name: string, text: string): AttributeProto {
  return attribute(name, AttributeType.STRING, { s: new TextEncoder().encode(text) });
}

function attribute(name: string, type: number, value: Partial<AttributeProto>): AttributeProto {
  return { at: 0, name, type, floats: [], ints: [], strings: [], ...value };
}
