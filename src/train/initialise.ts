/**
 * Weights to begin with: those of PyTorch's convolutions and linear layers, uniform in +-1 / sqrt(inputs of an output),
 * but from a seed. A layer's own are drawn without one.
 */
import { type StateDict, Tensor } from '../index.js';
import { sizeOf } from '../sizes.js';
import { INITIALISATION, Random } from './random.js';

/** What has a state, as layers have. */
export interface Stateful {
  stateDict(): StateDict;
  loadStateDict(state: StateDict): unknown;
}

/**
 * Gives weights and biases of convolutions and linear layers new random values. BatchNorms stay as they are.
 * @param seed the same values for the same seed, in every engine
 */
export function initialise(model: Stateful, seed: number): void {
  const state = model.stateDict();
  // The values of a tensor do not depend on which others there are before it: base and ACNet share what they share.
  const drawn = Object.entries(state).map(([key, tensor]): [string, Tensor] => {
    const inputs = inputsOf(key, state);
    return [
      key,
      inputs === undefined ? tensor : uniform(tensor.dims, inputs, new Random(seed, INITIALISATION, hash(key))),
    ];
  });
  model.loadStateDict(Object.fromEntries(drawn));
}

/** Values that one output sums up; undefined for what belongs to a BatchNorm. */
function inputsOf(key: string, state: StateDict): number | undefined {
  const weight = state[key.replace(/(^|\.)bias$/, '$1weight')];
  if (weight === undefined || weight.dims.length < 2 || !/(^|\.)(weight|bias)$/.test(key)) return undefined;
  return sizeOf(weight.dims.slice(1));
}

function uniform(dims: readonly number[], inputs: number, random: Random): Tensor {
  const bound = 1 / Math.sqrt(inputs);
  const values = new Float32Array(sizeOf(dims));
  for (let i = 0; i < values.length; i++) values[i] = bound * random.symmetric();
  return new Tensor('float32', values, dims);
}

/** FNV-1a of a name's characters. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) value = Math.imul(value ^ name.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
