/**
 * ONNX's own tests of single operators, from the Debian package libonnx-testdata: each is a model, inputs, and the
 * outputs it must have. Every float test of the operators in OPERATORS is run, bar 3-D spatial forms and training. Lines that begin with # say which were run, which were left out, and why.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ModelProto,
  type NodeProto,
  readModel,
  readTensorProto,
  type ValueInfoProto,
} from '../src/formats/onnx/file/proto.js';
import { DataType, isIntegerType, readTensor, typeName } from '../src/formats/onnx/file/tensors.js';
// From the sources, so that everything shares one Tensor: lowerOnnx and parameterInputs are not public.
import { lowerOnnx, parameterInputs } from '../src/formats/onnx/lower.js';
import { createRuntime, InferenceSession, type Runtime, readOnnx, type Tensor, writeOnnx } from '../src/index.js';
import { relativeError } from './support.js';

const DATA = '/usr/share/libonnx-testdata/data';
const FOLDERS = ['node', 'pytorch-operator', 'pytorch-converted', 'simple'];
/** Largest error, relative to the output's largest magnitude. */
const TOLERANCE = 1e-5;

const SPATIAL = [
  'Conv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'LpPool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'GlobalLpPool',
];
const OPERATORS = new Set(
  (
    `${SPATIAL.join(' ')} BatchNormalization Relu LeakyRelu Clip Sigmoid HardSwish HardSigmoid Add Sum Sub Mul Div ` +
    'Gemm MatMul Flatten Reshape Transpose Concat Slice Pad Softmax LogSoftmax Identity Dropout Constant Squeeze ' +
    'Unsqueeze ReduceMean Resize Upsample Sqrt Reciprocal Abs Neg Floor Ceil Round Sign Exp Log Tanh ' +
    'Erf Softplus Softsign Mish ThresholdedRelu Gelu Elu Selu Celu PRelu Pow Mod Min Max Mean Equal Less LessOrEqual ' +
    'Greater GreaterOrEqual And Or Xor Not Where DepthToSpace SpaceToDepth InstanceNormalization ' +
    'LayerNormalization GroupNormalization LpNormalization MeanVarianceNormalization LRN Split Tile ReduceSum ReduceMax ' +
    'ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp ArgMax ArgMin TopK CumSum ' +
    'Shape Size Gather GatherElements Einsum Range NonZero ScatterND Cast CastLike Expand ConstantOfShape'
  ).split(' '),
);

const KNOWN_ONLY = ['Mod', 'Range', 'ScatterND', 'NonZero'];

const FOREIGN = 'operator ';
const FOREIGN_RESIZE = /cubic|tf_/;

interface Case {
  readonly name: string;
  readonly folder: string;
  readonly model: ModelProto;
}

function cases(): Case[] {
  return FOLDERS.flatMap((group) =>
    readdirSync(`${DATA}/${group}`).map((name) => {
      const folder = `${DATA}/${group}/${name}`;
      return { name: `${group}/${name}`, folder, model: readModel(readFileSync(`${folder}/model.onnx`)) };
    }),
  );
}

/** Why a test does not apply to float operators in inference; undefined: it has to pass. */
function reasonToSkip({ folder, model }: Case): string | undefined {
  const graph = model.graph!;
  const foreign = graph.node.find(({ opType }) => !OPERATORS.has(opType));
  if (foreign !== undefined) return `${FOREIGN}${foreign.opType}`;
  for (const { type } of [...graph.input, ...graph.output]) {
    if (type?.tensorType === undefined) return 'values that are no tensors';
  }
  const input = graph.input.map(({ type }) => type!.tensorType!.elemType).find((type) => !isTaken(type));
  if (input !== undefined) return `input of type ${typeName(input)}`;
  const output = graph.output.find(({ type }) => type!.tensorType!.elemType !== DataType.FLOAT);
  if (output !== undefined) return `output of type ${typeName(output.type!.tensorType!.elemType)}`;
  for (const node of graph.node) {
    const rank = spatialRank(node, graph.input);
    if (rank > 2) return `${rank}-D spatial form`;
    if (
      node.opType === 'BatchNormalization' &&
      node.attribute.some(({ name, i }) => name === 'training_mode' && i === 1)
    ) {
      return 'training';
    }
    if (node.opType === 'Resize') {
      const foreign = node.attribute.find(({ s }) => s !== undefined && FOREIGN_RESIZE.test(String.fromCharCode(...s)));
      if (foreign !== undefined) return `${foreign.name} of Resize`;
    }
    // Of these only integers that are known are taken.
    if (
      KNOWN_ONLY.includes(node.opType) &&
      graph.input.some(({ type }) => type!.tensorType!.elemType === DataType.FLOAT)
    ) {
      return `${node.opType} of values that are not known`;
    }
    if (node.opType === 'Dropout' && node.input.length > 2 && isRandom(folder)) return 'training';
  }
  return undefined;
}

function isTaken(type: number | undefined): boolean {
  return type === DataType.FLOAT || isIntegerType(type);
}

function spatialRank(node: NodeProto, inputs: readonly ValueInfoProto[]): number {
  if (!SPATIAL.includes(node.opType)) return 2;
  const kernel = node.attribute.find(({ name }) => name === 'kernel_shape');
  if (kernel !== undefined) return kernel.ints.length;
  const dims = inputs.find(({ name }) => name === node.input[node.opType.startsWith('Conv') ? 1 : 0])?.type?.tensorType
    ?.shape?.dim;
  return dims === undefined ? 2 : dims.length - 2;
}

/** Whether a Dropout in training mode drops anything: its inputs are values, ratio and mode. */
function isRandom(folder: string): boolean {
  const [, ratio, training] = [0, 1, 2].map((i) => readFile(`${folder}/test_data_set_0/input_${i}.pb`));
  return training!.data[0] !== 0 && ratio!.data[0] !== 0;
}

function readFile(path: string): Tensor {
  return readTensor(readTensorProto(readFileSync(path))).tensor;
}

/** The largest error of one set of data, through the Graph and through the file that writeOnnx makes of it. */
async function runSet({ model }: Case, folder: string, runtime: Runtime): Promise<number> {
  const graph = model.graph!;
  const initializers = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => !initializers.has(name));
  const feeds = new Map(inputs.map(({ name }, i) => [name, readFile(`${folder}/input_${i}.pb`)]));
  const expected = graph.output.map(({ name }, i) => [name, readFile(`${folder}/output_${i}.pb`)] as const);
  const parameters = parameterInputs(model);
  const lowered = lowerOnnx(model, new Map(parameters.map((name) => [name, feeds.get(name)!])));
  let largest = 0;
  for (const one of [lowered, readOnnx(writeOnnx(lowered))]) {
    const session = await InferenceSession.create(one, { runtime, reparameterize: false });
    const outputs = session.runSync(Object.fromEntries(one.inputs.map((name) => [name, feeds.get(name)!])));
    for (const [name, tensor] of expected) {
      assert.equal([...outputs[name]!.dims], [...tensor.dims], `dims of ${name}`);
      largest = Math.max(largest, errorOf(outputs[name]!.data, tensor.data));
      outputs[name]!.dispose();
    }
    await session.release();
  }
  return largest;
}

/** NaN is right where it is expected, and nowhere else. */
function errorOf(data: Float32Array, expected: Float32Array): number {
  if (data.some((value, i) => Number.isNaN(value) !== Number.isNaN(expected[i]))) return Number.NaN;
  const finite = (values: Float32Array) => values.map((value) => (Number.isNaN(value) ? 0 : value));
  return relativeError(finite(data), finite(expected));
}

if (!existsSync(DATA)) {
  test('libonnx-testdata', () => {
    console.log('# not run: ONNX has its own tests of operators, to be had by apt-get install libonnx-testdata');
  });
} else {
  test('every float test of the operators passes', async () => {
    const runtime = await createRuntime({ simd: 'baseline' });
    const ran: string[] = [];
    const failed: string[] = [];
    const skipped = new Map<string, string[]>();
    for (const one of cases()) {
      const reason = reasonToSkip(one);
      if (reason !== undefined) {
        skipped.set(reason, [...(skipped.get(reason) ?? []), one.name]);
        continue;
      }
      try {
        for (const set of readdirSync(one.folder).filter((name) => name.startsWith('test_data_set_'))) {
          const error = await runSet(one, `${one.folder}/${set}`, runtime);
          if (!(error <= TOLERANCE)) throw new Error(`relative error ${error}`);
        }
        ran.push(one.name);
      } catch (error) {
        failed.push(`${one.name}: ${(error as Error).message}`);
      }
    }
    runtime.dispose();
    // For build/test/onnxNodes.log: what ran, and what did not and why.
    console.log(['run:', ...ran].join('\n  '));
    for (const [reason, names] of skipped) console.log([`skipped, ${reason}:`, ...names].join('\n  '));
    const unknown = [...skipped].filter(([reason]) => reason.startsWith(FOREIGN)).flatMap(([, names]) => names).length;
    const others = [...skipped.values()].flat().length - unknown;
    console.log(
      `# ONNX's node tests: ${ran.length} run, ${unknown} of operators not here, ${others} of types or forms not here`,
    );
    assert.is(failed.length, 0, `${failed.length} failed, among them:\n${failed.slice(0, 20).join('\n')}`);
    assert.ok(ran.length > 450, `${ran.length} tests were run, expected more than 450`);
  });
}

test.run();
