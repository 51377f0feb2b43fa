// assembly/conv/depthwiseRuns.ts: depthwise convolution of a few pixels of a row at a time, for each width of the kernel
// and each step between windows that networks have.
//
// Neighbouring windows share the columns that they see: each vector of a row is loaded once, and multiplied by the weight
// of every window that it lies in. A window's products are added in the order of its taps, as one pixel at a time does.
import { each, header, text } from './text.mjs';

/** Kernels of networks: those of width 7 stand in stages that keep their size. */
const RUNS = [
  { width: 3, step: 1 },
  { width: 3, step: 2 },
  { width: 5, step: 1 },
  { width: 5, step: 2 },
  { width: 7, step: 1 },
];
/** Four sums, the weights of a kernel row (up to seven) and what is loaded fit into sixteen registers. */
const PIXELS = 4;

export function depthwiseRuns() {
  return text(
    header('scripts/generate/depthwiseRuns.mjs'),
    `/** Depthwise convolution of neighbouring pixels, see conv/depthwise.ts. */`,
    `import { clampLow, multiplyAdd } from '../simd';`,
    `import { ConvDescriptor } from './descriptor';`,
    '',
    `/** Pixels of a run. */`,
    `export const RUN_PIXELS: i32 = ${PIXELS};`,
    `/** Bytes of what a run knows of a kernel row: the address of its first column, and the distance of columns. */`,
    `export const RUN_ROW_BYTES: usize = 8;`,
    '',
    RUNS.map(run),
    choice(),
  );
}

const nameOf = ({ width, step }) => `run${width}Step${step}`;

function run(shape) {
  const { width, step } = shape;
  const sums = each(PIXELS, (i) => `sum${i}`);
  const columns = each((PIXELS - 1) * step + width, (column) => [
    `v = v128.load(inPtr);`,
    column < (PIXELS - 1) * step + width - 1 ? 'inPtr += distance;' : [],
    sums.flatMap((sum, i) => {
      const tap = column - i * step;
      return tap >= 0 && tap < width ? [`${sum} = multiplyAdd(v, w${tap}, ${sum});`] : [];
    }),
  ]);
  return text(
    `function ${nameOf(shape)}(d: ConvDescriptor, rowsPtr: usize, outPtr: usize, residualPtr: usize): void {`,
    'const lows = f32x4.splat(d.low);',
    'const lanesBytes = d.outPixelStride;',
    'const rowsEnd = rowsPtr + <usize>d.kernelHeight * RUN_ROW_BYTES;',
    'for (let channel: usize = 0; channel < lanesBytes; channel += 16) {',
    `let ${sums[0]} = v128.load(d.biasPtr + channel);`,
    sums.slice(1).map((sum) => `let ${sum} = ${sums[0]};`),
    'let weightPtr = d.weightsPtr + channel;',
    'for (let rowPtr = rowsPtr; rowPtr < rowsEnd; rowPtr += RUN_ROW_BYTES) {',
    'let inPtr = load<usize>(rowPtr) + channel;',
    'const distance = load<usize>(rowPtr, 4);',
    each(width, (tap) => [`const w${tap} = v128.load(weightPtr);`, 'weightPtr += lanesBytes;']),
    'let v: v128;',
    columns,
    '}',
    'let toPtr = outPtr + channel;',
    'if (residualPtr !== 0) {',
    'let addendPtr = residualPtr + channel;',
    sums.map((sum) => [`${sum} = f32x4.add(${sum}, v128.load(addendPtr));`, 'addendPtr += lanesBytes;']),
    '}',
    sums.map((sum) => [`v128.store(toPtr, clampLow(${sum}, lows));`, 'toPtr += lanesBytes;']),
    '}',
    '}',
    '',
  );
}

function choice() {
  const isRun = ({ width, step }) => `(width === ${width} && step === ${step})`;
  return text(
    `/** Whether there is a run for kernels of this width whose windows are so many pixels apart. */`,
    'export function hasRun(width: i32, step: i32): bool {',
    `return ${RUNS.map(isRun).join(' || ')};`,
    '}',
    '',
    `/**
     * RUN_PIXELS pixels from outPtr on.
     *
     * @param rowsPtr of each kernel row the address of the first column that the first pixel sees, and the distance of
     * columns: 0 where the row is padding, all of which is one pixel of zeros
     */`,
    'export function sumRun(d: ConvDescriptor, step: i32, rowsPtr: usize, outPtr: usize, residualPtr: usize): void {',
    RUNS.map((shape, i) => {
      const call = `${nameOf(shape)}(d, rowsPtr, outPtr, residualPtr);`;
      if (i === RUNS.length - 1) return `else ${call}`;
      return `${i === 0 ? '' : 'else '}if (d.kernelWidth === ${shape.width} && step === ${shape.step}) ${call}`;
    }),
    '}',
  );
}
