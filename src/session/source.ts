/** What sessions are made from, and what becomes of it: a Model, which gives a Graph. */
import { FormatError } from '../errors.js';
import { byteView } from '../formats/file.js';
import { lowerOnnx, parameterInputs, portNames } from '../formats/onnx/lower.js';
import { readModel } from '../formats/onnx/proto.js';
import type { Graph } from '../graph/graph.js';
import { checkGraph } from '../graph/validate.js';
import { Layer } from '../layers/layer.js';
import type { Tensor } from '../tensor.js';
import { loadBytes } from './loadBytes.js';
import type { Progress } from './progress.js';
import { toGraph } from './toGraph.js';

/** An ONNX file's bytes, or where they are (a path is one where there are files), a Graph, or a layer. */
export type ModelSource = Uint8Array | ArrayBuffer | URL | string | Graph | Layer;

export interface Model {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Inputs whose values have to be known before there is a Graph: weights, shapes, axes. */
  readonly parameters: readonly string[];
  /** The Graph for these parameters, which has all of the other inputs. */
  build(bound: ReadonlyMap<string, Tensor>): Graph;
}

export async function readSource(source: ModelSource, progress: Progress): Promise<Model> {
  if (source instanceof Layer) return modelOf(toGraph(source));
  if (isGraph(source)) {
    checkGraph(source);
    return modelOf(source);
  }
  const isLocation = typeof source === 'string' || source instanceof URL;
  if (!isLocation && !isBytes(source)) {
    throw new TypeError(
      `InferenceSession.create: source must be an ONNX file's bytes, URL or path, a Graph or a layer, got ${String(source)}`,
    );
  }
  const bytes = isLocation
    ? await loadBytes(source, progress)
    : byteView(source as Uint8Array | ArrayBuffer, 'InferenceSession.create');
  checkNoWeights(bytes);
  return progress.during('read', () => readBytes(bytes));
}

function isGraph(source: unknown): source is Graph {
  return typeof source === 'object' && source !== null && Array.isArray((source as Partial<Graph>).nodes);
}

function isBytes(source: unknown): boolean {
  return ['[object Uint8Array]', '[object ArrayBuffer]'].includes(Object.prototype.toString.call(source));
}

function modelOf(graph: Graph): Model {
  return { inputNames: graph.inputs, outputNames: graph.outputs, parameters: [], build: () => graph };
}

function readBytes(bytes: Uint8Array): Model {
  const model = readModel(bytes);
  const parameters = parameterInputs(model);
  if (parameters.length === 0) return modelOf(lowerOnnx(model, new Map()));
  // What is built later must not change with the caller's bytes.
  const kept = readModel(bytes.slice());
  const { inputs, outputs } = portNames(kept);
  return { inputNames: inputs, outputNames: outputs, parameters, build: (bound) => lowerOnnx(kept, bound) };
}

/** @throws FormatError for checkpoints, which people take for models */
function checkNoWeights(bytes: Uint8Array): void {
  const format = checkpointFormat(bytes);
  if (format === undefined) return;
  throw new FormatError(
    `InferenceSession.create: the file is ${format}, weights without a graph; make the network with its builder ` +
      '(lenet5bn, resnet18, ...), loadStateDict(readCheckpoint(bytes)), eval(), and create the session from that',
    0,
  );
}

function checkpointFormat(bytes: Uint8Array): string | undefined {
  const startsWith = (...start: number[]): boolean => start.every((byte, i) => bytes[i] === byte);
  if (startsWith(0x50, 0x4b, 3, 4)) return 'a zip archive, as torch.save writes .pth';
  if (startsWith(0x80, 2)) return 'a pickle, as old versions of torch.save wrote .pth';
  // A header's length below 2^32, then JSON.
  const isHeader = bytes[8] === 0x7b && startsWith(bytes[0]!, bytes[1]!, bytes[2]!, bytes[3]!, 0, 0, 0, 0);
  return isHeader ? 'of safetensors' : undefined;
}
