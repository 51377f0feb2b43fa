/** `acnet run`: classifies images. */
import { readFile } from 'node:fs/promises';
import { type DecodedImage, decodeImage, toInput } from '../images/image.js';
import { createRuntime, type Graph, InferenceSession, Tensor } from '../index.js';
import { type Arguments, expectPositionals } from './arguments.js';
import type { Command } from './command.js';
import { CommandError, messageOf, UsageError } from './errors.js';
import { readWhole } from './files.js';
import { labelsOf, numbersOf, parseLabels, parseNumbers } from './labels.js';
import { readGraphFile } from './model.js';
import { withProgress } from './progress.js';
import { formatTable, plural, showDims } from './table.js';
import { paint, printable, shorten, type Terminal } from './terminal.js';

const TOP = 5;
/** Images at a time if the model leaves the batch open. */
const BATCH = 8;
const LARGEST_SIDE = 4096;
const BAR_WIDTH = 24;

const HELP = `Usage: acnet run MODEL IMAGE... [OPTIONS]

Classifies PNG and JPEG images with an ONNX model, whose branches are merged
first. Images are resized to the model's input whatever their proportions are,
and become (value - mean) / std with values from 0 to 1.

Options:
  --labels FILE  Names of the classes: one per line, or JSON
  --mean X,...   Of each channel, or one for all   (default 0)
  --std X,...    Of each channel, or one for all   (default 1)
  --size HxW     Size of the input, where the model leaves it open
  --top N        Classes to print for each image   (default ${TOP})
  --json         Print JSON instead
  --help         Print this

What is not given is looked for in the model's metadata: labels (or classes,
class_names, names), mean and std. A value that begins with a dash is written
--mean=-1,0,1. Outputs that are no probabilities go through a softmax, which
is said. Exits 1 when an image cannot be read; the others are shown.
`;

interface InputShape {
  /** Undefined if any will do. */
  readonly batch: number | undefined;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

interface Prediction {
  readonly index: number;
  readonly label: string | undefined;
  readonly probability: number;
  /** The model's output for the class. */
  readonly output: number;
}

interface Result {
  readonly file: string;
  readonly image?: DecodedImage;
  readonly predictions?: readonly Prediction[];
  readonly error?: string;
}

interface Scores {
  readonly rows: readonly Float32Array[];
  readonly areProbabilities: boolean;
}

export const run: Command = {
  name: 'run',
  summary: 'Classify PNG and JPEG images with an ONNX model',
  help: HELP,
  options: {
    labels: { type: 'string' },
    mean: { type: 'string' },
    std: { type: 'string' },
    size: { type: 'string' },
    top: { type: 'string' },
  },
  async run(args, output) {
    const [file, ...images] = expectPositionals(args, ['MODEL', 'IMAGE...']) as [string, ...string[]];
    const top = args.whole('top', 1) ?? TOP;
    const size = parseSize(args.text('size'));
    const given = { mean: parsePerChannel(args, 'mean'), std: parsePerChannel(args, 'std') };
    if (given.std?.includes(0)) throw new UsageError('--std has a zero');
    const labelsFile = args.text('labels');
    const ownLabels = labelsFile === undefined ? undefined : parseLabels(await readFile(labelsFile, 'utf8'));
    const { graph } = await readGraphFile(file);
    const shape = inputShape(graph, size);
    const perChannel = (key: 'mean' | 'std', otherwise: number): number[] => {
      const values = given[key] ?? numbersOf(graph, key) ?? [otherwise];
      if (values.length === 1) return Array(shape.channels).fill(values[0]);
      if (values.length === shape.channels) return values;
      const message = `must be one number, or ${shape.channels}, one per channel, got ${values.length}`;
      if (given[key] !== undefined) throw new UsageError(`--${key} ${message}`);
      throw new CommandError(`${key} in the model's metadata ${message}; say it with --${key}`);
    };
    const normalisation = { mean: perChannel('mean', 0), std: perChannel('std', 1) };
    const labels = ownLabels ?? labelsOf(graph);
    const { results, activation } = await classify(graph, images, shape, normalisation, labels, top);

    const input = { dims: [shape.channels, shape.height, shape.width], ...normalisation };
    output.json({
      model: file,
      input,
      activation,
      images: results.map(({ image, ...result }) => ({
        ...result,
        ...(image && { width: image.width, height: image.height }),
      })),
    });
    const { terminal } = output;
    output.lines([
      paint(
        `input ${shape.channels} x ${shape.height} x ${shape.width}, mean ${normalisation.mean.join(' ')}, ` +
          `std ${normalisation.std.join(' ')}${activation === 'softmax' ? '; softmax of the outputs' : ''}`,
        'dim',
        terminal,
      ),
      ...results.flatMap((result) => showResult(result, terminal)),
    ]);
    for (const { file: name, error } of results)
      if (error !== undefined) output.complain(printable(`${name}: ${error}`));
    return results.every(({ error }) => error === undefined);
  },
};

function parseSize(text: string | undefined): readonly [number, number] | undefined {
  if (text === undefined) return undefined;
  const [, height, width] = /^(\d+)x(\d+)$/i.exec(text) ?? [];
  const size = [Number(height), Number(width)] as const;
  if (size.every((side) => side >= 1 && side <= LARGEST_SIDE)) return size;
  throw new UsageError(`--size must be HEIGHTxWIDTH, each from 1 to ${LARGEST_SIDE}, got '${text}'`);
}

function parsePerChannel(args: Arguments, name: 'mean' | 'std'): number[] | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const numbers = parseNumbers(text);
  if (numbers === undefined) throw new UsageError(`--${name} must be numbers with commas between them, got '${text}'`);
  return numbers;
}

/** @throws {CommandError} if the model does not take images */
function inputShape(graph: Graph, size: readonly [number, number] | undefined): InputShape {
  const [name] = graph.inputs;
  if (name === undefined || graph.inputs.length !== 1) {
    throw new CommandError(`the model must have one image as input, got ${plural(graph.inputs.length, 'input')}`);
  }
  const dims = graph.inputDims?.get(name);
  if (dims === undefined || dims.length !== 4) {
    const known = dims === undefined ? 'none in the file' : showDims(dims);
    throw new CommandError(`input ${name} must have dims [N, channels, height, width], got ${known}`);
  }
  const [batch, channels] = dims;
  if (channels !== 1 && channels !== 3) {
    throw new CommandError(`input ${name} must have 1 or 3 channels, got dims ${showDims(dims)}`);
  }
  const [height, width] = ([2, 3] as const).map((axis) => {
    const declared = dims[axis]!;
    const asked = size?.[axis - 2];
    if (typeof declared === 'string') {
      if (asked !== undefined) return asked;
      throw new UsageError(`the model takes images of any size (dims ${showDims(dims)}): say which with --size HxW`);
    }
    if (asked !== undefined && asked !== declared) {
      throw new CommandError(`--size is ${size!.join('x')}, but input ${name} has dims ${showDims(dims)}`);
    }
    if (declared > LARGEST_SIDE) {
      throw new CommandError(`input ${name} must have at most ${LARGEST_SIDE} per side, got dims ${showDims(dims)}`);
    }
    return declared;
  }) as [number, number];
  return { batch: typeof batch === 'number' ? batch : undefined, channels, height, width };
}

async function classify(
  graph: Graph,
  files: readonly string[],
  shape: InputShape,
  normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] },
  labels: readonly string[] | undefined,
  top: number,
): Promise<{ results: Result[]; activation: 'none' | 'softmax' }> {
  const runtime = await createRuntime();
  try {
    const session = await InferenceSession.create(graph, { runtime });
    const read: { result: Result; scores?: Float32Array }[] = [];
    let areProbabilities = true;
    await withProgress('classifying', files.length, async (step) => {
      const batchSize = shape.batch ?? BATCH;
      for (let at = 0; at < files.length; at += batchSize) {
        const batch = await Promise.all(files.slice(at, at + batchSize).map(readImage));
        const decoded = batch.flatMap(({ image }) => image ?? []);
        const scores = decoded.length === 0 ? undefined : await scoresOf(session, decoded, shape, normalisation);
        areProbabilities &&= scores?.areProbabilities ?? true;
        let row = 0;
        for (const result of batch) {
          read.push(result.image === undefined ? { result } : { result, scores: scores!.rows[row++]! });
        }
        await step(read.length);
      }
    });
    await session.release();
    const results = read.map(({ result, scores }) =>
      scores === undefined ? result : { ...result, predictions: rank(scores, areProbabilities, labels, top) },
    );
    return { results, activation: areProbabilities ? 'none' : 'softmax' };
  } finally {
    runtime.dispose();
  }
}

async function readImage(file: string): Promise<Result> {
  try {
    return { file, image: decodeImage(await readWhole(file)) };
  } catch (error) {
    const message = messageOf(error);
    return { file, error: message.startsWith(`${file}: `) ? message.slice(file.length + 2) : message };
  }
}

/** A row for each image. If the model has a fixed batch, the rest of it is zeros. */
async function scoresOf(
  session: InferenceSession,
  images: readonly DecodedImage[],
  { batch, channels, height, width }: InputShape,
  normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] },
): Promise<Scores> {
  let input = toInput(images, { channels, height, width, ...normalisation });
  if (batch !== undefined && batch !== images.length) {
    const values = new Float32Array(batch * channels * height * width);
    values.set(input.data as Float32Array);
    input = new Tensor('float32', values, [batch, channels, height, width]);
  }
  const outputs = await session.run({ [session.inputNames[0]!]: input });
  const output = outputs[session.outputNames[0]!]!;
  const { dims } = output;
  const values = output.data as Float32Array;
  for (const tensor of Object.values(outputs)) tensor.dispose();
  const classes = dims[1] ?? 0;
  if (dims[0] !== input.dims[0] || classes < 1 || values.length !== dims[0]! * classes) {
    throw new CommandError(
      `output ${session.outputNames[0]} must have dims [${input.dims[0]}, classes], got ${showDims(dims)}`,
    );
  }
  const rows = images.map((_, i) => values.slice(i * classes, (i + 1) * classes));
  return { rows, areProbabilities: rows.every(areProbabilities) };
}

function areProbabilities(values: Float32Array): boolean {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.every((value) => value >= 0) && Math.abs(sum - 1) < 1e-3;
}

/** The likeliest classes; NaN comes last. */
function rank(
  outputs: Float32Array,
  areProbabilities: boolean,
  labels: readonly string[] | undefined,
  top: number,
): Prediction[] {
  const probabilities = areProbabilities ? Float64Array.from(outputs) : softmax(outputs);
  const order = (value: number): number => (Number.isNaN(value) ? -1 : value);
  return [...probabilities.keys()]
    .sort((a, b) => order(probabilities[b]!) - order(probabilities[a]!) || a - b)
    .slice(0, top)
    .map((index) => ({
      index,
      label: labels?.[index],
      probability: probabilities[index]!,
      output: outputs[index]!,
    }));
}

function softmax(values: Float32Array): Float64Array {
  const largest = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const exponentials = Float64Array.from(values, (value) => Math.exp(value - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

function showResult({ file, image, predictions }: Result, terminal: Terminal): string[] {
  if (image === undefined || predictions === undefined) return [];
  const rows = predictions.map(({ index, label, probability }) => [
    label === undefined ? `class ${index}` : printable(label),
    `${(100 * probability).toFixed(2)} %`,
    bar(probability, terminal),
  ]);
  const columns = [
    { title: '', least: 16 },
    { title: '', align: 'right' as const },
    { title: '', isOptional: true },
  ];
  const [, ...lines] = formatTable(columns, rows, [], terminal);
  const name = shorten(printable(file), terminal.columns, terminal);
  const title = `${paint(name, 'cyan', terminal)}  ${image.width} x ${image.height}`;
  return ['', title, ...lines.map((line, i) => (i === 0 ? paint(line, 'bold', terminal) : line))];
}

function bar(share: number, { isTTY, unicode }: Terminal): string {
  if (!isTTY || Number.isNaN(share)) return '';
  return (unicode ? '\u2588' : '#').repeat(Math.round(share * BAR_WIDTH));
}
