/** Options of InferenceSession.create, checked. */
import { checkExternalData } from '../formats/onnx/externalData.js';
import { checkNames, flag } from '../options.js';
import { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import type { ExternalData } from './externalData.js';
import type { ProgressEvent } from './progress.js';

export interface InferenceSessionOptions {
  /** The runtime to use; default the layer's, or else one of the session's own, which is disposed of with it. */
  readonly runtime?: Runtime;
  /** Whether to merge branches and fold BatchNorms into weights first (see `reparameterize`); default true. */
  readonly reparameterize?: boolean;
  /**
   * Files of weights beside the model. For a model from a path or URL they are found there; those given here are not
   * looked for.
   */
  readonly externalData?: readonly ExternalData[];
  /** Called when a phase begins or ends, and as bytes arrive. */
  readonly onProgress?: (event: ProgressEvent) => void;
  /** Aborts the creation, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

const NAMES: readonly string[] = ['runtime', 'reparameterize', 'onProgress', 'signal', 'externalData'];

/** Options of onnxruntime-web for which there is nothing to choose here. They are accepted and ignored. */
const FOREIGN: readonly string[] = [
  'enableCpuMemArena',
  'enableGraphCapture',
  'enableMemPattern',
  'enableProfiling',
  'executionMode',
  'executionProviders',
  'extra',
  'freeDimensionOverrides',
  'graphOptimizationLevel',
  'interOpNumThreads',
  'intraOpNumThreads',
  'logId',
  'logSeverityLevel',
  'logVerbosityLevel',
  'optimizedModelFilePath',
  'preferredOutputLocation',
  'profileFilePrefix',
];

interface Checked {
  readonly runtime: Runtime | undefined;
  readonly reparameterize: boolean;
  readonly externalData: readonly ExternalData[];
  readonly onProgress: ((event: ProgressEvent) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** @throws TypeError naming the option */
export function checkOptions(options: InferenceSessionOptions): Checked {
  const owner = 'InferenceSession.create';
  checkNames(owner, options, NAMES, FOREIGN);
  const { runtime, onProgress, signal } = options;
  const wrong = (name: string, expected: string, value: unknown): never => {
    throw new TypeError(`${owner}: ${name} must ${expected}, got ${show(value)}`);
  };
  if (runtime !== undefined && !(runtime instanceof Runtime)) wrong('runtime', 'come from createRuntime', runtime);
  if (runtime?.isDisposed) throw new TypeError(`${owner}: the runtime is disposed`);
  if (onProgress !== undefined && typeof onProgress !== 'function') wrong('onProgress', 'be a function', onProgress);
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') {
    wrong('signal', 'be an AbortSignal', signal);
  }
  return {
    runtime,
    reparameterize: flag(owner, 'reparameterize', options.reparameterize ?? true),
    externalData: checkExternalData(owner, options.externalData),
    onProgress,
    signal,
  };
}
