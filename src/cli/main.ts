#!/usr/bin/env node
/** The command `acnet`: finds the command, and turns errors into one line and an exit code. */
import process from 'node:process';
import { version } from '../../package.json';
import type { Layer } from '../index.js';
import type { TrainerFactory } from '../train/trainOptions.js';
import { Trainer } from '../train.js';
import { parseArguments } from './arguments.js';
import { bench } from './bench.js';
import { type Command, createOutput } from './command.js';
import { messageOf, UsageError } from './errors.js';
import { removeUnfinished } from './files.js';
import { fuse } from './fuse.js';
import { inspect } from './inspect.js';
import { Interrupted, interrupt } from './interrupt.js';
import { clearProgress } from './progress.js';
import { run } from './run.js';
import { skeleton } from './skeleton.js';
import { studyCommand } from './study.js';
import { printable } from './terminal.js';
import { trainCommand } from './train.js';

const createTrainer: TrainerFactory<Layer> = (model, options) => new Trainer(model, options);
const [train, study] = [trainCommand(createTrainer), studyCommand(createTrainer)];
const COMMANDS: readonly Command[] = [inspect, fuse, run, bench, train, study, skeleton];
const FAILED = 1;
const WRONG_USAGE = 2;
/** Signals that end a command, and their numbers; the exit code is 128 more. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

const HELP = `Usage: acnet COMMAND [ARGUMENTS]

Re-parameterisable convolutional networks: three branches to train, one exact
convolution to run.

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(10)}${summary}`).join('\n')}

Options:
  -h, --help     Print this, or after a command what it takes
  -v, --version  Print the version

Exit codes: 0 success, 1 the work failed, 2 wrong usage. NO_COLOR, FORCE_COLOR
and COLUMNS are honoured.
`;

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return print(HELP);
  if (name === '--version' || name === '-v') return print(`${version}\n`);
  if (name === undefined) {
    process.stderr.write(HELP);
    return WRONG_USAGE;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const kind = name.startsWith('-') ? 'option' : 'command';
    const known = COMMANDS.map((one) => one.name).join(', ');
    process.stderr.write(`acnet: the ${kind} must be one of ${known}, got '${printable(name)}'; see acnet --help\n`);
    return WRONG_USAGE;
  }
  try {
    return await runCommand(command, args);
  } catch (error) {
    clearProgress();
    if (error instanceof Interrupted) return error.exitCode;
    const isUsage = error instanceof UsageError;
    const hint = isUsage ? `; see acnet ${name} --help` : '';
    createOutput(name, false).complain(printable(messageOf(error).replace(/\s*\n\s*/g, ' ')) + hint);
    return isUsage ? WRONG_USAGE : FAILED;
  }
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  // Asking for help is no error, whatever else is given.
  const end = args.indexOf('--');
  const ahead = end < 0 ? args : args.slice(0, end);
  if (ahead.includes('--help') || ahead.includes('-h')) return print(command.help);
  const parsed = parseArguments(args, { ...command.options, json: { type: 'boolean' } });
  return (await command.run(parsed, createOutput(command.name, parsed.flag('json')))) ? 0 : FAILED;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function leave(code: number): never {
  clearProgress();
  removeUnfinished();
  process.exit(code);
}

for (const [signal, number] of Object.entries(SIGNALS)) {
  process.on(signal, () => {
    if (!interrupt(128 + number)) leave(128 + number);
  });
}
// The reader may stop early, as head does: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') leave(0);
  process.stderr.write(`acnet: standard output: ${messageOf(error)}\n`);
  leave(FAILED);
});
process.stderr.on('error', () => leave(FAILED));

process.exitCode = await main(process.argv.slice(2));
