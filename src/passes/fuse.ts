/**
 * Fusion, Graph to Graph: a BatchNorm in evaluation mode goes into the convolution before it, an addition and a ReLU
 * into the node before them. A value that is read elsewhere is left alone.
 */
import { type Conv2dNode, countUses, type Graph, type Node } from '../graph/graph.js';

/** A later node that its producer may absorb, as the producer then is; undefined where it may not. */
type Rule = (producer: Node, consumer: Node) => Node | undefined;

export function fuse(graph: Graph): Graph {
  return [absorbBatchNorm, absorbAdd, absorbRelu].reduce(applyRule, graph);
}

function applyRule(graph: Graph, rule: Rule): Graph {
  const uses = countUses(graph);
  const position = new Map(graph.nodes.map((node, i) => [node.output, i]));
  const nodes: (Node | undefined)[] = [...graph.nodes];
  graph.nodes.forEach((consumer, at) => {
    // The latest producer first: it runs when all other inputs are there.
    const candidates = consumer.inputs
      .map((name) => position.get(name) ?? -1)
      .filter((i) => i >= 0)
      .sort((a, b) => b - a);
    for (const i of candidates) {
      const producer = nodes[i];
      if (producer === undefined || uses.get(producer.output) !== 1) continue;
      const fused = rule(producer, consumer);
      if (fused === undefined) continue;
      nodes[i] = undefined;
      nodes[at] = fused;
      return;
    }
  });
  return { ...graph, nodes: nodes.filter((node) => node !== undefined) };
}

const absorbBatchNorm: Rule = (producer, consumer) => {
  if (producer.op !== 'conv2d' || consumer.op !== 'batchNorm' || consumer.momentum !== undefined) return undefined;
  if (producer.norm !== undefined || producer.bias !== undefined) return undefined;
  return { ...producer, norm: consumer.norm, output: consumer.output } satisfies Conv2dNode;
};

const absorbAdd: Rule = (producer, consumer) => {
  if (consumer.op !== 'add' || producer.inputs.length !== 1) return undefined;
  if (producer.op !== 'conv2d' && producer.op !== 'batchNorm' && producer.op !== 'linear') return undefined;
  const residual = consumer.inputs.filter((name) => name !== producer.output);
  if (residual.length !== 1) return undefined;
  return { ...producer, inputs: [producer.inputs[0]!, residual[0]!], output: consumer.output };
};

const absorbRelu: Rule = (producer, consumer) => {
  if (consumer.op !== 'relu') return undefined;
  if (producer.op !== 'conv2d' && producer.op !== 'batchNorm' && producer.op !== 'linear' && producer.op !== 'add') {
    return undefined;
  }
  return { ...producer, relu: true, output: consumer.output };
};
