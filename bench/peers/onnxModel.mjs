// An ONNX model of one convolution with bias, written by hand: the few protobuf messages of onnx.proto3 that it takes.
// A message is a run of fields, each a key (field number << 3 | wire type) and its value; wire type 0 is a varint, 2 a
// length and that many bytes (strings, raw data, messages within messages, packed numbers).
const IR_VERSION = 7;
const OPSET = 13;
const FLOAT = 1;
const ATTRIBUTE_INTS = 7;

/**
 * y = Conv(x, weight) + bias, x [1, inChannels, size, size], weight [outChannels, inChannels, kernel, kernel].
 * @returns bytes of a ModelProto, opset 13
 */
export function onnxConv({ inChannels, outChannels, size, outSize, kernel, stride, padding }, weight, bias) {
  const node = [
    ...['x', 'weight', 'bias'].map((name) => text(1, name)),
    text(2, 'y'),
    text(4, 'Conv'),
    intsAttribute('kernel_shape', [kernel, kernel]),
    intsAttribute('strides', [stride, stride]),
    intsAttribute('pads', [padding, padding, padding, padding]),
  ];
  const graph = [
    message(1, node),
    text(2, 'conv'),
    tensor('weight', [outChannels, inChannels, kernel, kernel], weight),
    tensor('bias', [outChannels], bias),
    message(11, valueInfo('x', [1, inChannels, size, size])),
    message(12, valueInfo('y', [1, outChannels, outSize, outSize])),
  ];
  const model = [number(1, IR_VERSION), message(7, graph), message(8, [text(1, ''), number(2, OPSET)])];
  return new Uint8Array(Buffer.concat(model));
}

/** GraphProto.initializer */
function tensor(name, dims, data) {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(5, [...dims.map((dim) => number(1, dim)), number(2, FLOAT), text(8, name), bytes(9, raw)]);
}

/** NodeProto.attribute */
function intsAttribute(name, values) {
  return message(5, [text(1, name), ...values.map((value) => number(8, value)), number(20, ATTRIBUTE_INTS)]);
}

function valueInfo(name, dims) {
  const shape = dims.map((dim) => message(1, [number(1, dim)]));
  return [text(1, name), message(2, [message(1, [number(1, FLOAT), message(2, shape)])])];
}

function message(field, parts) {
  return bytes(field, Buffer.concat(parts));
}

function text(field, value) {
  return bytes(field, Buffer.from(value, 'utf8'));
}

function bytes(field, value) {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
}

function number(field, value) {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** Seven bits a byte, lowest first, the high bit says that more follow. Takes what fits in 31 bits and is not negative. */
function varint(value) {
  const out = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) {
      out.push(rest);
      return Buffer.from(out);
    }
    out.push((rest & 127) | 128);
  }
}
