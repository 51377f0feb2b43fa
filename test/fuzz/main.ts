/** The command: `npm run fuzz -- KIND --seconds N --seed S`. Ends with a line `N passed, N failed`. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fuzz, replay, type Summary } from './fuzz.js';
import { KINDS } from './kinds.js';

const HELP = `npm run fuzz -- KIND [options]

Makes inputs that are sound but for what they say, and checks that each ends with a result or a documented error, soon,
with little memory, and with everything else on the runtime unharmed. The same seed makes the same inputs. What breaks a
rule is kept, made small, in build/fuzz/kept.

  KIND            ${Object.keys(KINDS).join(', ')}
  --seconds N     how long (10)
  --seed S        which inputs (1)
  --count N       at most so many
  --from N        number of the first one (0)
  --replay FILE   checks this file alone
  --json          prints one object
`;

const MAX_DETAIL = 600;

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
      count: { type: 'string' },
      from: { type: 'string', default: '0' },
      replay: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [kind] = positionals;
  if (values.help || kind === undefined) {
    console.log(HELP);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  if (values.replay !== undefined) {
    const broken = await replay(kind, new Uint8Array(readFileSync(values.replay)));
    if (broken !== undefined) console.log(`${broken.rule}: ${broken.detail}`);
    finish(1, broken === undefined ? 0 : 1);
    return;
  }
  const summary = await fuzz(kind, {
    seconds: numberOf(values.seconds),
    seed: numberOf(values.seed),
    from: numberOf(values.from),
    ...(values.count !== undefined && { count: numberOf(values.count) }),
  });
  if (values.json) console.log(JSON.stringify(summary));
  else print(summary);
  finish(
    summary.inputs,
    summary.findings.reduce((sum, { inputs }) => sum + inputs, 0),
  );
}

function numberOf(text: string): number {
  const number = Number(text);
  if (text === '' || !Number.isFinite(number) || number < 0) throw new RangeError(`${text} is no number of at least 0`);
  return number;
}

function print({ kind, seed, inputs, seconds, counts, slowest, peak, findings }: Summary): void {
  const rate = Math.round(inputs / Math.max(seconds, 0.001));
  console.log(`${kind}, seed ${seed}: ${inputs} inputs in ${seconds.toFixed(1)} s, ${rate} a second`);
  for (const [name, count] of Object.entries(counts).sort(([, a], [, b]) => b - a)) console.log(`  ${name} ${count}`);
  const shown = slowest.map(({ index, milliseconds, outcome }) => `#${index} ${milliseconds.toFixed(0)} ms ${outcome}`);
  console.log(`slowest: ${shown.join(', ')}; most memory ${Math.round(peak / 2 ** 20)} MiB`);
  for (const { rule, detail, index, inputs: count, file, bytes } of findings) {
    console.log(`\n${rule} (#${index}, ${count} inputs): ${detail.slice(0, MAX_DETAIL)}`);
    if (file !== undefined) console.log(`  kept in ${file}, ${bytes} bytes`);
  }
}

function finish(inputs: number, broken: number): void {
  console.log(`${inputs - broken} passed, ${broken} failed`);
  process.exitCode = broken > 0 ? 1 : 0;
}

await main();
