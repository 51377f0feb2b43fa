/**
 * One node of a Graph, as its writer in writers.ts sees it: operators go to the file one after the other, with what
 * they read besides, and names are derived from those of the node. The counterpart of nodeContext.ts.
 */
import { addendOf, type GraphNode } from '../../../graph/graph.js';
import { Tensor } from '../../../tensor.js';
import type { AttributeProto, NodeProto } from '../file/proto.js';

/** The file so far; write.ts has it. */
export interface ModelParts {
  readonly opset: number;
  /** A name that no other value has. */
  deriveValue(base: string): string;
  /** A name that no other node of the file has. */
  deriveNode(base: string): string;
  addNode(node: NodeProto): void;
  addFloats(name: string, tensor: Tensor): void;
  addIntegers(name: string, values: readonly number[]): void;
  /** How many values the stored tensor of that name has. */
  storedSize(name: string): number | undefined;
}

export class NodeWriter {
  readonly #parts: ModelParts;
  readonly #node: GraphNode;

  constructor(parts: ModelParts, node: GraphNode) {
    this.#parts = parts;
    this.#node = node;
  }

  /** The opset that the file is written in. */
  get opset(): number {
    return this.#parts.opset;
  }

  /**
   * Writes an operator; returns the name of its output, which is that of the node unless another is given.
   * @param before names of outputs before it
   */
  add(
    opType: string,
    inputs: readonly (string | undefined)[],
    attribute: readonly AttributeProto[] = [],
    output = this.#node.outputs[0],
    before: readonly string[] = [],
  ): string {
    const { path, outputs } = this.#node;
    this.#parts.addNode({
      at: 0,
      input: inputs.map((name) => name ?? ''),
      output: [...before, output],
      name: this.#parts.deriveNode(output === outputs[0] && path !== '' ? path : output),
      opType,
      attribute,
      domain: '',
    });
    return output;
  }

  /** Writes the node's main part by `write`, and behind it its addend and its ReLU where it has them. */
  finish(node: GraphNode & { readonly relu?: boolean }, write: (output: string) => string): void {
    const addend = addendOf(node);
    const [output] = node.outputs;
    const before = node.relu ? this.derive('sum') : output;
    let value = write(addend === undefined ? before : this.derive('main'));
    if (addend !== undefined) value = this.add('Add', [value, addend], [], before);
    if (node.relu) this.add('Relu', [value], []);
  }

  /** Adds an operand that the node of the Graph has as an attribute, or leaves out. */
  parameter(role: string, tensor: Tensor): string {
    const name = this.#parts.deriveValue(`${this.#node.path || this.#node.outputs[0]}.${role}`);
    this.#parts.addFloats(name, tensor);
    return name;
  }

  scalar(role: string, value: number): string {
    return this.parameter(role, new Tensor('float32', [value], []));
  }

  integers(role: string, values: readonly number[]): string {
    const name = this.derive(role);
    this.#parts.addIntegers(name, values);
    return name;
  }

  derive(suffix: string): string {
    return this.#parts.deriveValue(`${this.#node.outputs[0]}.${suffix}`);
  }

  storedSize(name: string): number | undefined {
    return this.#parts.storedSize(name);
  }
}
