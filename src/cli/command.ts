/** What a command is, and how it speaks: results on stdout, all else on stderr. */
import process from 'node:process';
import type { Arguments, OptionSpecs } from './arguments.js';
import { describeTerminal, type Terminal, wrap } from './terminal.js';

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints. */
  readonly help: string;
  /** Besides `--help` and `--json`, which all commands have. */
  readonly options: OptionSpecs;
  /** Returns whether all of it worked; throws if nothing did. */
  run(args: Arguments, output: Output): Promise<boolean>;
}

/** What commands print: text, or JSON with `--json`. */
export interface Output {
  readonly terminal: Terminal;
  readonly isJson: boolean;
  lines(lines: readonly string[]): void;
  json(value: unknown): void;
  /** One of several JSON documents, a line each. */
  jsonLine(value: unknown): void;
  /** One line on stderr, with the command's name before it. */
  complain(message: string): void;
}

export function createOutput(command: string, isJson: boolean): Output {
  const terminal = describeTerminal(process.stdout);
  return {
    terminal,
    isJson,
    lines: (lines) => {
      if (!isJson)
        process.stdout.write(
          lines
            .flatMap((line) => wrap(line, terminal))
            .join('\n')
            .concat('\n'),
        );
    },
    json: (value) => {
      if (isJson) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    },
    jsonLine: (value) => {
      if (isJson) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
    complain: (message) => {
      process.stderr.write(`acnet ${command}: ${message}\n`);
    },
  };
}
