/** Gradients of means, matrix products, softmax. */
import { frontAxes } from '../../ops/axes.js';
import { binary } from '../../ops/binary.js';
import { expand } from '../../ops/expand.js';
import { type MatMulNode, matMul } from '../../ops/matMul.js';
import type { ReduceNode } from '../../ops/reduce.js';
import { reshape } from '../../ops/reshape.js';
import type { SoftmaxNode } from '../../ops/softmax.js';
import { transpose } from '../../ops/transpose.js';
import type { Backward, GradientRule } from '../../passes/differentiate.js';
import { sameDims, sizeOf } from '../../sizes.js';
import { Tensor } from '../../tensor.js';
import { type SoftmaxGradientNode, softmaxGradient } from '../ops/softmaxGradient.js';
import { sumTo } from '../ops/sumTo.js';

export const softmaxGradientRule: GradientRule<SoftmaxNode> = (node, gradient, backward) => {
  const { path, layer } = node;
  const inputs = [gradient, node.outputs[0]] as const;
  return backward.emit<SoftmaxGradientNode>({ op: 'softmaxGradient', path, layer, inputs, of: node }, softmaxGradient);
};

/** Every value that went into a mean gets its share. */
export const reduceMeanGradient: GradientRule<ReduceNode> = (node, gradient, backward) => {
  const { path, layer } = node;
  const dims = backward.dims(node.inputs[0]!);
  const axes = node.axes === undefined ? dims.map((_, axis) => axis) : frontAxes(node, node.axes, dims);
  const kept = dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const share = backward.store('share', new Tensor('float32', [sizeOf(kept) / sizeOf(dims)], [1]));
  const common = { path, layer };
  const [shares] = backward.emit({ op: 'mul', ...common, inputs: [gradient, share] }, binary);
  const target = { target: kept, allowZero: true };
  const [column] = backward.emit({ op: 'reshape', ...common, inputs: [shares], ...target }, reshape);
  return backward.emit({ op: 'expand', ...common, inputs: [column], target: dims }, expand);
};

/** Of y = a b: dy b' and a' dy, summed over what was repeated. Vectors are matrices of one row or column. */
export const matMulGradient: GradientRule<MatMulNode> = (node, gradient, backward) => {
  const emit = new Emitter(node, backward);
  const [a, b] = node.inputs as [string, string];
  const [aDims, bDims] = [backward.dims(a), backward.dims(b)];
  const [aMatrix, bMatrix] = [aDims.length === 1 ? [1, ...aDims] : aDims, bDims.length === 1 ? [...bDims, 1] : bDims];
  const outDims = backward.dims(node.outputs[0]);
  const batch = outDims.slice(0, outDims.length - (aDims.length > 1 ? 1 : 0) - (bDims.length > 1 ? 1 : 0));
  const [rows, depth, columns] = [aMatrix.at(-2)!, aMatrix.at(-1)!, bMatrix.at(-1)!];
  const dy = emit.reshape(gradient, outDims, [...batch, rows, columns]);
  const ofA = (): string => {
    const turned = emit.turn(emit.reshape(b, bDims, bMatrix), bMatrix.length);
    const product = emit.multiply(dy, turned);
    return emit.reshape(emit.sum(product, [...batch, rows, depth], aMatrix), aMatrix, aDims);
  };
  const ofB = (): string => {
    const turned = emit.turn(emit.reshape(a, aDims, aMatrix), aMatrix.length);
    const product = emit.multiply(turned, dy);
    return emit.reshape(emit.sum(product, [...batch, depth, columns], bMatrix), bMatrix, bDims);
  };
  return [backward.needs(a) ? ofA() : undefined, backward.needs(b) ? ofB() : undefined];
};

/** What a matrix product's gradient is made of; nothing is added where nothing changes. */
class Emitter {
  readonly #common: Pick<MatMulNode, 'path' | 'layer'>;
  readonly #backward: Backward;

  constructor({ path, layer }: MatMulNode, backward: Backward) {
    this.#common = { path, layer };
    this.#backward = backward;
  }

  reshape(value: string, from: readonly number[], target: readonly number[]): string {
    if (sameDims(from, target)) return value;
    const how = { target, allowZero: true };
    return this.#backward.emit({ op: 'reshape', ...this.#common, inputs: [value], ...how }, reshape)[0];
  }

  /** Rows become columns. */
  turn(value: string, rank: number): string {
    const permutation = Array.from({ length: rank }, (_, axis) => axis);
    permutation.push(...permutation.splice(-2).reverse());
    return this.#backward.emit({ op: 'transpose', ...this.#common, inputs: [value], permutation }, transpose)[0];
  }

  multiply(a: string, b: string): string {
    return this.#backward.emit({ op: 'matMul', ...this.#common, inputs: [a, b] }, matMul)[0];
  }

  sum(value: string, from: readonly number[], dims: readonly number[]): string {
    if (sameDims(from, dims)) return value;
    return this.#backward.emit({ op: 'sumTo', ...this.#common, inputs: [value], dims }, sumTo)[0];
  }
}
