/** Options of InferenceSession.create, checked. */
import { checkExternalData } from '../formats/onnx/externalData.js';
import { checkNames, flag } from '../options.js';
import { Runtime } from '../runtime/runtime.js';
import { show } from '../shown.js';
import type { ExternalData } from './externalData.js';
import type { ProgressEvent } from './progress.js';

export interface InferenceSessionOptions {
  /** Where to run; without one the layer's, or a runtime of the session's own, which ends with it. */
  readonly runtime?: Runtime;
  /** Whether to merge branches and fold BatchNorms into weights first (see `reparameterize`); default true. */
  readonly reparameterize?: boolean;
  /**
   * Files in which a model's weights lie, where they lie beside it. From a path or an address they are found there;
   * those that are given here are not looked for.
   */
  readonly externalData?: readonly ExternalData[];
  /** Told of every phase when it begins and when it is done, and of bytes as they arrive. */
  readonly onProgress?: (event: ProgressEvent) => void;
  /** Ends the making of the session, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

const NAMES: readonly string[] = ['runtime', 'reparameterize', 'onProgress', 'signal', 'externalData'];

/** Options of onnxruntime-web's, which choose among what there is one of here. They are taken and do nothing. */
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
