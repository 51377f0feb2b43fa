/** Layers to Graphs of their own: what a layer computes now, with copies of its parameters. */
import { type Graph, GraphBuilder, type GraphNode, renamed } from '../graph/graph.js';
import { show, showName } from '../shown.js';
import { Tensor } from '../tensor.js';
import { Layer } from './layer.js';

/**
 * The graph that a layer computes in evaluation mode. It owns its values, which are frozen: the layer may change or be
 * disposed of afterwards. Its input is `input` (`input0`, `input1` where the layer takes several), its output `output`.
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
  const { nodes, values, ...graph } = builder.finish(inputs, ['output']);
  for (const node of nodes) checkMode(layer, node);
  const frozen = [...values!].map(([name, { tensor }]) => {
    return [name, { tensor: new Tensor('float32', tensor.data, tensor.dims), role: 'frozen' }] as const;
  });
  const nameOf = (name: string): string => (name === output ? 'output' : name);
  return { ...graph, nodes: nodes.map((node) => renamed(node, nameOf)), values: new Map(frozen) };
}

function checkMode(layer: Layer, node: GraphNode): void {
  if (!layer.training && node.updates === undefined) return;
  const where = layer.training || node.path === '' ? '' : ` (${showName(node.path)})`;
  throw new TypeError(`toGraph: ${layer.kind}${where} is in training mode, call eval() first`);
}
