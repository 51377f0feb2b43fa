/**
 * The same script on onnxruntime-web and, with the import swapped, here: equal names, types, dims and results. Needs the
 * packages of bench/peers.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { casesOf, NETWORKS } from './networkFixtures.js';
import { relativeError } from './support.js';

const PEER = 'onnxruntime-web';
/** For two results, each within 1e-5 of the reference. */
const TOLERANCE = 2e-5;

interface Seen {
  readonly data: number[];
  readonly name: string;
}

/** What the script prints with this package as its import, run in the folder that has the peers. */
function run(script: string, module: string, args: readonly string[]): Seen[] {
  const text = script.replace(`'${PEER}'`, `'${module}'`);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', text, ...args], {
    cwd: 'bench/peers',
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  assert.is(status, 0, `${module}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

if (!existsSync(`bench/peers/node_modules/${PEER}`)) {
  test(PEER, () => {
    console.log(`\n# not run: ${PEER} is to be had by npm --prefix bench/peers ci --ignore-scripts`);
  });
} else {
  const script = readFileSync('test/sameScript.mjs', 'utf8');
  for (const network of NETWORKS) {
    test(`${network.name}: the same names, dims and results`, () => {
      const folder = mkdtempSync(`${tmpdir()}/script-`);
      try {
        const { input } = casesOf(network);
        writeFileSync(`${folder}/input`, input.data);
        const model = `${process.cwd()}/test/fixtures/networks/${network.name}.onnx`;
        const args = [model, `${folder}/input`, ...input.dims.map(String)];
        const theirs = run(script, PEER, args);
        const ours = run(script, new URL('dist/index.js', `file://${process.cwd()}/`).href, args);
        assert.is(theirs.length, 9);
        assert.is(ours.length, theirs.length);
        ours.forEach(({ data, ...rest }, i) => {
          const { data: expected, ...others } = theirs[i]!;
          assert.equal(rest, others);
          const error = relativeError(data, expected);
          assert.ok(error <= TOLERANCE, `${rest.name}: relative error ${error}`);
        });
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
}

test.run();
