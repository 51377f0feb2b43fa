/** Gemm and MatMul. */
import type { LinearNode } from '../../../graph/graph.js';
import { showList } from '../../../shown.js';
import { Tensor } from '../../../tensor.js';
import type { Constant } from '../file/tensors.js';
import { int } from './attributes.js';
import { transposeConstant } from './fold.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';

export function lowerGemm(node: NodeContext): string {
  const alpha = node.float('alpha', 1);
  const beta = node.float('beta', 1);
  const right = node.constant(1);
  if (right !== undefined && right.dims.length !== 2)
    node.broken(`its input B must have two dims, got [${showList(right.dims)}]`);
  let left = node.operand(0);
  if (node.flag('transA', false)) {
    left = node.emit({ op: 'transpose', inputs: [left], permutation: [1, 0] }, node.derive('transA'));
  }
  let added = node.has(2) ? node.constant(2) : undefined;
  const transB = node.flag('transB', false);
  const outFeatures = right?.dims[transB ? 0 : 1];
  const asBias = added !== undefined && outFeatures !== undefined && isBias(added, outFeatures);
  const rest = node.has(2) && !asBias;
  if (!asBias) added = undefined;

  let product: string;
  if (right !== undefined && right.size > 0) {
    const output = rest ? node.derive('product') : node.output;
    const weight = weightName(node, right, alpha, transB);
    const bias = added && biasName(node, added, beta, outFeatures!);
    product = node.emit({ op: 'linear', inputs: [left, weight, bias] }, output);
  } else {
    product = emitProduct(node, left, alpha, transB, rest);
  }
  if (!rest) return product;
  let term = node.operand(2);
  if (beta !== 1) term = node.emit({ op: 'mul', inputs: [term, node.newScalar('beta', beta)] }, node.derive('term'));
  return node.emit({ op: 'add', inputs: [product, term] });
}

/** A product whose right side is only known when the model runs. */
function emitProduct(node: NodeContext, left: string, alpha: number, transB: boolean, rest: boolean): string {
  const name = (last: boolean, suffix: string) => (last && !rest ? node.output : node.derive(suffix));
  let right = node.operand(1);
  if (transB) right = node.emit({ op: 'transpose', inputs: [right], permutation: [1, 0] }, node.derive('transB'));
  const product = node.emit({ op: 'matMul', inputs: [left, right] }, name(alpha === 1, 'product'));
  if (alpha === 1) return product;
  return node.emit({ op: 'mul', inputs: [product, node.newScalar('alpha', alpha)] }, name(true, 'scaled'));
}

/** Whether a term is the same in each row of a product with so many columns. */
function isBias({ dims, size }: Constant, outFeatures: number): boolean {
  const rows = dims.slice(0, -1);
  return dims.length <= 2 && (size === 1 || size === outFeatures) && rows.every((dim) => dim === 1);
}

/** Name of B as a linear layer's weight [outFeatures, inFeatures], times alpha. */
function weightName(node: NodeContext, right: Constant, alpha: number, transB: boolean): string {
  if (transB && alpha === 1) return node.parameterName(1, 'B');
  const weight = transB ? right : transposeConstant(node, right, [1, 0]);
  if (alpha === 1) return node.newConstant('weight', weight.tensor);
  node.spend(4 * weight.size);
  const scaled = Float32Array.from(weight.values, (value) => alpha * value);
  return node.newConstant('weight', new Tensor('float32', scaled, weight.dims));
}

/** Name of C as a linear layer's bias [outFeatures], times beta. */
function biasName(node: NodeContext, { values, size, dims }: Constant, beta: number, outFeatures: number): string {
  if (beta === 1 && dims.length === 1 && size === outFeatures) return node.parameterName(2, 'C');
  const data = Float32Array.from({ length: outFeatures }, (_, i) => beta * values[size === 1 ? 0 : i]!);
  return node.newConstant('bias', new Tensor('float32', data, [outFeatures]));
}

export function lowerMatMul(node: NodeContext): string {
  const right = node.constant(1);
  if (right?.dims.length === 2 && right.size > 0 && !right.integer && node.dims(0)?.length === 2) {
    const weight = node.newConstant('weight', transposeConstant(node, right, [1, 0]).tensor);
    return node.emit({ op: 'linear', inputs: [node.operand(0), weight] });
  }
  return node.emit({ op: 'matMul', inputs: [node.operand(0), node.operand(1)] });
}

export function writeGemm(node: LinearNode, to: NodeWriter): void {
  const [matrix, weight, bias] = node.inputs;
  const operands = bias === undefined ? [matrix, weight] : [matrix, weight, bias];
  to.finish(node, (output) => to.add('Gemm', operands, [int('transB', 1)], output));
}
