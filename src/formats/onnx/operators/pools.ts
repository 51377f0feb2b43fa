/** MaxPool, AveragePool, and pools of whole images. */
import type { PoolNode } from '../../../graph/graph.js';
import { int, ints } from './attributes.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { expectTwoSpatialDims, readPair, readWindow } from './window.js';

export function lowerPool(node: NodeContext, op: 'maxPool2d' | 'avgPool2d'): string {
  const kernel = node.ints('kernel_shape') ?? node.broken('it has no kernel_shape');
  expectTwoSpatialDims(node, kernel.length, 'pooling');
  return node.emit({
    op,
    inputs: [node.operand(0)],
    window: readWindow(node, readPair(node, 'kernel_shape', 1)),
    ceilMode: node.flag('ceil_mode', false),
    countIncludePad: node.flag('count_include_pad', false),
  });
}

export function lowerGlobalPool(node: NodeContext, op: 'globalAvgPool2d' | 'globalMaxPool2d'): string {
  const rank = node.dims(0)?.length ?? 4;
  expectTwoSpatialDims(node, rank - 2, 'pooling');
  return node.emit({ op, inputs: [node.operand(0)] });
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
