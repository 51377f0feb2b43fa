/** Loads ONNX files as Graphs from URLs and paths. */
import { checkExternalData } from '../formats/onnx/externalData.js';
import { graphOf, readModelFile } from '../formats/onnx/read.js';
import type { Graph } from '../graph/graph.js';
import { checkNames } from '../options.js';
import { type ExternalData, loadExternalData } from './externalData.js';
import { loadBytes } from './loadBytes.js';
import { Progress } from './progress.js';

const OWNER = 'loadOnnx';

/**
 * `readOnnx` for a URL or path, including weights in files beside it, as PyTorch's exporter writes them.
 * @param options.externalData files given here are not looked for beside the model
 * @throws as `readOnnx`; Error naming what cannot be loaded
 * @example
 * const { graph } = reparameterize(await loadOnnx('net.onnx'));
 */
export async function loadOnnx(
  location: string | URL,
  options: { readonly externalData?: readonly ExternalData[]; readonly signal?: AbortSignal } = {},
): Promise<Graph> {
  if (typeof location !== 'string' && !(location instanceof URL)) {
    throw new TypeError(`${OWNER}: location must be a URL or a path, got ${typeof location}`);
  }
  checkNames(OWNER, options, ['externalData', 'signal']);
  const progress = new Progress(undefined, options.signal);
  const bytes = await loadBytes(location, progress, OWNER);
  const model = readModelFile(bytes);
  await loadExternalData(model, checkExternalData(OWNER, options.externalData), location, progress, OWNER);
  return graphOf(model);
}
