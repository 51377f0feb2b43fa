/**
 * Graphs to ONNX files. Each node becomes one operator or a few: what a node of the Graph does besides (an addend, a
 * ReLU, parallel kernels, cropping) is written as operators of its own, in the order in which it is computed. The opset is the lowest that has them all, from 13 on.
 */
import { UnsupportedError } from '../../errors.js';
import {
  addendOf,
  type BatchNormNode,
  type Conv2dNode,
  type DimOf,
  type Graph,
  type GraphNode,
  type LinearNode,
  type Pads,
  type PoolNode,
  type ReshapeNode,
  type ResizeNode,
  type UnaryNode,
} from '../../graph/graph.js';
import { Names } from '../../graph/names.js';
import { type Kernel, kernelsOf } from '../../nodes/conv.js';
import { checkNames } from '../../options.js';
import { Tensor } from '../../tensor.js';
import { normalPath } from './externalData.js';
import {
  type AttributeProto,
  AttributeType,
  type DimensionProto,
  EXTERNAL,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
  writeModel,
} from './proto.js';
import { DataType } from './tensors.js';

const OLDEST_OPSET = 13;
const OPSET_OF_HARD_SWISH = 14;
const OPSET_OF_ALLOW_ZERO = 14;
const OPSET_OF_REDUCE_AXES_INPUT = 18;
const OPSET_OF_RESIZE_AXES = 18;
const OPSET_OF_PAD_WRAP = 19;
const OPSET_OF_POOL_DILATION = 19;

/** In ONNX's words. */
const PAD_MODES = { reflect: 'reflect', replicate: 'edge', circular: 'wrap' } as const;
const UNARY = {
  relu: 'Relu',
  leakyRelu: 'LeakyRelu',
  sigmoid: 'Sigmoid',
  hardSigmoid: 'HardSigmoid',
  hardSwish: 'HardSwish',
} as const;
const BINARY = { add: 'Add', sub: 'Sub', mul: 'Mul', div: 'Div' } as const;

/** Tensors of fewer bytes stay in the model: a file of many small ones is slow to load. */
const MIN_EXTERNAL_BYTES = 1024;

/**
 * Writes a Graph as an ONNX file. Nodes have the names of their paths, values those of the Graph; dims of inputs are
 * written where they are known.
 *
 * @param options.externalData The name of a file for the weights beside the model, which many tools want from 2 GB on: then
 *   that file is returned too, in the form in which `readOnnx` and sessions take it.
 * @throws {UnsupportedError} if a BatchNorm uses batch statistics, which a file for inference has no word for
 * @throws {RangeError} if the file would be longer than 2 GB, or `externalData` is not the name of a file
 * @example
 * await writeFile('merged.onnx', writeOnnx(reparameterize(readOnnx(bytes)).graph));
 */
export function writeOnnx(graph: Graph): Uint8Array<ArrayBuffer>;
export function writeOnnx(
  graph: Graph,
  options: { readonly externalData: string },
): { model: Uint8Array<ArrayBuffer>; externalData: { path: string; data: Uint8Array<ArrayBuffer> }[] };
export function writeOnnx(graph: Graph, options: { readonly externalData?: string } = {}) {
  checkNames('writeOnnx', options, ['externalData']);
  const path = options.externalData;
  if (path !== undefined && (typeof path !== 'string' || normalPath(path) !== path)) {
    throw new RangeError(`writeOnnx: externalData must be the name of a file beside the model, got ${String(path)}`);
  }
  const writer = new Writer(graph, path);
  const model = writeModel(writer.model());
  return path === undefined ? model : { model, externalData: [{ path, data: writer.externalData() }] };
}

class Writer {
  readonly #graph: Graph;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #valueNames = new Names();
  readonly #nodeNames = new Names();
  readonly #opset: number;
  readonly #dataPath: string | undefined;
  /** What lies in the other file, one tensor behind the other. */
  readonly #data: Uint8Array[] = [];
  #dataBytes = 0;

  /** @param dataPath a file for weights, where they are not to be in the model */
  constructor(graph: Graph, dataPath: string | undefined) {
    this.#graph = graph;
    this.#dataPath = dataPath;
    this.#opset = graph.nodes.reduce((opset, node) => Math.max(opset, opsetOf(node)), OLDEST_OPSET);
    const names = [...graph.inputs, ...graph.outputs, ...(graph.values?.keys() ?? [])];
    for (const name of [...names, ...graph.nodes.flatMap(({ outputs }) => outputs)]) this.#valueNames.add(name);
  }

  model(): ModelProto {
    const { inputs, outputs, nodes, values, inputDims, metadata } = this.#graph;
    for (const [name, { tensor }] of values ?? []) this.#initializers.push(this.#floatTensor(name, tensor));
    for (const node of nodes) this.#write(node);
    return {
      at: 0,
      irVersion: irVersionOf(this.#opset),
      producerName: 'acnet-wasm',
      producerVersion: '',
      opsetImport: [{ at: 0, domain: '', version: this.#opset }],
      metadataProps: [...(metadata ?? [])].map(([key, value]) => ({ at: 0, key, value })),
      graph: {
        at: 0,
        name: 'graph',
        node: this.#nodes,
        initializer: this.#initializers,
        input: inputs.map((name) => valueInfo(name, inputDims?.get(name))),
        output: outputs.map((name) => valueInfo(name, undefined)),
        sparseInitializer: [],
      },
    };
  }

  externalData(): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(this.#dataBytes);
    let position = 0;
    for (const part of this.#data) {
      data.set(part, position);
      position += part.length;
    }
    return data;
  }

  #floatTensor(name: string, { data, dims }: Tensor): TensorProto {
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const tensor = { ...emptyTensor(name, dims), dataType: DataType.FLOAT };
    if (this.#dataPath === undefined || rawData.length < MIN_EXTERNAL_BYTES) return { ...tensor, rawData };
    const entries = { location: this.#dataPath, offset: this.#dataBytes, length: rawData.length };
    this.#data.push(rawData);
    this.#dataBytes += rawData.length;
    return {
      ...tensor,
      dataLocation: EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ at: 0, key, value: String(value) })),
    };
  }

  /** Writes what a node of the Graph computes; returns the name of its output. */
  #write(node: GraphNode): string {
    const [output] = node.outputs;
    const write = (opType: string, attributes: AttributeProto[] = [], more: string[] = []) =>
      this.#add(node, opType, [...node.inputs.map((name) => name ?? ''), ...more], attributes, output);
    switch (node.op) {
      case 'conv2d':
        return this.#writeConv2d(node);
      case 'batchNorm':
        return this.#writeBatchNorm(node);
      case 'linear':
        return this.#writeLinear(node);
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
        return this.#finish(node, (sum) => this.#add(node, BINARY[node.op], node.inputs, [], sum));
      case 'relu':
      case 'leakyRelu':
      case 'sigmoid':
      case 'hardSigmoid':
      case 'hardSwish':
        return write(UNARY[node.op], unaryAttributes(node));
      case 'clip':
        return write('Clip', [], this.#clipBounds(node));
      case 'maxPool2d':
      case 'avgPool2d':
        return this.#writePool(node);
      case 'globalAvgPool2d':
        return write('GlobalAveragePool');
      case 'globalMaxPool2d':
        return write('GlobalMaxPool');
      case 'resize':
        return this.#writeResize(node);
      case 'softmax':
        return write('Softmax', [int('axis', node.axis)]);
      case 'logSoftmax':
        return write('LogSoftmax', [int('axis', node.axis)]);
      case 'concat':
        return write('Concat', [int('axis', node.axis)]);
      case 'flatten':
        return write('Flatten', [int('axis', node.axis)]);
      case 'reshape':
        return this.#writeReshape(node);
      case 'squeeze':
        return write('Squeeze', [], node.axes && [this.#integers(node, 'axes', node.axes)]);
      case 'unsqueeze':
        return write('Unsqueeze', [], [this.#integers(node, 'axes', node.axes ?? [])]);
      case 'transpose':
        return write('Transpose', node.permutation && [ints('perm', node.permutation)]);
      case 'slice':
        return write('Slice', [], this.#sliceInputs(node, node));
      case 'pad':
        return write(
          'Pad',
          [string('mode', node.mode)],
          [this.#integers(node, 'pads', node.pads), this.#scalar(node, 'value', node.value)],
        );
      case 'reduceMean':
        return this.#writeReduceMean(node.axes, node.keepDims, write, node);
      case 'identity':
        return write('Identity');
      case 'matMul':
        return write('MatMul');
      default:
        return node satisfies never;
    }
  }

  /** A node of the Graph whose main part `write` writes, and behind it an addend and a ReLU where it has them. */
  #finish(node: GraphNode & { relu?: boolean }, write: (output: string) => string): string {
    const addend = addendOf(node);
    const [output] = node.outputs;
    const before = node.relu ? this.#derive(node, 'sum') : output;
    let value = write(addend === undefined ? before : this.#derive(node, 'main'));
    if (addend !== undefined) value = this.#add(node, 'Add', [value, addend], [], before);
    return node.relu ? this.#add(node, 'Relu', [value], [], output) : value;
  }

  #writeConv2d(node: Conv2dNode): string {
    const [own, ...parallel] = kernelsOf(node) as [Kernel, ...Kernel[]];
    const write = (output: string) => {
      let sum = this.#writeKernel(node, own, parallel.length === 0 ? output : this.#derive(node, 'branch'));
      parallel.forEach((kernel, i) => {
        const term = this.#writeKernel(node, kernel, this.#derive(node, 'branch'));
        sum = this.#add(
          node,
          'Add',
          [sum, term],
          [],
          i === parallel.length - 1 ? output : this.#derive(node, 'branches'),
        );
      });
      return sum;
    };
    return this.#finish(node, write);
  }

  #writeKernel(node: Conv2dNode, { weight, bias, window }: Kernel, output: string): string {
    const { paddingMode, groups } = node;
    let [image] = node.inputs;
    let pads = window.pads;
    if (paddingMode !== 'zeros') {
      // The border comes from the whole image: pad first, crop after.
      image = this.#padImage(node, image, pads, PAD_MODES[paddingMode]);
      image = this.#crop(node, image, pads);
      pads = [0, 0, 0, 0];
    } else {
      image = this.#crop(node, image, pads);
      pads = positive(pads);
    }
    return this.#add(
      node,
      'Conv',
      bias === undefined ? [image, weight] : [image, weight, bias],
      [
        ints('kernel_shape', window.kernel),
        ints('strides', window.stride),
        ints('dilations', window.dilation),
        ints('pads', pads),
        int('group', groups),
      ],
      output,
    );
  }

  #padImage(node: GraphNode, image: string, pads: Pads, mode: string): string {
    const [top, left, bottom, right] = positive(pads);
    if (top + left + bottom + right === 0) return image;
    const output = this.#derive(node, 'padded');
    const list = this.#integers(node, 'pads', [0, 0, top, left, 0, 0, bottom, right]);
    return this.#add(node, 'Pad', [image, list], [string('mode', mode)], output);
  }

  /** Negative pads, as a Slice. */
  #crop(node: GraphNode, image: string, pads: Pads): string {
    const axes = [2, 3].filter((axis) => pads[axis - 2]! < 0 || pads[axis]! < 0);
    if (axes.length === 0) return image;
    const output = this.#derive(node, 'cropped');
    const starts = axes.map((axis) => Math.max(0, -pads[axis - 2]!));
    const ends = axes.map((axis) => (pads[axis]! < 0 ? pads[axis]! : Number.MAX_SAFE_INTEGER));
    const steps = axes.map(() => 1);
    return this.#add(node, 'Slice', [image, ...this.#sliceInputs(node, { axes, starts, ends, steps })], [], output);
  }

  #writeBatchNorm(node: BatchNormNode): string {
    if (node.momentum !== undefined) {
      throw new UnsupportedError(
        `writeOnnx: BatchNorm ${JSON.stringify(node.path)} must be in evaluation mode, got one in training mode`,
      );
    }
    const [image, gamma, beta, mean, variance] = node.inputs;
    const operands = [
      image,
      gamma ?? this.#repeated(node, 'gamma', 1, mean),
      beta ?? this.#repeated(node, 'beta', 0, mean),
      mean,
      variance,
    ];
    return this.#finish(node, (output) =>
      this.#add(node, 'BatchNormalization', operands, [float('epsilon', node.eps)], output),
    );
  }

  /** A parameter that ONNX does not let one leave out: this number for each channel. */
  #repeated(node: BatchNormNode, role: string, value: number, mean: string): string {
    const size = this.#graph.values?.get(mean)?.tensor.size;
    if (size !== undefined) {
      return this.#parameter(node, role, new Tensor('float32', new Float32Array(size).fill(value), [size]));
    }
    throw new UnsupportedError(`writeOnnx: BatchNorm ${JSON.stringify(node.path)} must have a ${role}, got undefined`);
  }

  #writeLinear(node: LinearNode): string {
    const [matrix, weight, bias] = node.inputs;
    const operands = bias === undefined ? [matrix, weight] : [matrix, weight, bias];
    return this.#finish(node, (output) => this.#add(node, 'Gemm', operands, [int('transB', 1)], output));
  }

  #writePool(node: PoolNode): string {
    const { kernel, stride, dilation, pads } = node.window;
    const attributes = [
      ints('kernel_shape', kernel),
      ints('strides', stride),
      ints('pads', pads),
      int('ceil_mode', node.ceilMode ? 1 : 0),
    ];
    if (node.op === 'avgPool2d') attributes.push(int('count_include_pad', node.countIncludePad ? 1 : 0));
    if (node.op === 'maxPool2d' || isDilated(node)) attributes.push(ints('dilations', dilation));
    return this.#add(
      node,
      node.op === 'maxPool2d' ? 'MaxPool' : 'AveragePool',
      node.inputs,
      attributes,
      node.outputs[0],
    );
  }

  /** Sizes are written by axes: opset 13 would want those of the batch and of the channels too. */
  #writeResize(node: ResizeNode): string {
    const { inputs, mode, coordinates, rounding, target, scales } = node;
    const attributes = [
      string('mode', mode),
      string('coordinate_transformation_mode', coordinates),
      string('nearest_mode', rounding),
    ];
    const [image] = inputs as [string];
    if (scales !== undefined) {
      const all = this.#parameter(node, 'scales', new Tensor('float32', [1, 1, ...scales], [4]));
      return this.#add(node, 'Resize', [image, '', all], attributes, node.outputs[0]);
    }
    attributes.push(ints('axes', [2, 3]));
    return this.#add(node, 'Resize', [image, '', '', this.#shapeOf(node, target)], attributes, node.outputs[0]);
  }

  #writeReshape(node: ReshapeNode): string {
    const [input] = node.inputs as [string];
    // ONNX writes 0 for "same as input", unless allowzero is set.
    const target = node.target.map((size, axis) =>
      typeof size === 'object' && size.value === input && size.axis === axis && !node.allowZero ? 0 : size,
    );
    return this.#add(
      node,
      'Reshape',
      [input, this.#shapeOf(node, target)],
      node.allowZero ? [int('allowzero', 1)] : [],
      node.outputs[0],
    );
  }

  /** A list of sizes; those that are only known when the model runs are computed there. */
  #shapeOf(node: GraphNode, target: readonly (number | DimOf)[]): string {
    if (target.every((size) => typeof size === 'number')) return this.#integers(node, 'shape', target);
    const pieces = target.map((size) => {
      if (typeof size === 'number') return this.#integers(node, 'size', [size]);
      const shape = this.#add(node, 'Shape', [size.value], [], this.#derive(node, 'dims'));
      const axis = this.#integers(node, 'axis', [size.axis]);
      return this.#add(node, 'Gather', [shape, axis], [int('axis', 0)], this.#derive(node, 'size'));
    });
    return this.#add(node, 'Concat', pieces, [int('axis', 0)], this.#derive(node, 'shape'));
  }

  #writeReduceMean(
    axes: readonly number[] | undefined,
    keepDims: boolean,
    write: (opType: string, attributes: AttributeProto[], more?: string[]) => string,
    node: GraphNode,
  ): string {
    const attributes = [int('keepdims', keepDims ? 1 : 0)];
    if (axes === undefined) return write('ReduceMean', attributes);
    if (this.#opset < OPSET_OF_REDUCE_AXES_INPUT) return write('ReduceMean', [...attributes, ints('axes', axes)]);
    return write('ReduceMean', attributes, [this.#integers(node, 'axes', axes)]);
  }

  #clipBounds(node: UnaryNode): string[] {
    const { alpha, beta } = node;
    if (alpha === undefined && beta === undefined) return [];
    const low = alpha === undefined ? '' : this.#scalar(node, 'min', alpha);
    return beta === undefined ? [low] : [low, this.#scalar(node, 'max', beta)];
  }

  #sliceInputs(
    node: GraphNode,
    lists: { starts: readonly number[]; ends: readonly number[]; axes: readonly number[]; steps: readonly number[] },
  ): string[] {
    return (['starts', 'ends', 'axes', 'steps'] as const).map((name) => this.#integers(node, name, lists[name]));
  }

  /** Writes an operator; returns the name of its output. */
  #add(node: GraphNode, opType: string, input: readonly string[], attribute: AttributeProto[], output: string): string {
    this.#nodes.push({
      at: 0,
      input,
      output: [output],
      name: this.#nodeNames.derive(output === node.outputs[0] && node.path !== '' ? node.path : output),
      opType,
      attribute,
      domain: '',
    });
    return output;
  }

  /** Adds what an operator reads and the node of the Graph has as an attribute, or leaves out. */
  #parameter(node: GraphNode, role: string, tensor: Tensor): string {
    const name = this.#valueNames.derive(`${node.path || node.outputs[0]}.${role}`);
    this.#initializers.push(this.#floatTensor(name, tensor));
    return name;
  }

  #scalar(node: GraphNode, role: string, value: number): string {
    return this.#parameter(node, role, new Tensor('float32', [value], []));
  }

  #integers(node: GraphNode, role: string, values: readonly number[]): string {
    const name = this.#derive(node, role);
    this.#initializers.push({ ...emptyTensor(name, [values.length]), dataType: DataType.INT64, int64Data: values });
    return name;
  }

  #derive(node: GraphNode, suffix: string): string {
    return this.#valueNames.derive(`${node.outputs[0]}.${suffix}`);
  }
}

function opsetOf(node: GraphNode): number {
  switch (node.op) {
    case 'hardSwish':
      return OPSET_OF_HARD_SWISH;
    case 'reshape':
      return node.allowZero ? OPSET_OF_ALLOW_ZERO : OLDEST_OPSET;
    case 'resize':
      return node.scales === undefined ? OPSET_OF_RESIZE_AXES : OLDEST_OPSET;
    case 'pad':
      return node.mode === 'wrap' ? OPSET_OF_PAD_WRAP : OLDEST_OPSET;
    case 'conv2d':
      return node.paddingMode === 'circular' ? OPSET_OF_PAD_WRAP : OLDEST_OPSET;
    case 'avgPool2d':
      return isDilated(node) ? OPSET_OF_POOL_DILATION : OLDEST_OPSET;
    default:
      return OLDEST_OPSET;
  }
}

/** What came out together with the opset. */
function irVersionOf(opset: number): number {
  if (opset < 15) return 7;
  return opset < 19 ? 8 : 9;
}

function isDilated({ window }: PoolNode): boolean {
  return window.dilation.some((step) => step !== 1);
}

function positive(pads: Pads): Pads {
  return pads.map((pad) => Math.max(0, pad)) as unknown as Pads;
}

function unaryAttributes({ op, alpha, beta }: UnaryNode): AttributeProto[] {
  const attributes: AttributeProto[] = [];
  if (op !== 'leakyRelu' && op !== 'hardSigmoid') return attributes;
  if (alpha !== undefined) attributes.push(float('alpha', alpha));
  if (beta !== undefined && op === 'hardSigmoid') attributes.push(float('beta', beta));
  return attributes;
}

function emptyTensor(name: string, dims: readonly number[]): TensorProto {
  return {
    at: 0,
    dims,
    name,
    floatData: [],
    int32Data: [],
    int64Data: [],
    doubleData: [],
    uint64Data: [],
    externalData: [],
  };
}

function valueInfo(name: string, dims: readonly (number | string)[] | undefined): ValueInfoProto {
  const dim = dims?.map(
    (one): DimensionProto =>
      typeof one === 'number' ? { at: 0, dimValue: one, dimParam: '' } : { at: 0, dimParam: one },
  );
  const tensorType = { at: 0, elemType: DataType.FLOAT, ...(dim && { shape: { at: 0, dim } }) };
  return { at: 0, name, type: { at: 0, tensorType } };
}

function attribute(name: string, type: number, value: Partial<AttributeProto>): AttributeProto {
  return { at: 0, name, type, floats: [], ints: [], strings: [], ...value };
}

function int(name: string, i: number): AttributeProto {
  return attribute(name, AttributeType.INT, { i });
}

function ints(name: string, values: readonly number[]): AttributeProto {
  return attribute(name, AttributeType.INTS, { ints: values });
}

function float(name: string, f: number): AttributeProto {
  return attribute(name, AttributeType.FLOAT, { f });
}

function string(name: string, text: string): AttributeProto {
  return attribute(name, AttributeType.STRING, { s: new TextEncoder().encode(text) });
}
