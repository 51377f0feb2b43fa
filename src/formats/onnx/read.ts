/** ONNX files to Graphs: bytes to messages (proto.ts), messages to a Graph (lower.ts). */
import { UnsupportedError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { lowerOnnx, parameterInputs, readerOf } from './lower.js';
import { readModel } from './proto.js';
import { show } from './tensors.js';

/**
 * Reads an ONNX file of opset 9 to 21. Values have the names of the file, nodes its names and operators. Weights become
 * float32 and own their data.
 *
 * @param bytes The whole file, with its weights inside.
 * @throws {FormatError} if the file is truncated, contradicts itself or is no ONNX model
 * @throws {UnsupportedError} if it has operators, element types or forms that have no place in a Graph; it names every
 *   such node
 * @example
 * const graph = readOnnx(await readFile('model.onnx'));
 */
export function readOnnx(bytes: Uint8Array | ArrayBuffer): Graph {
  // By tag, not instanceof: test runners give modules a realm of their own.
  const tag = Object.prototype.toString.call(bytes).slice(8, -1);
  if (tag !== 'Uint8Array' && tag !== 'ArrayBuffer') {
    throw new TypeError(`readOnnx: bytes is ${tag}, expected a Uint8Array or an ArrayBuffer`);
  }
  const model = readModel(ArrayBuffer.isView(bytes) ? bytes : new Uint8Array(bytes));
  const [parameter] = parameterInputs(model);
  if (parameter !== undefined) {
    throw new UnsupportedError(
      `readOnnx: node ${readerOf(model, parameter)} reads the input ${show(parameter)}, which has to be known before ` +
        'the graph can be built; an InferenceSession binds it when it runs',
    );
  }
  return lowerOnnx(model, new Map());
}
