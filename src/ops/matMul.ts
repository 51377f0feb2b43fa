/** Products of matrices, as numpy has them. */

import { broadcast, differ, type KnownDims } from '../nodes/dims.js';
import type { FullNode, NodeBase } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import type { Step, StepContext } from '../plan/steps/step.js';
import { showDims } from '../shown.js';
import { rowMajorStrides, sizeOf } from '../sizes.js';
import type { OperationRule } from './operation.js';

/** numpy's matmul of two values. */
export interface MatMulNode extends FullNode {
  readonly op: 'matMul';
}

export const matMul: OperationRule<MatMulNode> = {
  dims: (node, [a, b]) => matMulDims(node, a!, b!),
  layout: () => 'planar',
  step,
  multiplyAdds: (_node, output, [a]) => sizeOf(output) * (a!.at(-1) ?? 0),
};

/** As numpy's matmul: a vector on the left is a row, one on the right a column, and its axis goes. */
function matMulDims(node: NodeBase, a: KnownDims, b: KnownDims): KnownDims {
  if (a.length === 0 || b.length === 0) fail(node, 'inputs', a.length === 0 ? a : b, 'at least 1 dim');
  const rows = a.length === 1 ? [] : [a.at(-2)];
  const columns = b.length === 1 ? [] : [b.at(-1)];
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2));
  if (batch === undefined || differ(a.at(-1), b.length === 1 ? b[0] : b.at(-2))) {
    throw new RangeError(`${title(node)}: cannot multiply inputs of dims ${showDims(a)} and ${showDims(b)}`);
  }
  return [...batch, ...rows, ...columns];
}

/** Row-major matrices, one product for each of the batch; a matrix for all of it takes all rows as one product. */
function step(node: MatMulNode, context: StepContext): Step {
  const { kernels, scratchPtr } = context.runtime;
  const [a, b] = node.inputs.map((name) => context.dims(name)) as [readonly number[], readonly number[]];
  const depth = a.at(-1)!;
  const rows = a.length === 1 ? 1 : a.at(-2)!;
  const columns = b.length === 1 ? 1 : b.at(-1)!;
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2))!;
  const isShared = sizeOf(b.slice(0, -2)) === 1 && sizeOf(a.slice(0, -2)) === sizeOf(batch);
  const products = isShared ? 1 : sizeOf(batch);
  const m = isShared ? rows * sizeOf(batch) : rows;
  const [aSteps, bSteps] = [matrixSteps(a, batch.length), matrixSteps(b, batch.length)];
  const [aBytes, bBytes, outBytes] = [rows * depth * 4, depth * columns * 4, rows * columns * 4];
  const [aSlot, bSlot] = node.inputs.map((name) => context.slot(name)) as [number, number];
  const outSlot = context.slot(node.outputs[0]);
  return (at) => {
    for (let product = 0; product < products; product++) {
      let [aMatrix, bMatrix] = [0, 0];
      for (let axis = batch.length - 1, rest = product; axis >= 0; axis--) {
        const index = rest % batch[axis]!;
        rest = (rest - index) / batch[axis]!;
        aMatrix += index * aSteps[axis]!;
        bMatrix += index * bSteps[axis]!;
      }
      const [aPtr, bPtr] = [at[aSlot]! + aMatrix * aBytes, at[bSlot]! + bMatrix * bBytes];
      kernels.matMul(aPtr, bPtr, at[outSlot]! + product * outBytes, m, depth, columns, scratchPtr);
    }
  };
}

/**
 * Matrices from one to the next along each of `rank` axes of the batch; none along axes that it has not, or of size 1.
 */
function matrixSteps(dims: readonly number[], rank: number): number[] {
  const own = dims.slice(0, -2);
  const steps = rowMajorStrides(own).map((step, axis) => (own[axis] === 1 ? 0 : step));
  return [...new Array<number>(rank - own.length).fill(0), ...steps];
}
