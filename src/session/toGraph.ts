/** Layers to Graphs of their own: what a layer computes now, with copies of its parameters. */
import { type Conv2dNode, type Graph, GraphBuilder, type Node, type Norm } from '../graph/graph.js';
import { Layer } from '../layers/layer.js';
import { show, showName } from '../shown.js';
import { runtimeOf, Tensor } from '../tensor.js';

/**
 * The graph that a layer computes in evaluation mode. It owns its values: the layer may change or be disposed of
 * afterwards. Its input is `input` (`input0`, `input1` where the layer takes several), its output `output`.
 * @throws TypeError when it is no layer, or one in training mode
 * @example
 * const bytes = writeOnnx(toGraph(net.eval()));
 */
export function toGraph(layer: Layer): Graph {
  if (!(layer instanceof Layer)) throw new TypeError(`toGraph: layer must be a layer, got ${show(layer)}`);
  const [count] = layer.inputCounts;
  const inputs = count === 1 ? ['input'] : Array.from({ length: count }, (_, i) => `input${i}`);
  const builder = new GraphBuilder();
  const output = layer.addTo(builder, inputs, '');
  const graph = builder.finish(inputs, ['output']);
  for (const node of graph.nodes) checkMode(layer, node);
  return { ...graph, nodes: graph.nodes.map((node) => withOwnValues(renamed(node, output, 'output'))) };
}

function checkMode(layer: Layer, node: Node): void {
  if (!layer.training && (node.op !== 'batchNorm' || node.momentum === undefined)) return;
  const where = layer.training || node.path === '' ? '' : ` (${showName(node.path)})`;
  throw new TypeError(`toGraph: ${layer.kind}${where} is in training mode, call eval() first`);
}

function renamed(node: Node, from: string, to: string): Node {
  const rename = (name: string): string => (name === from ? to : name);
  return { ...node, inputs: node.inputs.map(rename), output: rename(node.output) };
}

/** With copies of what lives in a runtime, where layers write to it. */
function withOwnValues(node: Node): Node {
  switch (node.op) {
    case 'conv2d':
      return ownConv(node);
    case 'linear':
      return { ...node, weight: own(node.weight), bias: node.bias && own(node.bias) };
    case 'batchNorm':
      return { ...node, norm: ownNorm(node.norm) };
    default:
      return node;
  }
}

function ownConv({ norm, parallel, ...node }: Conv2dNode): Conv2dNode {
  return {
    ...node,
    weight: own(node.weight),
    bias: node.bias && own(node.bias),
    ...(norm && { norm: ownNorm(norm) }),
    ...(parallel && { parallel: parallel.map(ownConv) }),
  };
}

function ownNorm({ gamma, beta, mean, variance, eps }: Norm): Norm {
  return { gamma: gamma && own(gamma), beta: beta && own(beta), mean: own(mean), variance: own(variance), eps };
}

function own(tensor: Tensor): Tensor {
  return runtimeOf(tensor) === undefined ? tensor : new Tensor('float32', tensor.data, tensor.dims);
}
