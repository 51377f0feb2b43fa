// TypeScript 5.9, 6 and 7, strict and with the libraries checked: a program that uses the interface, compiled for every
// way to resolve modules, with the DOM's types and with Node's alone.
const PROGRAM = `
import {
  ACBlock, Add, type Algorithm, type Apply, type Capabilities, Composite, Conv2d, createRuntime, type Feeds, type Graph,
  GlobalAvgPool2d, Flatten, InferenceSession, Layer, Linear, type ModelSource, ReLU, readCheckpoint, reparameterize,
  Runtime, Sequential, type StateDict, Tensor, type Wiring,
} from 'acnet-wasm';
import baseline from 'acnet-wasm/baseline.wasm';
import relaxed from 'acnet-wasm/relaxed.wasm';

/** A residual network of Asymmetric Convolution Blocks. */
function residualNetwork(runtime: Runtime, channels: number): Layer {
  const algorithm: Algorithm = 'gemm';
  const wiring: Wiring = (x: string, apply: Apply) => apply('relu', apply('add', apply('block', x), x));
  const residual = (): Composite => {
    const options = { inChannels: channels, outChannels: channels, kernelSize: 3, padding: 1 };
    const layers = { block: new ACBlock(runtime, options), add: new Add(runtime), relu: new ReLU(runtime) };
    return new Composite(runtime, layers, wiring);
  };
  return new Sequential(runtime, {
    stem: new Conv2d(runtime, { inChannels: 3, outChannels: channels, kernelSize: [3, 3], padding: 'same', algorithm }),
    stage1: residual(),
    stage2: residual(),
    pool: new GlobalAvgPool2d(runtime),
    flatten: new Flatten(runtime),
    head: new Linear(runtime, { inFeatures: channels, outFeatures: 10 }),
  });
}

export async function main(source: ModelSource, bytes: Uint8Array): Promise<number> {
  using runtime = await createRuntime({ threads: 2, simd: 'baseline', wasm: baseline });
  const capabilities: Capabilities = runtime.capabilities;
  const net = residualNetwork(runtime, 8);
  const state: StateDict = readCheckpoint(bytes);
  net.loadStateDict(state).eval().switchToDeploy();
  if (!(net instanceof Layer)) throw new TypeError(capabilities.threads.reason ?? '');
  const feeds: Feeds = { image: new Tensor('float32', new Float32Array(3 * 32 * 32), [1, 3, 32, 32]) };
  const session = await InferenceSession.create(source, { runtime });
  const outputs: Record<string, Tensor> = await session.run(feeds);
  const graph = (data: Graph): Graph => reparameterize(data).graph;
  const other = await createRuntime({ wasm: fetch(relaxed) });
  return Object.values(outputs)[0]!.size + other.threads + graph.length;
}

// @ts-expect-error: there is no such member
export const missing = new Tensor('float32', new Float32Array(1), [1]).nothing;
// @ts-expect-error: a misspelt option
export const misspelt = createRuntime({ thread: 2 });
`;

const DOM = { lib: ['es2022', 'dom'], types: [] };
const NODE = { lib: ['es2022'], types: ['node'] };
const CONFIGURATIONS = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext', ...DOM },
  node16: { module: 'node16', moduleResolution: 'node16', ...NODE },
  bundler: { module: 'esnext', moduleResolution: 'bundler', ...DOM },
};

export default {
  needs: ['typescript-5.9', 'typescript-6', 'typescript-7', '@types/node'],
  async run(project) {
    project.write('program.ts', PROGRAM);
    for (const tool of ['typescript-5.9', 'typescript-6', 'typescript-7']) {
      for (const [name, options] of Object.entries(CONFIGURATIONS)) {
        const compilerOptions = { target: 'es2022', strict: true, skipLibCheck: false, noEmit: true, ...options };
        project.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['program.ts'] }));
        await project.tool(`${tool}/bin/tsc`).catch((error) => {
          throw new Error(`${tool}, ${name}: ${error.message}`);
        });
      }
    }
  },
};
