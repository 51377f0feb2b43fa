/** The public interface of the package. */
export { FormatError, OutOfMemoryError, UnsupportedError } from './errors.js';
export { fuseStateDict } from './formats/fuseStateDict.js';
export { readOnnx } from './formats/onnx/read.js';
export { writeOnnx } from './formats/onnx/write.js';
export { readSafetensors, writeSafetensors } from './formats/safetensors.js';
export type {
  AxisNode,
  BatchNormNode,
  BinaryNode,
  Conv2dNode,
  DimOf,
  GlobalPoolNode,
  Graph,
  LinearNode,
  Node,
  Norm,
  PaddingMode,
  PadNode,
  Pads,
  Pair,
  PoolNode,
  ReduceNode,
  ReshapeNode,
  SimpleNode,
  SliceNode,
  SqueezeNode,
  TransposeNode,
  UnaryNode,
  Window,
} from './graph/graph.js';
export { type GraphSummary, type NodeSummary, printGraph, summarize } from './graph/print.js';
export { ACBlock, type ACBlockOptions } from './layers/acBlock.js';
export { BatchNorm2d, type BatchNorm2dOptions } from './layers/batchNorm2d.js';
export { Conv2d, type Conv2dOptions } from './layers/conv2d.js';
export type { Layer } from './layers/layer.js';
export { Linear, type LinearOptions } from './layers/linear.js';
export type { Size } from './layers/options.js';
export { AvgPool2d, type AvgPool2dOptions, MaxPool2d, type MaxPool2dOptions } from './layers/pool2d.js';
export { Sequential } from './layers/sequential.js';
export { Add, Concat, Flatten, GlobalAvgPool2d, ReLU, Softmax } from './layers/simple.js';
export { lenet5bn, type ModelOptions } from './models/lenet5bn.js';
export type { Form } from './models/units.js';
export { type MergedBranches, reparameterize } from './passes/reparameterize.js';
export type { StepInfo } from './plan/stepInfo.js';
export {
  type Capabilities,
  type Capability,
  createRuntime,
  type MemoryUse,
  type Runtime,
  type RuntimeOptions,
} from './runtime/runtime.js';
export { InferenceSession, type InferenceSessionOptions, type StepTime } from './session/inferenceSession.js';
export { type StateDict, Tensor } from './tensor.js';
