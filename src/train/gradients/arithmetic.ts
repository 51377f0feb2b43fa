/** Gradients of arithmetic with broadcasting. */

import type { Optional } from '../../nodes/node.js';
import { type BinaryNode, binary } from '../../ops/binary.js';
import type { Backward, GradientRule } from '../../passes/differentiate.js';
import { sameDims } from '../../sizes.js';
import { Tensor } from '../../tensor.js';
import { sumTo } from '../ops/sumTo.js';

export const binaryGradient: GradientRule<BinaryNode> = (node, gradient, backward) => {
  const { op, path, layer } = node;
  const [a, b] = node.inputs as [string, string];
  const compute = (by: BinaryNode['op'], left: string, right: string): string =>
    backward.emit<BinaryNode>({ op: by, path, layer, inputs: [left, right] }, binary)[0];
  const negative = (value: string): string =>
    compute('mul', value, backward.store('minusOne', new Tensor('float32', [-1], [])));
  const terms: Readonly<Record<BinaryNode['op'], readonly [() => string, () => string]>> = {
    add: [() => gradient, () => gradient],
    sub: [() => gradient, () => negative(gradient)],
    mul: [() => compute('mul', gradient, b), () => compute('mul', gradient, a)],
    div: [
      () => compute('div', gradient, b),
      () => negative(compute('div', compute('mul', gradient, node.outputs[0]), b)),
    ],
  };
  return [a, b].map((name, i) => (backward.needs(name) ? summedTo(node, name, terms[op][i]!(), backward) : undefined));
};

/** A gradient of the output's dims, for an input that may have been repeated. */
function summedTo({ path, layer, outputs }: BinaryNode, input: string, gradient: string, backward: Backward): Optional {
  const dims = backward.dims(input);
  if (sameDims(dims, backward.dims(outputs[0]))) return gradient;
  return backward.emit({ op: 'sumTo', path, layer, inputs: [gradient], dims }, sumTo)[0];
}
