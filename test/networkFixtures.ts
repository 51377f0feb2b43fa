/** The networks of test/fixtures/networks: their files, and the builders that make them. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { cifarQuick, type Layer, lenet5bn, type Runtime, readSafetensors, resnetCifar, type Tensor } from 'acnet-wasm';

export interface NetworkFixture {
  readonly name: string;
  readonly weights: string;
  readonly build: (runtime: Runtime) => Layer;
}

const LENET = 'lenet5bn-acb-fashion-mnist';

export const NETWORKS: readonly NetworkFixture[] = [
  { name: LENET, weights: `test/fixtures/networks/${LENET}.safetensors`, build: (runtime) => lenet5bn(runtime) },
  {
    name: 'lenet5bn-base-fashion-mnist',
    weights: 'test/fixtures/networks/lenet5bn-base-fashion-mnist.safetensors',
    build: (runtime) => lenet5bn(runtime, { form: 'base' }),
  },
  {
    name: 'cfqkbnc-small',
    weights: 'test/fixtures/networks/cfqkbnc-small.safetensors',
    build: (runtime) => cifarQuick(runtime, { channels: [8, 8, 12] }),
  },
  {
    name: 'src20',
    weights: 'test/fixtures/networks/src20.safetensors',
    build: (runtime) => resnetCifar(runtime, { channels: [8, 12, 16], blocksPerStage: 3 }),
  },
];

export function bytesOfFile(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

export function onnxOf({ name }: NetworkFixture): Uint8Array {
  return bytesOfFile(`test/fixtures/networks/${name}.onnx`);
}

/** A batch of four and what the network makes of it. */
export function casesOf({ name }: NetworkFixture): { input: Tensor; output: Tensor } {
  const { input, output } = readSafetensors(bytesOfFile(`test/fixtures/networks/${name}.io.safetensors`)).tensors;
  return { input: input!, output: output! };
}

/**
 * What torch.save wrote for the first network. Its values are kept in the safetensors file only: the .pth has zeros in
 * their places.
 */
export function pthFile(): Uint8Array {
  const file = new Uint8Array(gunzipSync(readFileSync(`test/fixtures/pth/${LENET}.pth.gz`)));
  const offsets: Record<string, number> = JSON.parse(readFileSync(`test/fixtures/pth/${LENET}.offsets.json`, 'utf8'));
  const { tensors } = readSafetensors(bytesOfFile(`test/fixtures/networks/${LENET}.safetensors`));
  for (const [name, { data }] of Object.entries(tensors)) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offsets[name]);
  }
  return file;
}
