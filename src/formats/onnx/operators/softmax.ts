/** Softmax and LogSoftmax. */
import { normalizeAxis } from './arguments.js';
import type { NodeContext } from './nodeContext.js';

/** Before opset 13 the input counts as a matrix, whose columns are the axes from this one on. */
export function lowerSoftmax(node: NodeContext, op: 'softmax' | 'logSoftmax'): string {
  const dims = node.dims(0);
  const axis = node.int('axis', node.opset < 13 ? 1 : -1);
  if (
    node.opset >= 13 ||
    axis === -1 ||
    (dims !== undefined && normalizeAxis(node, axis, dims.length) === dims.length - 1)
  ) {
    return node.emit({ op, inputs: [node.operand(0)], axis });
  }
  if (dims === undefined) node.open('before opset 13 it needs an input of known rank');
  const matrix = node.emit({ op: 'flatten', inputs: [node.operand(0)], axis }, node.derive('matrix'));
  const rows = node.emit({ op, inputs: [matrix], axis: 1 }, node.derive('rows'));
  return node.emit({ op: 'reshape', inputs: [rows], target: dims, allowZero: true });
}
