// src/runtime/kernels.ts and src/plan/steps/records.ts, and for training src/train/abi.ts and src/train/records.ts:
// what TypeScript knows about assembly/, derived from its sources.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { header, text } from './text.mjs';

const require = createRequire(import.meta.url);

/** The exports of an entry of assembly/, as the compiler declares them. */
export function kernels(entry, name) {
  const declarations = declarationsOf(entry);
  return text(
    header(entry),
    '',
    `/** A WebAssembly.Global that never changes. */
    interface Constant { readonly value: number; }
    `,
    `/**
     * The exports of ${entry}. Pointers and counts are 32-bit numbers, sizes in bytes; what is a boolean there
     * comes back as 0 or 1.
     */`,
    `export interface ${name} {`,
    declarations,
    '}',
  );
}

/** Members of an interface. */
function declarationsOf(entry) {
  const folder = 'build/abi';
  mkdirSync(folder, { recursive: true });
  const asc = path.join(path.dirname(require.resolve('assemblyscript/package.json')), 'bin', 'asc.js');
  const config = ['--config', 'asconfig.json', '--target', 'baseline', '-O0', '--bindings', 'raw'];
  const outputs = ['--outFile', `${folder}/kernels.wasm`, '--textFile', `${folder}/kernels.wat`];
  const { status } = spawnSync(process.execPath, [asc, entry, ...config, ...outputs], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`asc cannot compile ${entry}`);
  const declared = readFileSync(`${folder}/kernels.d.ts`, 'utf8');
  const functions = [
    ...declared.matchAll(/\* assembly\/(\S+)\n[^/]*\*\/\s*export function (\w+)\((.*)\): (\w+);/g),
  ].map(
    ([, place, name, parameters, result]) =>
      `/** assembly/${path.dirname(place)}.ts */\n${name}(${parameters}): ${result === 'boolean' ? 'number' : result};`,
  );
  const constants = [...declared.matchAll(/export const (\w+): \{/g)].map(([, name]) => `readonly ${name}: Constant;`);
  if (functions.length === 0 || constants.length === 0) throw new Error('the declarations of asc look different');
  return [constants, functions];
}

/** Memory that kernels read and TypeScript writes. */
const PLAN_RECORDS = [
  { file: 'assembly/conv/descriptor.ts', name: 'ConvDescriptor', constant: 'CONV_DESCRIPTOR' },
  { file: 'assembly/nn/walk.ts', name: 'Walk', constant: 'WALK' },
  { file: 'assembly/nn/walk.ts', name: 'WalkAxis', constant: 'WALK_AXIS' },
];
/** Operations that kernels receive as numbers. */
const PLAN_ENUMS = [
  { file: 'assembly/nn/elementwise.ts', name: 'BinaryOp', constant: 'BINARY_OPS' },
  { file: 'assembly/nn/elementwise.ts', name: 'FurtherBinaryOp', constant: 'FURTHER_BINARY_OPS' },
  { file: 'assembly/nn/elementwise.ts', name: 'UnaryOp', constant: 'UNARY_OPS' },
  { file: 'assembly/nn/elementwise.ts', name: 'FunctionOp', constant: 'FUNCTION_OPS' },
  { file: 'assembly/nn/reduce.ts', name: 'ReduceOp', constant: 'REDUCE_OPS' },
];
const TRAIN_RECORDS = [
  { file: 'assembly/train/lineConv.ts', name: 'LineConvDescriptor', constant: 'LINE_CONV_DESCRIPTOR' },
  { file: 'assembly/train/weightGrad.ts', name: 'WeightGradDescriptor', constant: 'WEIGHT_GRAD_DESCRIPTOR' },
  { file: 'assembly/train/normPool.ts', name: 'PoolWindows', constant: 'POOL_WINDOWS' },
  { file: 'assembly/train/tapMoments.ts', name: 'TapWindows', constant: 'TAP_WINDOWS' },
];

export function planRecords() {
  return text(
    header('assembly/'),
    `/**
     * Memory that kernels read: the words of each class of assembly/, in order, and which of them are floats. And the
     * operations that they are told by number, in the order of the numbers.
     */`,
    '',
    'export const WORD = 0;',
    'export const FLOAT = 1;',
    '',
    PLAN_RECORDS.map(recordOf),
    PLAN_ENUMS.map(listOf),
  );
}

export function trainRecords() {
  return text(
    header('assembly/train/'),
    '/** Memory that the kernels for training read, see src/plan/steps/records.ts. */',
    `import { WORD } from '../plan/steps/records.js';`,
    '',
    TRAIN_RECORDS.map(recordOf),
  );
}

function recordOf({ file, name, constant }) {
  return [
    `/** class ${name} of ${file} */`,
    `export const ${constant} = {`,
    fieldsOf(file, name).map(({ field, type }) => `${field}: ${type === 'f32' ? 'FLOAT' : 'WORD'},`),
    '} as const;',
    '',
  ];
}

function listOf({ file, name, constant }) {
  return [
    `/** enum ${name} of ${file} */`,
    `export const ${constant} = [${membersOf(file, name)
      .map((member) => `'${member}'`)
      .join(', ')}] as const;`,
    '',
  ];
}

function bodyOf(file, kind, name) {
  const body = new RegExp(`^export ${kind} ${name} \\{\n(.*?)^\\}`, 'ms').exec(readFileSync(file, 'utf8'))?.[1];
  if (body === undefined) throw new Error(`${file} has no ${kind} ${name}`);
  return body;
}

function fieldsOf(file, name) {
  return [...bodyOf(file, 'class', name).matchAll(/^ {2}(\w+): (usize|i32|f32);$/gm)].map(([, field, type]) => ({
    field,
    type,
  }));
}

function membersOf(file, name) {
  return [...bodyOf(file, 'enum', name).matchAll(/^ {2}(\w+)(?: = \d+)?,$/gm)].map(([, member]) => member);
}
