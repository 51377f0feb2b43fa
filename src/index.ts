/** The public interface of the package. */
// Declarations name Symbol.dispose, which is not in the libraries of ES2022.
/// <reference lib="esnext.disposable" preserve="true" />

declare global {
  /** Declarations name these too, which projects for Node without the library of the DOM do not have. */
  namespace WebAssembly {
    // biome-ignore-start lint/suspicious/noEmptyInterface: what the DOM's library says of them is added
    interface Memory {}
    interface Module {}
    // biome-ignore-end lint/suspicious/noEmptyInterface: as above
  }
}

export { FormatError, OutOfMemoryError, ThreadError, UnsupportedError } from './errors.js';
export { readOnnx } from './formats/onnx/read.js';
export { writeOnnx } from './formats/onnx/write.js';
export type { CheckpointSelection } from './formats/pth/findState.js';
export { type CheckpointOptions, readCheckpoint } from './formats/readCheckpoint.js';
export { readSafetensors, writeSafetensors } from './formats/safetensors.js';
export type {
  AxisNode,
  BatchNormNode,
  BinaryNode,
  Conv2dNode,
  DimOf,
  GlobalPoolNode,
  Graph,
  GraphNode,
  LinearNode,
  PaddingMode,
  PadNode,
  Pads,
  Pair,
  ParallelKernel,
  PoolNode,
  ReduceNode,
  ReshapeNode,
  ResizeNode,
  Role,
  SimpleNode,
  SliceNode,
  SqueezeNode,
  StoredValue,
  TransposeNode,
  UnaryNode,
  Window,
} from './graph/graph.js';
export { type GraphSummary, type NodeSummary, printGraph, summarize } from './graph/print.js';
export { ACBlock, type ACBlockOptions } from './layers/acBlock.js';
export { BatchNorm2d, type BatchNorm2dOptions } from './layers/batchNorm2d.js';
export { type Apply, Composite, type Wiring } from './layers/composite.js';
export { Conv2d, type Conv2dOptions } from './layers/conv2d.js';
export { Layer } from './layers/layer.js';
export { Linear, type LinearOptions } from './layers/linear.js';
export type { Size } from './layers/options.js';
export { AvgPool2d, type AvgPool2dOptions, MaxPool2d, type MaxPool2dOptions } from './layers/pool2d.js';
export { Sequential } from './layers/sequential.js';
export { Add, Concat, Flatten, GlobalAvgPool2d, ReLU, Softmax } from './layers/simple.js';
export { toGraph } from './layers/toGraph.js';
export { fuseStateDict } from './merge/fuseStateDict.js';
export { alexnet } from './models/alexnet.js';
export { cifarQuick } from './models/cifarQuick.js';
export { densenet } from './models/densenet.js';
export { densenet121 } from './models/densenet121.js';
export { lenet5bn } from './models/lenet5bn.js';
export type { DenseModelOptions, Form, ModelOptions, StagedModelOptions } from './models/options.js';
export { resnet18 } from './models/resnet18.js';
export { resnetCifar } from './models/resnetCifar.js';
export { type ToACNetOptions, toACNet } from './models/toACNet.js';
export { vgg16 } from './models/vgg16.js';
export { wideResnet } from './models/wideResnet.js';
export type { Algorithm } from './nodes/algorithm.js';
export { type MergedBranches, reparameterize } from './passes/reparameterize.js';
export type { StepInfo } from './plan/stepInfo.js';
export type { WasmSource } from './runtime/instantiate.js';
export {
  type Capabilities,
  type Capability,
  createRuntime,
  type MemoryUse,
  type Runtime,
  type RuntimeOptions,
} from './runtime/runtime.js';
export type { ExternalData } from './session/externalData.js';
export type { Feeds } from './session/feeds.js';
export { InferenceSession } from './session/inferenceSession.js';
export { loadOnnx } from './session/loadOnnx.js';
export type { TensorMetadata } from './session/metadata.js';
export type { InferenceSessionOptions } from './session/options.js';
export type { StepTime } from './session/profile.js';
export type { Phase, ProgressEvent } from './session/progress.js';
export type { ModelSource } from './session/source.js';
export { type ChromeTrace, type TraceEvent, toChromeTrace } from './session/trace.js';
export { warmUp } from './session/warmUp.js';
export { type StateDict, Tensor } from './tensor.js';
