/**
 * Whether a graph makes sense before any shape is known: every name made once, and before it is read; parameters of the
 * sizes that kernels take them to have.
 */
import { showName } from '../shown.js';
import { format, type Tensor } from '../tensor.js';
import type { Graph, Node, Norm, Window } from './graph.js';

/** @throws RangeError naming the value and who reads or makes it */
export function checkGraph(graph: Graph): void {
  const known = new Set<string>(graph.constants?.keys());
  const make = (name: string, maker: string): void => {
    if (known.has(name)) throw new RangeError(`graph: ${maker} makes ${showName(name)}, which is there already`);
    known.add(name);
  };
  const read = (name: string, reader: string): void => {
    if (!known.has(name))
      throw new RangeError(`graph: ${reader} reads ${showName(name)}, which nothing before it makes`);
  };
  for (const name of graph.inputs) make(name, 'the list of inputs');
  for (const node of graph.nodes) {
    const maker = `${showName(node.layer)}${node.path === '' ? '' : ` (${showName(node.path)})`}`;
    if (node.inputs.length === 0) throw new RangeError(`graph: ${maker} has no inputs`);
    for (const name of node.inputs) read(name, maker);
    make(node.output, maker);
    checkParameters(node, maker);
  }
  for (const name of graph.outputs) read(name, 'the list of outputs');
}

function checkParameters(node: Node, maker: string): void {
  const expect = (isRight: boolean, name: string, expected: string, got: unknown): void => {
    if (!isRight) throw new RangeError(`graph: ${maker} must have ${name} ${expected}, got ${got}`);
  };
  const vector = (name: string, tensor: Tensor | undefined, size: number): void => {
    expect(tensor === undefined || tensor.size === size, name, `of ${size} values`, tensor?.size);
  };
  const norms = ({ gamma, beta, mean, variance }: Norm, size: number): void => {
    for (const tensor of [gamma, beta, mean, variance]) vector('a norm', tensor, size);
  };
  const wholes = (name: string, numbers: readonly number[], least: number): void => {
    expect(
      numbers.every((n) => Number.isSafeInteger(n) && n >= least),
      name,
      `of whole numbers from ${least}`,
      numbers,
    );
  };
  const window = ({ kernel, stride, dilation, pads }: Window): void => {
    wholes('a window', [...kernel, ...stride, ...dilation], 1);
    wholes('pads', pads, Number.MIN_SAFE_INTEGER);
  };
  switch (node.op) {
    case 'conv2d': {
      const { weight, groups } = node;
      const [outChannels = 0, inPerGroup] = weight.dims;
      window(node.window);
      const dims = [outChannels, inPerGroup, ...node.window.kernel].join(', ');
      expect(
        weight.size > 0 && format(weight.dims) === `[${dims}]`,
        'a weight',
        `of dims [${dims}]`,
        format(weight.dims),
      );
      wholes('groups', [groups, outChannels / groups], 1);
      vector('a bias', node.bias, outChannels);
      if (node.norm !== undefined) norms(node.norm, outChannels);
      for (const part of node.parallel ?? []) checkParameters(part, maker);
      return;
    }
    case 'linear':
      expect(node.weight.size > 0 && node.weight.dims.length === 2, 'a weight', 'of 2 dims', format(node.weight.dims));
      vector('a bias', node.bias, node.weight.dims[0]!);
      return;
    case 'batchNorm':
      norms(node.norm, node.norm.mean.size);
      return;
    case 'maxPool2d':
    case 'avgPool2d':
      window(node.window);
      return;
    default:
      return;
  }
}
