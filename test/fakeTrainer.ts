/**
 * A model and a trainer for tests of the code around them: logistic regression on pixels, SGD with momentum, in plain
 * float32 loops.
 */
import { type StateDict, Tensor } from '../src/index.js';
import type { Steps, Trainable, TrainerOptions } from '../src/train/trainOptions.js';

export class FakeModel implements Trainable {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly inputs: number;
  isTraining = true;

  constructor(inputs: number, classes: number) {
    this.inputs = inputs;
    this.weight = new Float32Array(classes * inputs);
    this.bias = new Float32Array(classes);
  }

  train(): void {
    this.isTraining = true;
  }

  eval(): void {
    this.isTraining = false;
  }

  stateDict(): StateDict {
    return {
      'fc.weight': new Tensor('float32', this.weight.slice(), [this.bias.length, this.inputs]),
      'fc.bias': new Tensor('float32', this.bias.slice(), [this.bias.length]),
    };
  }

  loadStateDict(state: StateDict): void {
    this.weight.set(state['fc.weight']!.data);
    this.bias.set(state['fc.bias']!.data);
  }

  forward(input: Tensor): Tensor {
    const classes = this.bias.length;
    const { data } = input;
    const logits = new Float32Array(input.dims[0]! * classes);
    for (let i = 0; i < logits.length; i++) {
      const [image, output] = [Math.floor(i / classes), i % classes];
      let sum = this.bias[output]!;
      for (let j = 0; j < this.inputs; j++)
        sum += this.weight[output * this.inputs + j]! * data[image * this.inputs + j]!;
      logits[i] = sum;
    }
    return new Tensor('float32', logits, [input.dims[0]!, classes]);
  }
}

export class FakeTrainer implements Steps {
  lr: number;
  isDisposed = false;
  /** Called before each step and evaluation, which fail if it throws. */
  onCall: () => void = () => undefined;
  /** Labels of all steps. */
  readonly seen: number[][] = [];
  readonly rates: number[] = [];
  readonly #model: FakeModel;
  readonly #options: TrainerOptions;
  readonly #weightMomentum: Float32Array;
  readonly #biasMomentum: Float32Array;

  constructor(model: FakeModel, options: TrainerOptions) {
    this.lr = options.lr;
    this.#model = model;
    this.#options = options;
    this.#weightMomentum = new Float32Array(model.weight.length);
    this.#biasMomentum = new Float32Array(model.bias.length);
  }

  step(input: Tensor, labels: ArrayLike<number>): number {
    if (!this.#model.isTraining) throw new Error('a step in evaluation mode');
    this.onCall();
    this.seen.push(Array.from(labels));
    this.rates.push(this.lr);
    const { weight, bias, inputs } = this.#model;
    const { loss, errors } = this.#errors(input, labels);
    const weightGradient = new Float32Array(weight.length);
    const biasGradient = new Float32Array(bias.length);
    for (let i = 0; i < labels.length; i++) {
      for (let output = 0; output < bias.length; output++) {
        const error = errors[i * bias.length + output]! / labels.length;
        biasGradient[output]! += error;
        for (let j = 0; j < inputs; j++) weightGradient[output * inputs + j]! += error * input.data[i * inputs + j]!;
      }
    }
    this.#update(weight, weightGradient, this.#weightMomentum, 'fc.weight');
    this.#update(bias, biasGradient, this.#biasMomentum, 'fc.bias');
    return loss;
  }

  evaluate(input: Tensor, labels: ArrayLike<number>): { loss: number; correct: number } {
    if (this.#model.isTraining) throw new Error('an evaluation in training mode');
    this.onCall();
    const { loss, correct } = this.#errors(input, labels);
    return { loss, correct };
  }

  stateDict(): StateDict {
    return {
      'fc.weight': new Tensor('float32', this.#weightMomentum.slice(), [this.#weightMomentum.length]),
      'fc.bias': new Tensor('float32', this.#biasMomentum.slice(), [this.#biasMomentum.length]),
    };
  }

  loadStateDict(state: StateDict): void {
    this.#weightMomentum.set(state['fc.weight']!.data);
    this.#biasMomentum.set(state['fc.bias']!.data);
  }

  dispose(): void {
    this.isDisposed = true;
  }

  #update(values: Float32Array, gradient: Float32Array, momentum: Float32Array, name: string): void {
    if (this.#options.freeze?.some((prefix) => name.startsWith(prefix))) return;
    for (let i = 0; i < values.length; i++) {
      momentum[i] = (this.#options.momentum ?? 0) * momentum[i]! + gradient[i]!;
      values[i]! -= this.lr * momentum[i]!;
    }
  }

  /** Softmax minus labels. */
  #errors(input: Tensor, labels: ArrayLike<number>) {
    const { data: logits, dims } = this.#model.forward(input);
    const classes = dims[1]!;
    const errors = new Float32Array(logits.length);
    let loss = 0;
    let correct = 0;
    for (let i = 0; i < labels.length; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      const largest = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
      const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
      for (let output = 0; output < classes; output++) {
        errors[i * classes + output] = Math.exp(row[output]! - largest) / sum - (output === labels[i] ? 1 : 0);
      }
      loss -= row[labels[i]!]! - largest - Math.log(sum);
      if (row.indexOf(largest) === labels[i]) correct++;
    }
    return { loss: loss / labels.length, correct, errors };
  }
}
