// A training step of LeNet-5-BN in base form as an ONNX file, by hand: forward, mean cross-entropy, and the gradients of all
// parameters by onnxruntime's training operators (domain com.microsoft; MaxPoolGrad has none). Outputs: loss, then
// `KEY.gradient` for each parameter. The optimiser is left out.
const MICROSOFT = 'com.microsoft';
const OPSET = 14;
const IR_VERSION = 8;
/** TensorProto.DataType */
const FLOAT = 1;
const INT64 = 7;
/** AttributeProto.AttributeType */
const TYPES = { f: 1, i: 2, s: 3, ints: 7 };

const EPSILON = { epsilon: { f: 1e-5 } };
const CONVOLUTION = { kernel_shape: { ints: [5, 5] }, pads: { ints: [0, 0, 0, 0] }, strides: { ints: [1, 1] } };
const POOL = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } };
const TRANSPOSED = { i: 1 };

/**
 * @param state the model's state dict, in JavaScript's memory
 * @param protocol `writeModel` and `WireWriter` of src/formats/onnx
 * @returns bytes of the file, which reads `image` [batch, 1, 28, 28] and `labels` [batch] of int64
 */
export function lenetStep(state, batch, protocol) {
  const step = new StepWriter(state);
  const conv1 = step.unit('stem.conv1', 'image', [batch, 20, 24, 24]);
  const conv2 = step.unit('stem.conv2', conv1.pooled, [batch, 50, 8, 8]);
  const [flat] = step.add('Flatten', [conv2.pooled], ['flat'], { axis: { i: 1 } });
  const [hidden] = step.linear('linear1', flat);
  const [active] = step.add('Relu', [hidden], ['active']);
  const [logits] = step.linear('linear2', active);
  const mean = { reduction: { s: 'mean' } };
  const [loss, logs] = step.add('SoftmaxCrossEntropyLoss', [logits, 'labels'], ['loss', 'logs'], mean);
  step.constant('one', FLOAT, [], Float32Array.of(1));
  const gradientOf = 'SoftmaxCrossEntropyLossGrad';
  const [ofLogits] = step.add(gradientOf, ['one', logs, 'labels'], ['logits.gradient'], mean, MICROSOFT);
  const ofActive = step.linearGradient('linear2', active, ofLogits);
  const [ofHidden] = step.add('ReluGrad', [ofActive, active], ['hidden.gradient'], {}, MICROSOFT);
  const ofFlat = step.linearGradient('linear1', flat, ofHidden);
  step.constant('unflat', INT64, [4], BigInt64Array.of(BigInt(batch), 50n, 4n, 4n));
  const [ofPooled] = step.add('Reshape', [ofFlat, 'unflat'], ['pooled.gradient']);
  const ofConv1 = step.unitGradient(conv2, ofPooled, true);
  step.unitGradient(conv1, ofConv1, false);
  const inputs = [tensorInfo('image', FLOAT, [batch, 1, 28, 28]), tensorInfo('labels', INT64, [batch])];
  return step.finish(inputs, [loss, ...step.gradients], protocol);
}

class StepWriter {
  gradients = [];
  #state;
  #nodes = [];
  #constants = [];
  /** Dims of values for which onnxruntime cannot infer them. */
  #known = [];

  constructor(state) {
    this.#state = state;
    for (const [key, { dims, data }] of Object.entries(state)) this.constant(key, FLOAT, dims, data);
    this.constant('rows', INT64, [1], BigInt64Array.of(0n));
  }

  /** Returns the outputs. */
  add(opType, input, output, attributes = {}, domain = '') {
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.#nodes.push({ input, output, name: output[0] || output[1], opType, attribute, domain });
    return output;
  }

  constant(name, dataType, dims, { buffer, byteOffset, byteLength }) {
    this.#constants.push(tensor(name, dataType, dims, new Uint8Array(buffer, byteOffset, byteLength)));
  }

  /** Convolution, BatchNorm by the batch's statistics, ReLU, max pool. */
  unit(path, image, dims) {
    const [conv] = this.add('Conv', [image, `${path}.conv.weight`], [`${path}.conv`], CONVOLUTION);
    const parameters = ['weight', 'bias', 'running_mean', 'running_var'].map((name) => `${path}.bn.${name}`);
    const outputs = ['bn', 'mean', 'variance', 'batch_mean', 'batch_deviation'].map((name) => `${path}.${name}`);
    const training = { ...EPSILON, momentum: { f: 0.9 }, training_mode: { i: 1 } };
    this.add('BatchNormInternal', [conv, ...parameters], outputs, training, MICROSOFT);
    const [norm, , , mean, deviation] = outputs;
    const [active] = this.add('Relu', [norm], [`${path}.relu`]);
    const [pooled, places] = this.add('MaxPool', [active], [`${path}.pool`, `${path}.places`], POOL);
    return { path, dims, image, conv, mean, deviation, active, pooled, places };
  }

  /** Returns the image's gradient if it is needed. */
  unitGradient({ path, dims, image, conv, mean, deviation, active, places }, gradient, isNeeded) {
    const name = (value) => `${path}.${value}.gradient`;
    const [ofActive] = this.add('MaxPoolGrad', [gradient, places], [name('relu')], POOL);
    this.#known.push({ name: ofActive, dims });
    const [ofNorm] = this.add('ReluGrad', [ofActive, active], [name('bn')], {}, MICROSOFT);
    const ofParameters = [this.#gradientOf(`${path}.bn.weight`), this.#gradientOf(`${path}.bn.bias`)];
    const normInputs = [ofNorm, conv, `${path}.bn.weight`, mean, deviation];
    const [ofConv] = this.add(
      'BatchNormalizationGrad',
      normInputs,
      [name('conv'), ...ofParameters],
      EPSILON,
      MICROSOFT,
    );
    const weight = `${path}.conv.weight`;
    const outputs = [isNeeded ? name('image') : '', this.#gradientOf(weight)];
    return this.add('ConvGrad', [ofConv, image, weight], outputs, CONVOLUTION, MICROSOFT)[0];
  }

  linear(path, rows) {
    return this.add('Gemm', [rows, `${path}.weight`, `${path}.bias`], [path], { transB: TRANSPOSED });
  }

  /** Returns the gradient of its rows. */
  linearGradient(path, rows, gradient) {
    this.add('Gemm', [gradient, rows], [this.#gradientOf(`${path}.weight`)], { transA: TRANSPOSED });
    this.add('ReduceSum', [gradient, 'rows'], [this.#gradientOf(`${path}.bias`)], { keepdims: { i: 0 } });
    return this.add('Gemm', [gradient, `${path}.weight`], [`${path}.rows.gradient`])[0];
  }

  finish(input, outputs, { writeModel, WireWriter }) {
    const model = writeModel({
      irVersion: IR_VERSION,
      producerName: 'acnet-wasm',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      metadataProps: [],
      graph: {
        node: this.#nodes,
        name: 'step',
        initializer: this.#constants,
        input,
        output: outputs.map((name) => tensorInfo(name, FLOAT)),
        sparseInitializer: [],
      },
    });
    // Repeated parts of a message are merged by readers.
    return Buffer.concat([model, valueInfos(this.#known, WireWriter)]);
  }

  #gradientOf(key) {
    const name = `${key}.gradient`;
    if (!(key in this.#state)) throw new Error(`the model has no ${key}`);
    this.gradients.push(name);
    return name;
  }
}

function attributeOf(name, value) {
  const [kind, content] = Object.entries(value)[0];
  const none = { floats: [], ints: [], strings: [] };
  return { name, ...none, type: TYPES[kind], [kind]: kind === 's' ? new TextEncoder().encode(content) : content };
}

function tensor(name, dataType, dims, rawData) {
  const empty = { floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: [], externalData: [] };
  return { name, dataType, dims, rawData, ...empty };
}

function tensorInfo(name, elemType, dims) {
  const shape = dims && { dim: dims.map((dimValue) => ({ dimValue, dimParam: '' })) };
  return { name, type: { tensorType: { elemType, shape } } };
}

/** GraphProto.value_info, which the package neither reads nor writes, as the graph of a model. */
function valueInfos(known, WireWriter) {
  const [VARINT, BYTES] = [0, 2];
  const message = (field, inner) => (writer) => {
    const content = new WireWriter();
    inner(content);
    writer.tag(field, BYTES);
    writer.message(content);
  };
  const number = (field, value) => (writer) => {
    writer.tag(field, VARINT);
    writer.int64(value);
  };
  const all = (parts) => (writer) => {
    for (const part of parts) part(writer);
  };
  const text = (field, value) => (writer) => {
    writer.tag(field, BYTES);
    writer.string(value);
  };
  const shape = (dims) => all(dims.map((size) => message(1, number(1, size))));
  const info = ({ name, dims }) =>
    message(13, all([text(1, name), message(2, message(1, all([number(1, FLOAT), message(2, shape(dims))])))]));
  const model = new WireWriter();
  message(7, all(known.map(info)))(model);
  return model.finish();
}
