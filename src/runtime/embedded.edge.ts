/**
 * The kernels that come with the package, for edge platforms, which compile nothing but load modules compiled before.
 * One build, so that no upload holds two: the one that every engine loads.
 */
import baseline from '../../build/baseline.wasm?module';

export async function embeddedKernels(): Promise<WebAssembly.Module> {
  return baseline;
}
