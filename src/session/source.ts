/** What sessions are made from, and the Model that it becomes, which builds a Graph. */
import { byteView } from '../bytes/byteView.js';
import { type ModelProto, readModel } from '../formats/onnx/file/proto.js';
import { checkOperators, lowerOnnx, OpenSizesError, parameterInputs } from '../formats/onnx/lower.js';
import { readModelFile } from '../formats/onnx/read.js';
import type { Graph } from '../graph/graph.js';
import { checkGraph } from '../graph/validate.js';
import { Layer } from '../layers/layer.js';
import { toGraph } from '../layers/toGraph.js';
import { show } from '../shown.js';
import type { Tensor } from '../tensor.js';
import { type ExternalData, loadExternalData } from './externalData.js';
import { loadBytes } from './loadBytes.js';
import { type Metadata, metadataOfGraph, metadataOfModel } from './metadata.js';
import type { Progress } from './progress.js';

/** An ONNX file's bytes, its URL (or path, where there are files), a Graph, or a layer. */
export type ModelSource = Uint8Array | ArrayBuffer | URL | string | Graph | Layer;

export interface Model {
  readonly metadata: Metadata;
  /** Inputs whose values have to be known before there is a Graph: weights, shapes, axes. */
  readonly parameters: readonly string[];
  /** Whether the Graph is one for the dims of its inputs. */
  readonly bindsDims: boolean;
  /** The Graph for these parameters, which has all of the other inputs, and dims. */
  build(bound: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): Graph;
}

const OWNER = 'InferenceSession.create';

export async function readSource(
  source: ModelSource,
  externalData: readonly ExternalData[],
  progress: Progress,
): Promise<Model> {
  if (source instanceof Layer) return modelOf(toGraph(source));
  if (isGraph(source)) {
    checkGraph(source);
    return modelOf(source);
  }
  const isLocation = typeof source === 'string' || source instanceof URL;
  if (!isLocation && !isBytes(source)) {
    throw new TypeError(
      `InferenceSession.create: source must be an ONNX file's bytes, URL or path, a Graph or a layer, got ${show(source)}`,
    );
  }
  const bytes = isLocation
    ? await loadBytes(source, progress, OWNER)
    : byteView(source as Uint8Array | ArrayBuffer, OWNER);
  return progress.during('read', async () => {
    const model = readModelFile(bytes);
    const parameters = parameterInputs(model);
    // What is built later must not change with the caller's bytes.
    const keep = () => (isLocation ? model : readModel(bytes.slice()));
    const load = (kept: ModelProto) =>
      loadExternalData(kept, externalData, isLocation ? source : undefined, progress, OWNER);
    if (parameters.length === 0) {
      await load(model);
      const graph = lowerIfClosed(model);
      if (graph !== undefined) return { ...modelOf(graph), metadata: metadataOfModel(model, graph) };
    }
    const kept = keep();
    if (kept !== model || parameters.length > 0) await load(kept);
    checkOperators(kept);
    return {
      metadata: metadataOfModel(kept, undefined),
      parameters,
      bindsDims: parameters.length === 0,
      build: (bound, dims) => lowerOnnx(kept, bound, dims),
    };
  });
}

/** undefined: only the dims of inputs tell what the graph is. */
function lowerIfClosed(model: ModelProto): Graph | undefined {
  try {
    return lowerOnnx(model, new Map());
  } catch (error) {
    if (error instanceof OpenSizesError) return undefined;
    throw error;
  }
}

function isGraph(source: unknown): source is Graph {
  return typeof source === 'object' && source !== null && Array.isArray((source as Partial<Graph>).nodes);
}

function isBytes(source: unknown): boolean {
  return ['[object Uint8Array]', '[object ArrayBuffer]'].includes(Object.prototype.toString.call(source));
}

function modelOf(graph: Graph): Model {
  return { metadata: metadataOfGraph(graph), parameters: [], bindsDims: false, build: () => graph };
}
