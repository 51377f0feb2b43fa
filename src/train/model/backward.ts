/** `backward`: the gradients of a layer. */
import type { Graph } from '../../graph/graph.js';
import { type Layer, type StateDict, Tensor } from '../../index.js';
import { differentiate } from '../../passes/differentiate.js';
import { Executable } from '../../plan/executable.js';
import { copyToHost } from '../../residentTensor.js';
import { showDims } from '../../shown.js';
import { sameDims, sizeOf } from '../../sizes.js';
import { joinNorms } from '../gradients/joinNorms.js';
import { gradientRuleOf } from '../gradients/table.js';
import { checkLayer, checkTensor, describeLayer, parametersOf } from './layerGraph.js';
import { sumConvolutions } from './sumConvolutions.js';

/** `output` and `inputGradient` are resident, and the caller's to dispose of; `gradients` are in JavaScript's memory. */
export interface Gradients<Input extends Tensor | readonly Tensor[]> {
  output: Tensor;
  /** Of the input's dims; one for each of several inputs. */
  inputGradient: Input extends readonly Tensor[] ? Tensor[] : Tensor;
  /** Of the parameters, under their keys in the state dict. */
  gradients: StateDict;
}

const GRADIENT = 'output.gradient';

/**
 * Computes a layer and the gradients of sum(output * gradOutput), in the layer's mode: in training mode running
 * statistics move once, as by `forward`.
 * @param input one tensor, or one for each input of the layer
 * @param gradOutput of the output's dims
 * @throws TypeError, RangeError naming the argument, or the operation that has no gradient; OutOfMemoryError. The layer is
 * unchanged then.
 * @example
 * const { inputGradient, gradients } = backward(block, x, dy);
 */
export function backward<Input extends Tensor | readonly Tensor[]>(
  layer: Layer,
  input: Input,
  gradOutput: Tensor,
): Gradients<Input> {
  const owner = 'backward';
  checkLayer(owner, 'layer', layer);
  const given: readonly Tensor[] = Array.isArray(input) ? input : [input];
  for (const tensor of given) checkTensor(owner, 'input', tensor, layer);
  checkTensor(owner, 'gradOutput', gradOutput, layer);
  const inputDims = given.map(({ dims }) => dims);
  const key = JSON.stringify([owner, inputDims]);
  const { executable, outputDims, inputs, parameters, found } = layer.keep(key, () => prepare(layer, inputDims));
  if (!sameDims(gradOutput.dims, outputDims)) {
    const expected = showDims(outputDims);
    throw new RangeError(
      `${owner}: gradOutput must have the output's dims ${expected}, got ${showDims(gradOutput.dims)}`,
    );
  }
  const [result, ...values] = executable.run([...given, gradOutput]);
  const byName = new Map(found.map((name, i) => [name, values[i]!]));
  const ofInputs = inputs.map((name, i) => byName.get(name) ?? zeros(given[i]!));
  const inputGradient = (Array.isArray(input) ? ofInputs : ofInputs[0]) as Gradients<Input>['inputGradient'];
  return { output: result!, inputGradient, gradients: takeState(parameters, byName) };
}

/** What a layer keeps for inputs of certain dims. */
interface Prepared {
  readonly executable: Executable;
  readonly outputDims: readonly number[];
  /** Names of the graph's inputs. */
  readonly inputs: readonly string[];
  /** Names of the parameters, by their keys in the state dict. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Names of what has a gradient, in the order of the outputs behind the layer's. */
  readonly found: readonly string[];
  dispose(): void;
}

function prepare(layer: Layer, inputDims: readonly (readonly number[])[]): Prepared {
  const { graph: forward, shapes, inputs, output } = describeLayer(layer, inputDims);
  const withSeed = { ...joinNorms(forward, shapes), inputs: [...inputs, GRADIENT] };
  const parameters = trainedBy(layer, forward);
  const wanted = [...inputs, ...parameters.values()];
  const { graph, gradients } = differentiate(withSeed, shapes, new Map([[output, GRADIENT]]), wanted, gradientRuleOf);
  const whole = sumConvolutions({ ...graph, outputs: [output, ...gradients.values()] }, withSeed.nodes.length);
  const executable = new Executable(layer.runtime, whole);
  return {
    executable,
    outputDims: shapes.get(output)!,
    inputs,
    parameters,
    found: [...gradients.keys()],
    dispose: () => executable.dispose(),
  };
}

/** What the output does not depend on. */
function zeros({ dims }: Tensor): Tensor {
  return new Tensor('float32', new Float32Array(sizeOf(dims)), dims);
}

/** Names in a graph of the parameters that it reads, by their keys in the state dict. */
function trainedBy(layer: Layer, { values }: Graph): Map<string, string> {
  const nameOf = new Map([...(values ?? [])].map(([name, { tensor }]) => [tensor, name]));
  const names = new Map<string, string>();
  for (const { key, tensor, role } of parametersOf(layer)) {
    const name = nameOf.get(tensor);
    if (role === 'trainable' && name !== undefined) names.set(key, name);
  }
  return names;
}

function takeState(names: ReadonlyMap<string, string>, values: ReadonlyMap<string, Tensor>): StateDict {
  const state: StateDict = {};
  for (const [key, name] of names) {
    const tensor = values.get(name);
    if (tensor === undefined) continue;
    state[key] = copyToHost(tensor);
    tensor.dispose();
  }
  return state;
}
