/** MaxPool, AveragePool, and pools of whole images. */
import type { PoolNode } from '../../../graph/graph.js';
import { int, ints } from './attributes.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { emitOnImages, expectSpatial, readPair, readWindow } from './window.js';

export function lowerPool(node: NodeContext, op: 'maxPool2d' | 'avgPool2d'): string {
  const kernel = node.ints('kernel_shape') ?? node.broken('it has no kernel_shape');
  const spatial = expectSpatial(node, kernel.length, 'pooling');
  const pool = {
    op,
    window: readWindow(node, readPair(node, 'kernel_shape', spatial), spatial),
    ceilMode: node.flag('ceil_mode', false),
    countIncludePad: node.flag('count_include_pad', false),
  };
  return emitOnImages(node, spatial, (image, output) => node.emit({ ...pool, inputs: [image] }, output));
}

/** The p-th root of the sum of |x|^p: of a mean, times as many as there are. */
export function lowerLpPool(node: NodeContext): string {
  const kernel = node.ints('kernel_shape') ?? node.broken('it has no kernel_shape');
  const spatial = expectSpatial(node, kernel.length, 'pooling');
  const window = readWindow(node, readPair(node, 'kernel_shape', spatial), spatial);
  const ceilMode = node.flag('ceil_mode', false);
  return emitOnImages(node, spatial, (image, output) => {
    const powers = emitPowers(node, image);
    const pool = { op: 'avgPool2d', window, ceilMode, countIncludePad: true } as const;
    const means = node.emit({ ...pool, inputs: [powers] }, node.derive('means'));
    const taps = node.newScalar('taps', window.kernel[0] * window.kernel[1]);
    const sums = node.emit({ op: 'mul', inputs: [means, taps] }, node.derive('sums'));
    return emitRoot(node, sums, output);
  });
}

export function lowerGlobalLpPool(node: NodeContext): string {
  const rank = node.dims(0)?.length ?? 4;
  const axes = Array.from({ length: rank - 2 }, (_, i) => 2 + i);
  const inputs = [emitPowers(node, node.operand(0))];
  return emitRoot(node, node.emit({ op: 'reduceSum', inputs, axes, keepDims: true }, node.derive('sums')));
}

function emitPowers(node: NodeContext, x: string): string {
  const p = node.int('p', 2);
  if (p === 2) return node.emit({ op: 'mul', inputs: [x, x] }, node.derive('powers'));
  const magnitudes = node.emit({ op: 'abs', inputs: [x] }, node.derive('magnitudes'));
  return node.emit({ op: 'pow', inputs: [magnitudes, node.newScalar('p', p)] }, node.derive('powers'));
}

function emitRoot(node: NodeContext, x: string, output?: string): string {
  const p = node.int('p', 2);
  if (p === 2) return node.emit({ op: 'sqrt', inputs: [x] }, output);
  return node.emit({ op: 'pow', inputs: [x, node.newScalar('root', 1 / p)] }, output);
}

export function lowerGlobalPool(node: NodeContext, op: 'globalAvgPool2d' | 'globalMaxPool2d'): string {
  const spatial = expectSpatial(node, (node.dims(0)?.length ?? 4) - 2, 'pooling');
  return emitOnImages(node, spatial, (image, output) => node.emit({ op, inputs: [image] }, output));
}

export function writePool(node: PoolNode, to: NodeWriter): void {
  const { kernel, stride, dilation, pads } = node.window;
  const attributes = [
    ints('kernel_shape', kernel),
    ints('strides', stride),
    ints('pads', pads),
    int('ceil_mode', node.ceilMode ? 1 : 0),
  ];
  if (node.op === 'avgPool2d') attributes.push(int('count_include_pad', node.countIncludePad ? 1 : 0));
  if (node.op === 'maxPool2d' || isDilated(node)) attributes.push(ints('dilations', dilation));
  to.add(node.op === 'maxPool2d' ? 'MaxPool' : 'AveragePool', node.inputs, attributes);
}

export function isDilated({ window }: PoolNode): boolean {
  return window.dilation.some((step) => step !== 1);
}
