/** Pooling over windows of an image: the largest value, or the mean. */
import { UnsupportedError } from '../errors.js';
import type { FullNode, Window } from '../nodes/node.js';
import { title } from '../nodes/shapeErrors.js';
import { cutKernel, FLOAT_FLOPS } from '../plan/steps/cut.js';
import { input, laneCleaner, ports, type Step, type StepContext, writeTable } from '../plan/steps/step.js';
import { seenTaps, seesNothing, windowDivisors, windowTable } from '../plan/steps/windows.js';
import type { OperationRule } from './operation.js';
import { checkWindow, expectWindowable, windowCounts } from './window.js';

export interface PoolNode extends FullNode {
  readonly op: 'maxPool2d' | 'avgPool2d';
  readonly window: Window;
  readonly ceilMode: boolean;
  readonly countIncludePad: boolean;
}

export const pool: OperationRule<PoolNode> = {
  check: ({ window }, expect) => checkWindow(expect, window),
  dims: (node, [input]) => {
    expectWindowable(node, input!);
    const [height, width] = windowCounts(node, node.window, input!, node.ceilMode);
    return [input![0], input![1], height, width];
  },
  layout: () => 'channelsLast',
  step,
  flags: (node) => [...(node.ceilMode ? ['ceil'] : []), ...(node.countIncludePad ? ['counts pads'] : [])],
};

/** Of all windows of a channel; 31 x 31 on 4096 x 4096 pixels are as many. */
const MAX_POOL_TAPS = 2 ** 34;

function step(node: PoolNode, context: StepContext): Step {
  const { runtime } = context;
  const { kernels } = runtime;
  const { window } = node;
  const { batch, pixels, lanes } = input(node, context);
  const [, , inHeight, inWidth] = context.dims(node.inputs[0]!) as [number, number, number, number];
  const [, , outHeight, outWidth] = context.dims(node.outputs[0]) as [number, number, number, number];
  const [down, across] = [seenTaps(window, 0, inHeight), seenTaps(window, 1, inWidth)];
  checkPoolWork(node, outHeight * outWidth, down * across);
  const tables = [
    windowTable(window, 0, 'zeros', inHeight, outHeight, inWidth * lanes * 4, down),
    windowTable(window, 1, 'zeros', inWidth, outWidth, lanes * 4, across),
  ] as const;
  const [rows, columns] = tables.map((table) => writeTable(context, table)) as [number, number];
  // The largest of nothing is -infinity, its mean NaN, also behind the channels.
  const clearLanes =
    seesNothing(tables[0], down) || seesNothing(tables[1], across) ? laneCleaner(node.outputs[0], context) : undefined;
  const shape = [outHeight, outWidth, down, across, pixels * lanes * 4, lanes] as const;
  const cut = { units: batch, flops: batch * outHeight * outWidth * down * across * lanes * FLOAT_FLOPS };
  const find = ports(node, context);
  if (node.op === 'maxPool2d') {
    const run = cutKernel(runtime, kernels, 'maxPool2d', cut);
    return (at) => {
      const [inPtr, , outPtr] = find(at);
      run(inPtr, outPtr, rows, columns, ...shape);
      clearLanes?.(outPtr);
    };
  }
  const counted = node.countIncludePad;
  const rowDivisors = writeTable(context, windowDivisors(window, 0, counted, inHeight, outHeight));
  const columnDivisors = writeTable(context, windowDivisors(window, 1, counted, inWidth, outWidth));
  const run = cutKernel(runtime, kernels, 'avgPool2d', cut);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    run(inPtr, outPtr, rows, columns, rowDivisors, columnDivisors, ...shape);
    clearLanes?.(outPtr);
  };
}

/** A file may ask for millions of windows, each as large as the image. */
function checkPoolWork(node: PoolNode, windows: number, taps: number): void {
  if (windows * taps <= MAX_POOL_TAPS) return;
  throw new UnsupportedError(
    `${title(node)}: ${windows} windows of ${taps} values take more than ${MAX_POOL_TAPS} of them for each channel`,
  );
}
