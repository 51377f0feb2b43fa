/** Operations on all values along an axis together: sums of those so far, places of the largest. */
import { UnsupportedError } from '../errors.js';
import type { KnownDims } from '../nodes/dims.js';
import type { FullNode } from '../nodes/node.js';
import { fail, title } from '../nodes/shapeErrors.js';
import { laneCleaner, ports, type Step, type StepContext } from '../plan/steps/step.js';
import { type WalkAxis, writeWalk } from '../plan/steps/strided.js';
import { product, sizeOf } from '../sizes.js';
import { frontAxis } from './axes.js';
import { checkWholes } from './checks.js';
import { strides } from './copies.js';
import type { OperationRule } from './operation.js';

/** Sums of all values up to each; with `exclusive` without itself, with `reverse` from the end. */
export interface CumSumNode extends FullNode {
  readonly op: 'cumSum';
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

/** Where along the axis the `count` largest values are, the largest first; of equal ones the first comes first. */
export interface TopPlacesNode extends FullNode {
  readonly op: 'topPlaces';
  readonly axis: number;
  readonly count: number;
}

/** Each of so many values may have to be compared with each that was kept. */
const MAX_COMPARISONS = 2 ** 34;

export const cumSum: OperationRule<CumSumNode> = {
  dims: (node, [input]) => {
    frontAxis(node, node.axis, input!);
    return input!;
  },
  layout: () => 'any',
  step: (node, context) => {
    const { axis, size, rest, from, to } = walkAround(node, context);
    const [inStride, outStride] = [from[axis]!, to[axis]!];
    const { kernels } = context.runtime;
    const sign = node.reverse ? -1 : 1;
    const [inStart, outStart] = node.reverse ? [(size - 1) * inStride, (size - 1) * outStride] : [0, 0];
    return aroundStep(node, context, (inPtr, outPtr) =>
      kernels.accumulate(
        rest,
        inPtr + inStart,
        outPtr + outStart,
        size,
        sign * inStride,
        sign * outStride,
        node.exclusive,
      ),
    );
  },
  flags: ({ axis, exclusive, reverse }) => [
    `axis ${axis}`,
    ...(exclusive ? ['exclusive'] : []),
    ...(reverse ? ['reverse'] : []),
  ],
};

export const topPlaces: OperationRule<TopPlacesNode> = {
  check: ({ count }, expect) => checkWholes(expect, 'a count', [count], 1),
  dims: (node, [input]) => topDims(node, input!),
  layout: () => 'any',
  step: (node, context) => {
    const { axis, size, rest, from, to } = walkAround(node, context);
    const comparisons = product(sizeOf(context.dims(node.inputs[0]!)), node.count);
    if (comparisons > MAX_COMPARISONS) {
      throw new UnsupportedError(
        `${title(node)}: the ${node.count} largest of ${size} values take ${comparisons} comparisons, expected at most ${MAX_COMPARISONS}`,
      );
    }
    const { kernels } = context.runtime;
    return aroundStep(node, context, (inPtr, outPtr) =>
      kernels.topPlaces(rest, inPtr, outPtr, size, from[axis]!, to[axis]!, node.count),
    );
  },
  flags: ({ axis, count }) => [`axis ${axis}`, `count ${count}`],
};

function topDims(node: TopPlacesNode, input: KnownDims): KnownDims {
  const axis = frontAxis(node, node.axis, input);
  const size = input[axis];
  if (typeof size === 'number' && size < node.count)
    fail(node, 'input', input, `at least ${node.count} values in axis ${axis}`);
  return input.map((dim, i) => (i === axis ? node.count : dim));
}

/** The axis, and a walk over the others. */
function walkAround(node: CumSumNode | TopPlacesNode, context: StepContext) {
  const dims = context.dims(node.inputs[0]!);
  const axis = frontAxis(node, node.axis, dims);
  const [from, to] = [strides(node.inputs[0]!, context), strides(node.outputs[0], context)];
  const others = dims.map((size, i): WalkAxis => ({ size, strides: [from[i]!, to[i]!, 0] }));
  others.splice(axis, 1);
  return { axis, size: dims[axis]!, rest: writeWalk(context, others), from, to };
}

function aroundStep(
  node: CumSumNode | TopPlacesNode,
  context: StepContext,
  run: (inPtr: number, outPtr: number) => void,
): Step {
  const clearLanes = laneCleaner(node.outputs[0], context);
  const find = ports(node, context);
  return (at) => {
    const [inPtr, , outPtr] = find(at);
    run(inPtr, outPtr);
    clearLanes?.(outPtr);
  };
}
