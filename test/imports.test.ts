/**
 * Imports within `src` run one way: from a room (a folder, or a file beside the folders) to those before it in the
 * list. Nor is there a circle of files, types included.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import ts from 'typescript';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOMS = [
  ...[
    'errors.ts',
    'shown.ts',
    'sizes.ts',
    'options.ts',
    'bytes',
    'runtime',
    'residence.ts',
    'tensor.ts',
    'residentTensor.ts',
  ],
  ...['nodes', 'merge', 'plan/steps', 'plan/conv', 'ops', 'graph', 'passes', 'plan/memory', 'plan'],
  ...[
    'layers',
    'models',
    'formats/pth',
    'formats',
    'formats/onnx/file',
    'formats/onnx/operators',
    'formats/onnx',
    'session',
    'index.ts',
  ],
  ...['images', 'train', 'train/ops', 'train/gradients', 'train/passes', 'train/model', 'train.ts', 'cli'],
];

const files = (readdirSync('src', { recursive: true }) as string[])
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts') && file !== 'wasmFile.ts');
const imports = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(`src/${file}`, 'utf8'));
  return importedFiles
    .filter(({ fileName }) => /^\..*\.js$/.test(fileName))
    .map(({ fileName }) => posix.join(posix.dirname(file), fileName).replace(/\.js$/, '.ts'));
}

function roomOf(file: string): string {
  return file.includes('/') ? posix.dirname(file) : file;
}

test('every file is in a room of the list, and every import leads to a file', () => {
  assert.equal([...new Set(files.map(roomOf))].sort(), [...ROOMS].sort());
  assert.equal(
    [...imports.values()].flat().filter((target) => !imports.has(target)),
    [],
  );
});

test('a room imports from rooms before it only', () => {
  const place = (file: string): number => ROOMS.indexOf(roomOf(file));
  const upward = files.flatMap((file) =>
    imports.get(file)!.flatMap((target) => (place(target) > place(file) ? [`${file} -> ${target}`] : [])),
  );
  assert.equal(upward, []);
});

test('no file imports itself by way of others', () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.not(path.includes(file), [...path, file].join(' -> '));
    if (done.has(file)) return;
    for (const target of imports.get(file)!) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

test.run();
