/**
 * Finds the weights in what torch.save wrote: a state dict itself, or a dict that holds one or several beside an epoch,
 * an optimizer, the state of a random generator and the like, or a module as a whole, with its tensors in the
 * attributes of its objects:
 *
 *     { 'epoch': 3, 'model': { 'conv.weight': tensor, ... }, 'ema': { ... }, 'optimizer': { 'param_groups': ... } }
 *
 * A state has float tensors of at least one axis. The names of the dicts that hold it say which one is meant; if they
 * leave it open, nothing is guessed.
 */
import { FormatError } from '../../errors.js';
import { show } from '../../shown.js';
import { PickleDict, PickleObject } from './pickle.js';
import { StoredTensor } from './tensors.js';

/** What was taken from a checkpoint. */
export interface CheckpointSelection {
  /** Where it was, as in 'model' or 'model.state_dict'; '' where the file is one state and nothing else. */
  readonly selected: string;
  /** All that could have been taken, named in the same way. */
  readonly candidates: readonly string[];
}

export interface FoundState extends CheckpointSelection {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

interface Candidate {
  readonly keys: readonly string[];
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** An unknown object in it, which may have been a tensor. */
  readonly unknown: PickleObject | undefined;
}

/** Keys under which people save the state of a network, the likeliest first. */
const MAIN = ['state_dict', 'model_state_dict', 'model_state'];
const USUAL = ['model', 'net', 'network', 'module', 'params', 'weights'];
/** Their tensors look like weights, but are not. */
const NO_WEIGHTS = /optim|sched|scaler/i;
/** { model: { state_dict: ... } } has two. */
const MAX_NESTING = 4;
const MAX_KEY = 256;
/** Nesting of modules, attributes of all modules, and length of their tensors' names. */
const MAX_DEPTH = 64;
const MAX_ATTRIBUTES = 2 ** 17;
const MAX_NAME = 2 ** 12;
/** Names that a message lists, and their length. */
const MAX_SHOWN = 8;
const MAX_SHOWN_LENGTH = 32;

/**
 * @param at of the pickle in the file, for errors
 * @throws {FormatError} if there is no state, or several and no way to know which
 * @throws {RangeError} if there is none at `select`
 */
export function findState(saved: unknown, select: string | undefined, at: number): FoundState {
  const all = new Search(at).candidatesOf(saved);
  if (all.length === 0) {
    throw broken(
      at,
      `the checkpoint must hold tensors by name, or a dict of such in "state_dict"; it ${describe(saved)}`,
    );
  }
  const within = all.filter(({ path }) => select === undefined || path === select || path.startsWith(`${select}.`));
  if (within.length === 0) {
    throw new RangeError(`readCheckpoint: select must be one of ${showNames(pathsOf(all))}, got ${show(select)}`);
  }
  const { path, tensors, unknown } = choose(within, select === undefined ? 0 : select.split('.').length - 1, at);
  if (unknown !== undefined) {
    throw broken(
      unknown.at,
      `the pickle names the Python global ${show(unknown.name)}, which a state dict does not need; it was not run. ` +
        'Save only the state: torch.save(model.state_dict(), path)',
    );
  }
  return { selected: path, candidates: pathsOf(all), tensors };
}

/** Follows the keys that all candidates share, and takes the likelier ones where they part. */
function choose(candidates: readonly Candidate[], depth: number, at: number): Candidate {
  const best = candidates.reduce((least, one) => Math.min(least, rank(one, depth)), Number.POSITIVE_INFINITY);
  const likeliest = candidates.filter((one) => rank(one, depth) === best);
  if (likeliest.length === 1) return likeliest[0]!;
  if (new Set(likeliest.map(({ keys }) => keys[depth])).size === 1) return choose(likeliest, depth + 1, at);
  throw broken(
    at,
    `the checkpoint holds ${likeliest.length} states, ${showNames(pathsOf(likeliest))}: name one by the option select`,
  );
}

function rank({ keys, tensors }: Candidate, depth: number): number {
  const key = keys[depth];
  // Tensors at this level: a state dict if they are named after parts of a network.
  if (key === undefined) return [...tensors.keys()].some((name) => name.includes('.')) ? 2 : 4;
  if (MAIN.includes(key)) return 0;
  if (USUAL.includes(key)) return 1;
  return /ema/i.test(key) ? 3 : 4;
}

class Search {
  readonly #at: number;
  #attributes = 0;

  constructor(at: number) {
    this.#at = at;
  }

  /** Level by level, so that what is in two places counts where it is less deep. */
  candidatesOf(saved: unknown): Candidate[] {
    const candidates: Candidate[] = [];
    const seen = new Set<unknown>();
    const queue: { keys: readonly string[]; value: unknown }[] = [{ keys: [], value: saved }];
    for (const { keys, value } of queue) {
      if (seen.has(value)) continue;
      seen.add(value);
      const candidate = this.#candidate(keys, value);
      if ([...candidate.tensors.values()].some(isWeight)) candidates.push(candidate);
      if (!(value instanceof PickleDict) || keys.length === MAX_NESTING) continue;
      for (const [key, inner] of value) {
        const isHolder = inner instanceof PickleDict || inner instanceof PickleObject;
        if (!isHolder || typeof key !== 'string' || key.length > MAX_KEY || NO_WEIGHTS.test(key)) continue;
        queue.push({ keys: [...keys, key], value: inner });
      }
    }
    // Tensors and nothing else need not be weights.
    if (candidates.length === 0 && saved instanceof PickleDict && holdsTensorsOnly(saved)) {
      candidates.push(this.#candidate([], saved));
    }
    return candidates;
  }

  #candidate(keys: readonly string[], value: unknown): Candidate {
    const tensors = new Map<string, StoredTensor>();
    let unknown: PickleObject | undefined;
    if (value instanceof PickleObject) this.#addModule(value, '', 0, tensors);
    if (value instanceof PickleDict && value.get('param_groups') === undefined) {
      for (const [key, inner] of value) {
        if (typeof key === 'string' && inner instanceof StoredTensor) tensors.set(key, inner);
        if (inner instanceof PickleObject) unknown ??= inner;
      }
    }
    return { keys, path: keys.join('.'), tensors, unknown };
  }

  /** What its state_dict() would give. For TorchScript, includes non-persistent buffers, which it does not mark. */
  #addModule(module: PickleObject, prefix: string, depth: number, tensors: Map<string, StoredTensor>): void {
    const { attributes } = module;
    if (attributes === undefined) return;
    const dicts = ['_parameters', '_buffers', '_modules'].map((key) => attributes.get(key));
    const isScript = module.name.startsWith('__torch__.');
    const transient = attributes.get('_non_persistent_buffers_set');
    for (const dict of isScript ? [attributes] : dicts) {
      if (!(dict instanceof PickleDict)) return;
      for (const [key, value] of dict) {
        if (typeof key !== 'string') continue;
        const name = prefix + key;
        if (++this.#attributes > MAX_ATTRIBUTES || depth > MAX_DEPTH || name.length > MAX_NAME) {
          throw broken(this.#at, `the module has more than ${MAX_ATTRIBUTES} attributes, or is nested endlessly`);
        }
        const isTransient = Array.isArray(transient) && transient.includes(key);
        if (value instanceof StoredTensor && !isTransient) tensors.set(name, value);
        if (value instanceof PickleObject) this.#addModule(value, `${name}.`, depth + 1, tensors);
      }
    }
  }
}

function isWeight({ storage, dims }: StoredTensor): boolean {
  return dims.length > 0 && storage.type.includes('F');
}

function holdsTensorsOnly(dict: PickleDict): boolean {
  for (const [, value] of dict) if (!(value instanceof StoredTensor)) return false;
  return true;
}

function pathsOf(candidates: readonly Candidate[]): string[] {
  return candidates.map(({ path }) => path);
}

function describe(saved: unknown): string {
  if (saved instanceof StoredTensor) return 'is a single tensor';
  if (saved instanceof PickleObject) return `is ${describeObject(saved)}`;
  if (!(saved instanceof PickleDict)) return 'is not a dict';
  const keys: string[] = [];
  let unknown = '';
  for (const [key, value] of saved) {
    if (typeof key !== 'string') continue;
    if (keys.length <= MAX_SHOWN) keys.push(key);
    if (value instanceof PickleObject && unknown === '') unknown = `; ${showName(key)} is ${describeObject(value)}`;
  }
  return `is a dict without tensors (keys ${showNames(keys)})${unknown}`;
}

function describeObject({ name }: PickleObject): string {
  return `of the Python class ${show(name)}, of which nothing was run`;
}

function showNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_SHOWN).map(showName).join(', ');
  return names.length > MAX_SHOWN ? `${shown}, ...` : shown;
}

function showName(name: string): string {
  return show(name.length > MAX_SHOWN_LENGTH ? `${name.slice(0, MAX_SHOWN_LENGTH)}...` : name);
}

function broken(offset: number, message: string): FormatError {
  return new FormatError(`readCheckpoint: ${message}`, offset);
}
