/**
 * Fusion, Graph to Graph: a BatchNorm in evaluation mode goes into the convolution before it, an addition and a ReLU
 * into the node before them; convolutions of one image that are added become one node. A value that is read elsewhere is
 * left alone.
 */
import { type Conv2dNode, countUses, type Graph, type Node } from '../graph/graph.js';

/** A later node that its producer may absorb, as the producer then is; undefined where it may not. */
type Rule = (producer: Node, consumer: Node) => Node | undefined;

/** @param addsSameDims whether both inputs of an addition have the same dims; one that broadcasts is left alone */
export function fuse(graph: Graph, addsSameDims: (add: Node) => boolean): Graph {
  const absorbPlainAdd: Rule = (producer, consumer) =>
    consumer.op === 'add' && addsSameDims(consumer) ? absorbAdd(producer, consumer) : undefined;
  return [absorbBatchNorm, absorbPlainAdd, absorbParallel, absorbRelu].reduce(applyRule, graph);
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

/** Two convolutions of the same image, the second of which adds the first: the larger one takes the other in. */
const absorbParallel: Rule = (producer, consumer) => {
  if (producer.op !== 'conv2d' || consumer.op !== 'conv2d' || consumer.parallel !== undefined) return undefined;
  if (consumer.inputs[0] !== producer.inputs[0] || consumer.inputs[1] !== producer.output) return undefined;
  const { parallel = [], ...first } = producer;
  const common = { inputs: producer.inputs, output: consumer.output };
  if (liesWithin(consumer, first)) return { ...first, ...common, parallel: [...parallel, consumer] };
  const all = [first, ...parallel];
  if (all.every((part) => liesWithin(part, consumer))) return { ...consumer, ...common, parallel: all };
  return undefined;
};

/** Whether all taps of a convolution see what taps of another one see. */
function liesWithin(inner: Conv2dNode, outer: Conv2dNode): boolean {
  if (inner.groups !== outer.groups || inner.paddingMode !== outer.paddingMode) return false;
  return [0, 1].every((axis) => {
    const [a, b] = [inner.window, outer.window];
    const first = b.pads[axis]! - a.pads[axis]!;
    const last = first + (a.kernel[axis]! - 1) * a.dilation[axis]!;
    const isSameGrid = a.stride[axis] === b.stride[axis] && a.dilation[axis] === b.dilation[axis];
    return (
      isSameGrid && first % b.dilation[axis]! === 0 && first >= 0 && last <= (b.kernel[axis]! - 1) * b.dilation[axis]!
    );
  });
}

const absorbRelu: Rule = (producer, consumer) => {
  if (consumer.op !== 'relu') return undefined;
  if (producer.op !== 'conv2d' && producer.op !== 'batchNorm' && producer.op !== 'linear' && producer.op !== 'add') {
    return undefined;
  }
  return { ...producer, relu: true, output: consumer.output };
};
