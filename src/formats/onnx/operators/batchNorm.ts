/** BatchNormalization, in evaluation mode. */
import { UnsupportedError } from '../../../errors.js';
import type { BatchNormNode } from '../../../graph/graph.js';
import { Tensor } from '../../../tensor.js';
import type { Constant } from '../file/tensors.js';
import { expectVector } from './arguments.js';
import { float } from './attributes.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';

export function lowerBatchNormalization(node: NodeContext): string {
  if (node.flag('training_mode', false)) node.unsupported('it is in training mode');
  if (!node.flag('spatial', true)) node.unsupported('it has statistics for each place');
  const gamma = node.parameter(1, 'scale');
  const names = ['bias', 'mean', 'variance'];
  const [beta, mean, variance] = names.map((name, i) => node.parameter(2 + i, name)) as [Constant, Constant, Constant];
  [gamma, beta, mean, variance].forEach((one, i) => {
    expectVector(node, one, gamma.size, ['scale', ...names][i]!);
  });
  const parameters = ['scale', ...names].map((role, i) => node.parameterName(1 + i, role));
  return node.emit({
    op: 'batchNorm',
    inputs: [node.operand(0), ...(parameters as [string, string, string, string])],
    eps: node.float('epsilon', 1e-5),
    momentum: undefined,
  });
}

/** @throws UnsupportedError if it uses batch statistics, for which a file for inference has no word */
export function writeBatchNormalization(node: BatchNormNode, to: NodeWriter): void {
  if (node.momentum !== undefined) {
    throw new UnsupportedError(
      `writeOnnx: BatchNorm ${JSON.stringify(node.path)} must be in evaluation mode, got one in training mode`,
    );
  }
  const [image, gamma, beta, mean, variance] = node.inputs;
  const operands = [
    image,
    gamma ?? repeated(node, 'gamma', 1, to),
    beta ?? repeated(node, 'beta', 0, to),
    mean,
    variance,
  ];
  to.finish(node, (output) => to.add('BatchNormalization', operands, [float('epsilon', node.eps)], output));
}

/** A parameter that ONNX requires, the same number for each channel. */
function repeated(node: BatchNormNode, role: string, value: number, to: NodeWriter): string {
  const size = to.storedSize(node.inputs[3]);
  if (size !== undefined) {
    return to.parameter(role, new Tensor('float32', new Float32Array(size).fill(value), [size]));
  }
  throw new UnsupportedError(`writeOnnx: BatchNorm ${JSON.stringify(node.path)} must have a ${role}, got undefined`);
}
