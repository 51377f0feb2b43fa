/** What a session says of its inputs and outputs, in onnxruntime-web's form. */

import type { ModelProto } from '../formats/onnx/file/proto.js';
import { type DeclaredValue, declaredInputs, declaredOutputs } from '../formats/onnx/lower.js';
import type { Graph } from '../graph/graph.js';
import { inferKnownShapes } from '../graph/shapes.js';

/** A tensor that a session takes or gives. */
export interface TensorMetadata {
  readonly name: string;
  readonly isTensor: true;
  /** Element type: 'float32', or that of a model's parameter, such as 'int64'. */
  readonly type: string;
  /** Sizes, or names for axes of any size; also empty if nothing is known. */
  readonly shape: readonly (number | string)[];
}

export interface Metadata {
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export function metadataOfGraph(graph: Graph): Metadata {
  const shapes = inferKnownShapes(graph);
  const shapeOf = (name: string): readonly (number | string)[] | undefined =>
    shapes.get(name)?.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      return graph.inputDims?.get(dim.value)?.[dim.axis] ?? `${name}_dim${axis}`;
    });
  const describe = (name: string): TensorMetadata => tensorOf({ name, type: 'float32', dims: shapeOf(name) });
  return { inputs: graph.inputs.map(describe), outputs: graph.outputs.map(describe) };
}

/** @param graph what the model becomes, if known: it tells what the file leaves out */
export function metadataOfModel(model: ModelProto, graph: Graph | undefined): Metadata {
  const inferred = graph && new Map(metadataOfGraph(graph).outputs.map(({ name, shape }) => [name, shape]));
  return {
    inputs: declaredInputs(model).map(tensorOf),
    outputs: declaredOutputs(model).map((value) =>
      tensorOf({ ...value, dims: value.dims ?? inferred?.get(value.name) }),
    ),
  };
}

function tensorOf({ name, type, dims }: DeclaredValue): TensorMetadata {
  return Object.freeze({ name, isTensor: true, type, shape: Object.freeze([...(dims ?? [])]) });
}
