/** ReduceMean, whose axes became an input in opset 18. */
import type { ReduceNode } from '../../../graph/graph.js';
import { checkAxes, readAxes } from './arguments.js';
import { int, ints } from './attributes.js';
import { lowerIdentity } from './elementwise.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';

const OPSET_OF_AXES_INPUT = 18;

export function lowerReduceMean(node: NodeContext): string {
  const axes = readAxes(node, OPSET_OF_AXES_INPUT);
  const all = axes === undefined || axes.length === 0;
  if (all && node.flag('noop_with_empty_axes', false)) return lowerIdentity(node);
  return node.emit({
    op: 'reduceMean',
    inputs: [node.operand(0)],
    axes: all ? undefined : checkAxes(node, axes),
    keepDims: node.flag('keepdims', true),
  });
}

export function writeReduceMean({ inputs, axes, keepDims }: ReduceNode, to: NodeWriter): void {
  const attributes = [int('keepdims', keepDims ? 1 : 0)];
  if (axes === undefined) to.add('ReduceMean', inputs, attributes);
  else if (to.opset < OPSET_OF_AXES_INPUT) to.add('ReduceMean', inputs, [...attributes, ints('axes', axes)]);
  else to.add('ReduceMean', [...inputs, to.integers('axes', axes)], attributes);
}
