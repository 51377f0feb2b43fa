/**
 * The networks again, over the oracle: each a function of its state dict, written from the public Python code
 * (github.com/DingXiaoH/ACNet, base_model/; densenet121 and alexnet: torchvision). What is a block, how many layers
 * there are and how wide they are follows from the keys and shapes alone. Nothing here shares code with src/models.
 */
import type { StateDict } from 'acnet-wasm';
import {
  acBlockEval,
  add,
  avgPool2d,
  type BatchNormState,
  batchNormEval,
  concat,
  conv2d,
  flatten,
  globalAvgPool2d,
  linear,
  maxPool2d,
  type Nd,
  relu,
  resolvePads,
} from './oracle.js';

const EPS = 1e-5;

/** Layers by the path of their keys. */
class Layers {
  readonly #state: StateDict;

  constructor(state: StateDict) {
    this.#state = state;
  }

  /** Whether a key starts with this path. */
  has(path: string): boolean {
    return Object.keys(this.#state).some((key) => key.startsWith(`${path}.`));
  }

  /** A convolution, or a block where the keys are a block's. */
  conv(x: Nd, path: string, stride = 1, padding = 0): Nd {
    const isBlock = this.has(`${path}.square_conv`);
    const weight = this.#get(isBlock ? `${path}.square_conv.weight` : `${path}.weight`);
    const [, , height, width] = weight.dims as [number, number, number, number];
    const pads = resolvePads(padding, [height, width], [1, 1]);
    const options = { stride: [stride, stride], dilation: [1, 1], pads, paddingMode: 'zeros', groups: 1 } as const;
    if (!isBlock) return conv2d(x, weight, undefined, options);
    const branch = (name: string) => ({
      weight: this.#get(`${path}.${name}_conv.weight`),
      norm: this.#norm(`${path}.${name}_bn`),
    });
    const block = { square: branch('square'), ver: branch('ver'), hor: branch('hor') };
    return acBlockEval(x, block, { ...options, eps: EPS });
  }

  bn(x: Nd, path: string): Nd {
    return batchNormEval(x, this.#norm(path), EPS);
  }

  linear(x: Nd, path: string): Nd {
    return linear(x, this.#get(`${path}.weight`), this.#get(`${path}.bias`).data);
  }

  convBn(x: Nd, path: string, stride = 1, padding = 0): Nd {
    if (!this.has(`${path}.conv`)) return this.conv(x, path, stride, padding);
    return this.bn(this.conv(x, `${path}.conv`, stride, padding), `${path}.bn`);
  }

  convBnRelu(x: Nd, path: string, stride = 1, padding = 0): Nd {
    return relu(this.convBn(x, this.has(`${path}.acb`) ? `${path}.acb` : path, stride, padding));
  }

  bnReluConv(x: Nd, path: string, stride = 1, padding = 0): Nd {
    const inner = this.has(`${path}.acb`) ? `${path}.acb` : `${path}.conv`;
    return this.conv(relu(this.bn(x, `${path}.bn`)), inner, stride, padding);
  }

  #get(key: string) {
    const tensor = this.#state[key];
    if (tensor === undefined) throw new Error(`the state has no ${key}`);
    return tensor;
  }

  #norm(path: string): BatchNormState {
    const values = (name: string) => this.#get(`${path}.${name}`).data;
    return {
      gamma: values('weight'),
      beta: values('bias'),
      runningMean: values('running_mean'),
      runningVar: values('running_var'),
    };
  }
}

function maxPool(x: Nd, size: number, stride = size, padding = 0): Nd {
  const options = { kernel: [size, size], stride: [stride, stride], padding: [padding, padding] } as const;
  return maxPool2d(x, { ...options, dilation: [1, 1], ceilMode: false });
}

function avgPool(x: Nd, size: number, stride = size): Nd {
  const options = { kernel: [size, size], stride: [stride, stride], padding: [0, 0] } as const;
  return avgPool2d(x, { ...options, ceilMode: false, countIncludePad: true });
}

const pooled = (x: Nd): Nd => flatten(globalAvgPool2d(x));

export const references: Record<string, (state: StateDict, x: Nd) => Nd> = {
  lenet5bn(state, x) {
    const net = new Layers(state);
    let y = maxPool(net.convBnRelu(x, 'stem.conv1'), 2);
    y = maxPool(net.convBnRelu(y, 'stem.conv2'), 2);
    return net.linear(relu(net.linear(flatten(y), 'linear1')), 'linear2');
  },

  cifarQuick(state, x) {
    const net = new Layers(state);
    let y = maxPool(net.convBnRelu(x, 'conv1', 1, 2), 3, 2);
    y = avgPool(net.convBnRelu(y, 'conv2', 1, 2), 3, 2);
    y = avgPool(net.convBnRelu(y, 'conv3', 1, 2), 3, 2);
    return net.linear(relu(net.linear(flatten(y), 'fc1')), 'fc2');
  },

  vgg16(state, x) {
    const net = new Layers(state);
    let y = x;
    let conv = 1;
    for (const convs of [2, 2, 3, 3, 3]) {
      for (let i = 0; i < convs; i++) y = net.convBnRelu(y, `stem.conv${conv++}`, 1, 1);
      y = maxPool(y, 2);
    }
    return net.linear(relu(net.linear(flatten(y), 'linear1')), 'linear2');
  },

  resnetCifar(state, x) {
    const net = new Layers(state);
    let y = relu(net.convBn(x, 'stage1.conv1', 1, 1));
    for (const stage of ['stage1', 'stage2', 'stage3']) {
      for (let i = 0; net.has(`${stage}.block${i}`); i++) {
        const stride = stage !== 'stage1' && i === 0 ? 2 : 1;
        const shortcut = stride === 2 ? net.convBn(y, `${stage}.projection`, 2) : y;
        const inner = net.convBnRelu(y, `${stage}.block${i}.conv1`, stride, 1);
        y = relu(add(shortcut, net.convBn(inner, `${stage}.block${i}.conv2`, 1, 1)));
      }
    }
    return net.linear(pooled(y), 'linear');
  },

  wideResnet(state, x) {
    const net = new Layers(state);
    let y = net.conv(x, 'conv1', 1, 1);
    for (const stage of ['stage1', 'stage2', 'stage3']) {
      for (let i = 1; net.has(`${stage}.block${i}`); i++) {
        const stride = stage !== 'stage1' && i === 1 ? 2 : 1;
        const shortcut = i === 1 ? net.bnReluConv(y, `${stage}.block1.proj`, stride) : y;
        const inner = net.bnReluConv(y, `${stage}.block${i}.conv1`, stride, 1);
        y = add(net.bnReluConv(inner, `${stage}.block${i}.conv2`, 1, 1), shortcut);
      }
    }
    return net.linear(pooled(net.bn(y, 'last_bn')), 'linear');
  },

  densenet(state, x) {
    const net = new Layers(state);
    let y = net.conv(x, 'conv1', 1, 1);
    for (const stage of [1, 2, 3]) {
      for (let i = 0; net.has(`stage${stage}.layer${i}`); i++) {
        y = concat([y, net.bnReluConv(y, `stage${stage}.layer${i}.conv`, 1, 1)]);
      }
      if (stage < 3) y = avgPool(net.bnReluConv(y, `trans${stage}`), 2);
    }
    return net.linear(pooled(relu(net.bn(y, 'last_bn'))), 'linear');
  },

  alexnet(state, x) {
    const net = new Layers(state);
    let y = maxPool(net.convBnRelu(x, 'features.0', 4, 2), 3, 2);
    y = maxPool(net.convBnRelu(y, 'features.3', 1, 2), 3, 2);
    for (const i of [6, 8, 10]) y = net.convBnRelu(y, `features.${i}`, 1, 1);
    y = relu(net.linear(flatten(maxPool(y, 3, 2)), 'classifier.1'));
    return net.linear(relu(net.linear(y, 'classifier.4')), 'classifier.6');
  },

  resnet18(state, x) {
    const net = new Layers(state);
    let y = maxPool(net.convBnRelu(x, 'conv1', 2, 3), 3, 2, 1);
    for (const stage of ['stage1', 'stage2', 'stage3', 'stage4']) {
      for (let i = 0; net.has(`${stage}.${i}`); i++) {
        const stride = stage !== 'stage1' && i === 0 ? 2 : 1;
        const shortcut = stride === 2 ? net.convBn(y, `${stage}.${i}.shortcut`, 2) : y;
        const inner = net.convBnRelu(y, `${stage}.${i}.conv1`, stride, 1);
        y = relu(add(net.convBn(inner, `${stage}.${i}.conv2`, 1, 1), shortcut));
      }
    }
    return net.linear(pooled(y), 'linear');
  },

  densenet121(state, x) {
    const net = new Layers(state);
    let y = maxPool(relu(net.bn(net.conv(x, 'features.conv0', 2, 3), 'features.norm0')), 3, 2, 1);
    for (const block of [1, 2, 3, 4]) {
      for (let i = 1; net.has(`features.denseblock${block}.denselayer${i}`); i++) {
        const path = `features.denseblock${block}.denselayer${i}`;
        const inner = net.conv(relu(net.bn(y, `${path}.norm1`)), `${path}.conv1`);
        y = concat([y, net.conv(relu(net.bn(inner, `${path}.norm2`)), `${path}.conv2`, 1, 1)]);
      }
      if (block === 4) break;
      const path = `features.transition${block}`;
      y = avgPool(net.conv(relu(net.bn(y, `${path}.norm`)), `${path}.conv`), 2);
    }
    return net.linear(pooled(relu(net.bn(y, 'features.norm5'))), 'classifier');
  },
};
