/** What `acnet train` is asked for: options to settings, which a run's folder keeps, and back. */
import { checkNames } from '../options.js';
import { constant, cosine, multiStep, type Schedule, step } from '../train/schedules.js';
import type { Arguments, OptionSpecs } from './arguments.js';
import { parseNumber } from './arguments.js';
import { CommandError, UsageError } from './errors.js';
import { ARCHITECTURES, isArchitecture } from './trainModel.js';
import { FORMS, type TrainSettings } from './trainSettings.js';

export const DEFAULTS = {
  form: 'train',
  epochs: 15,
  batchSize: 128,
  seed: 1,
  lr: 0.05,
  schedule: 'cosine',
  warmUp: 0,
  momentum: 0.9,
  weightDecay: 1e-4,
  labelSmoothing: 0,
  crop: 0,
} as const;

/** The options that become settings. */
export const SETTING_OPTIONS: OptionSpecs = {
  arch: { type: 'string' },
  form: { type: 'string' },
  channels: { type: 'string' },
  blocks: { type: 'string' },
  data: { type: 'string' },
  size: { type: 'string' },
  'hold-out': { type: 'string' },
  init: { type: 'string' },
  freeze: { type: 'string', multiple: true },
  epochs: { type: 'string' },
  'batch-size': { type: 'string' },
  seed: { type: 'string' },
  lr: { type: 'string' },
  schedule: { type: 'string' },
  'warm-up': { type: 'string' },
  momentum: { type: 'string' },
  nesterov: { type: 'boolean' },
  'weight-decay': { type: 'string' },
  'clip-norm': { type: 'string' },
  'label-smoothing': { type: 'string' },
  crop: { type: 'string' },
  flip: { type: 'boolean' },
  ema: { type: 'string' },
  patience: { type: 'string' },
};

export const MAX_THREADS = 64;
const LARGEST_SIDE = 4096;
const SCHEDULE = /^(?:(constant|cosine)|(step|multistep):(\d+(?:,\d+)*)(?::(\S+))?)$/;

/** @throws {UsageError} */
export function settingsOf(args: Arguments): TrainSettings {
  const arch = parseArchitecture(args);
  const data = args.text('data');
  if (data === undefined) throw new UsageError('--data is missing');
  const form = args.text('form') ?? DEFAULTS.form;
  if (!isForm(form)) throw new UsageError(`--form is '${form}', expected ${FORMS.join(', ')}`);
  const schedule = args.text('schedule') ?? DEFAULTS.schedule;
  if (!isSchedule(schedule)) throw new UsageError(`--schedule is '${schedule}', expected ${SCHEDULES}`);
  const blocks = args.whole('blocks', 1);
  if (blocks !== undefined && !ARCHITECTURES[arch]!.hasBlocks) {
    throw new UsageError(`--blocks is for networks with stages; ${arch} has none`);
  }
  const settings = {
    arch,
    form,
    channels: parseWholes(args, 'channels'),
    blocks,
    data,
    size: sizeOf(args),
    holdOut: args.whole('hold-out', 1),
    init: args.text('init'),
    freeze: args.texts('freeze'),
    epochs: args.whole('epochs', 1) ?? DEFAULTS.epochs,
    batchSize: args.whole('batch-size', 1) ?? DEFAULTS.batchSize,
    seed: args.whole('seed', 0) ?? DEFAULTS.seed,
    lr: args.number('lr', 0) ?? DEFAULTS.lr,
    schedule,
    warmUp: args.whole('warm-up', 0) ?? DEFAULTS.warmUp,
    momentum: below1(args, 'momentum') ?? DEFAULTS.momentum,
    nesterov: args.flag('nesterov'),
    weightDecay: args.number('weight-decay', 0) ?? DEFAULTS.weightDecay,
    clipNorm: args.number('clip-norm', 0),
    labelSmoothing: below1(args, 'label-smoothing') ?? DEFAULTS.labelSmoothing,
    crop: args.whole('crop', 0) ?? DEFAULTS.crop,
    flip: args.flag('flip'),
    ema: below1(args, 'ema'),
    patience: args.whole('patience', 1),
  };
  return withoutUndefined(settings) as unknown as TrainSettings;
}

export const SCHEDULES = 'constant, cosine, step:EPOCHS[:GAMMA] or multistep:EPOCH,EPOCH,...[:GAMMA]';

/** @param stepsPerEpoch converts epochs to steps */
export function scheduleOf({ schedule, lr, warmUp }: TrainSettings, stepsPerEpoch: number): Schedule {
  const [, name, stepped, epochs, gammaText] = SCHEDULE.exec(schedule)!;
  const warmUpSteps = { warmUp: warmUp * stepsPerEpoch };
  if (name === 'constant') return constant(lr, warmUpSteps);
  if (name === 'cosine') return cosine(lr, warmUpSteps);
  const milestones = epochs!.split(',').map((epoch) => Number(epoch) * stepsPerEpoch);
  const options = { ...warmUpSteps, ...(gammaText !== undefined && { gamma: parseNumber(gammaText)! }) };
  if (stepped === 'step') return step(lr, { stepSize: milestones[0]!, ...options });
  return multiStep(lr, { milestones, ...options });
}

/** What `config.json` of a run's folder holds. */
export function writeSettings(settings: TrainSettings, version: string): string {
  return `${JSON.stringify({ acnet: version, ...settings }, null, 2)}\n`;
}

/** @throws {CommandError} naming the file */
export function readSettings(text: string, file: string): TrainSettings {
  try {
    const { acnet: _, ...settings } = JSON.parse(text) as TrainSettings & { acnet: string };
    const names = [...Object.keys(SETTING_OPTIONS)].map(camelCase);
    checkNames('config', settings, names);
    if (!isArchitecture(settings.arch) || !isForm(settings.form) || !isSchedule(settings.schedule))
      throw new Error('arch, form or schedule is unknown');
    return settings;
  } catch (error) {
    throw new CommandError(`${file}: is no configuration of a run: ${(error as Error).message}`);
  }
}

/** @throws {UsageError} when it is missing or unknown */
export function parseArchitecture(args: Arguments): string {
  const arch = args.text('arch');
  if (arch === undefined) throw new UsageError('--arch is missing');
  if (isArchitecture(arch)) return arch;
  throw new UsageError(`--arch is '${arch}', expected ${Object.keys(ARCHITECTURES).join(', ')}`);
}

function isForm(text: string): text is TrainSettings['form'] {
  return (FORMS as readonly string[]).includes(text);
}

function isSchedule(text: string): boolean {
  const match = SCHEDULE.exec(text);
  if (match === null) return false;
  const [, , stepped, epochs, gamma] = match;
  const list = (epochs ?? '').split(',').map(Number);
  if (stepped === 'step' && (list.length > 1 || list[0]! < 1)) return false;
  if (list.some((epoch, i) => i > 0 && epoch <= list[i - 1]!)) return false;
  return gamma === undefined || (parseNumber(gamma) ?? -1) >= 0;
}

/** Whole numbers with commas between them. */
export function parseWholes(args: Arguments, name: string): number[] | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  if (!/^\d+(,\d+)*$/.test(text))
    throw new UsageError(`--${name} is '${text}', expected whole numbers such as 16,32,64`);
  return text.split(',').map(Number);
}

function below1(args: Arguments, name: string): number | undefined {
  const value = args.number(name, 0);
  if (value !== undefined && value >= 1) throw new UsageError(`--${name} is '${value}', expected a number below 1`);
  return value;
}

function sizeOf(args: Arguments): readonly [number, number] | undefined {
  const text = args.text('size');
  if (text === undefined) return undefined;
  const [, height, width] = /^(\d+)x(\d+)$/i.exec(text) ?? [];
  const size = [Number(height), Number(width)] as const;
  if (size.every((side) => side >= 1 && side <= LARGEST_SIDE)) return size;
  throw new UsageError(`--size is '${text}', expected HEIGHTxWIDTH, each from 1 to ${LARGEST_SIDE}`);
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
