/** ONNX files to Graphs: bytes to messages (proto.ts), messages to a Graph (lower.ts). */

import { byteView } from '../../bytes/byteView.js';
import { describeKind, fileKind } from '../../bytes/sniff.js';
import { FormatError, UnsupportedError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { checkNames } from '../../options.js';
import { show } from '../../shown.js';
import { attachFiles, checkExternalData, type ExternalFile } from './externalData.js';
import { type ModelProto, readModel } from './file/proto.js';
import { lowerOnnx, parameterInputs, readerOf } from './lower.js';

const WITHOUT_GRAPH =
  ', weights without a graph; make the network with its builder (lenet5bn, resnet18, ...), ' +
  'loadStateDict(readCheckpoint(bytes)), eval(), and create the session from that';

/**
 * Reads an ONNX file of opset 9 to 23. Values have the names of the file, nodes its names and operators. Weights become
 * float32 and own their data.
 *
 * @param bytes The whole file.
 * @param options.externalData Files beside it that hold its weights, if any: each with its path as the model names it.
 *   `loadOnnx` finds them itself.
 * @throws {FormatError} if the file is truncated, contradicts itself, is no ONNX model, or its external data is too
 * short
 * @throws {UnsupportedError} if it has operators, element types or forms that have no place in a Graph (names every
 *   such node), or external data that is not given
 * @example
 * const graph = readOnnx(await readFile('model.onnx'));
 */
export function readOnnx(
  bytes: Uint8Array | ArrayBuffer,
  options: { readonly externalData?: readonly ExternalFile[] } = {},
): Graph {
  checkNames('readOnnx', options, ['externalData']);
  const model = readModelFile(byteView(bytes, 'readOnnx'));
  attachFiles(model, checkExternalData('readOnnx', options.externalData));
  return graphOf(model);
}

/** @throws {FormatError} if the file is truncated or no ONNX model; names the kind of file if it is a known one */
export function readModelFile(file: Uint8Array): ModelProto {
  const kind = fileKind(file);
  if (kind === undefined || kind === 'onnx') return readModel(file);
  const isWeights = kind === 'zip' || kind === 'pickle' || kind === 'safetensors';
  throw new FormatError(`readOnnx: the file is ${describeKind(kind)}${isWeights ? WITHOUT_GRAPH : ''}`, 0);
}

/** The Graph of a model that has its data. */
export function graphOf(model: ModelProto): Graph {
  const [parameter] = parameterInputs(model);
  if (parameter !== undefined) {
    throw new UnsupportedError(
      `readOnnx: node ${readerOf(model, parameter)} reads the input ${show(parameter)}, which has to be known before ` +
        'the graph can be built; an InferenceSession binds it when it runs',
    );
  }
  return lowerOnnx(model, new Map());
}
