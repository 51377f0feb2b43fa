/**
 * The kernels that come with the package, for places at the edge of a network: they compile nothing, but load modules
 * that were compiled before. One build, so that no upload holds two; the one that every engine loads.
 */
import baseline from '../../build/baseline.wasm?module';

export async function embeddedKernels(): Promise<WebAssembly.Module> {
  return baseline;
}
