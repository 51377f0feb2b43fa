/** The pictures of the command line: axes, lines, matrices, and the average kernel magnitudes that one of them shows. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelMagnitudes, partsOf } from '../src/cli/kernelMagnitudes.js';
import { lineChart } from '../src/cli/lineChart.js';
import { matrixChart } from '../src/cli/matrixChart.js';
import { largestShare, type Part, pruned } from '../src/cli/pruning.js';
import { scaleOver, wholeScale } from '../src/cli/scale.js';
import { decodePng } from '../src/images/png.js';
import { readSafetensors, type StateDict, Tensor, writeSafetensors } from '../src/index.js';
import { seededRandom } from './support.js';

const CLI = path.resolve('dist/cli.js');
const MODEL = 'test/fixtures/networks/lenet5bn-acb-fashion-mnist.safetensors';

/** Element names in order; every element ends, and nothing but ASCII's XML is between. */
function elementsOf(svg: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  for (const [, end, name, attributes, single] of svg.matchAll(/<(\/?)([a-z]+)((?: [\w-]+="[^"<>]*")*)(\/?)>/g)) {
    if (end === '/') assert.is(open.pop(), name, `in ${svg}`);
    else {
      names.push(name!);
      assert.not.match(attributes!, /NaN|undefined|Infinity/);
      if (single !== '/') open.push(name!);
    }
  }
  assert.equal(open, []);
  assert.not.match(svg.replace(/<[^>]*>/g, ''), /[<>]/);
  return names;
}

const count = (svg: string, name: string): number => elementsOf(svg).filter((one) => one === name).length;
const textsOf = (svg: string): string[] =>
  [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, content]) => content!);

test('scales begin and end at round values around all that there is', () => {
  for (const [values, low, high, labels] of [
    [[0.13, 0.87], 0, 1, ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']],
    [[91.2, 92.7], 91, 93, ['91.0', '91.5', '92.0', '92.5', '93.0']],
    [[0, 12345], 0, 15000, ['0', '5000', '10000', '15000']],
    [[Number.NaN, 3, Number.POSITIVE_INFINITY], 2.6, 3.4, undefined],
    [[], 0, 1, undefined],
  ] as const) {
    const scale = scaleOver(values, 5);
    assert.ok(Math.abs(scale.low - low) < 0.11 && scale.low <= low + 1e-9, `${values}: ${scale.low}`);
    assert.ok(scale.high >= high - 0.11, `${values}: ${scale.high}`);
    assert.is(scale.at(scale.low), 0);
    assert.is(scale.at(scale.high), 1);
    if (labels !== undefined) assert.equal(scale.ticks.map(scale.label), labels);
  }
  assert.equal(wholeScale(1, 15, 8).ticks, [2, 4, 6, 8, 10, 12, 14]);
  assert.is(wholeScale(1, 1, 8).at(1), 0.5);
});

test('a line chart has a line and a legend for each, and leaves out what is no number', () => {
  const svg = lineChart('A & <B>', { name: 'epoch', values: [1, 2, 3, 4] }, [
    {
      title: 'loss',
      lines: [
        { name: 'training', values: [3, 2, Number.NaN, 1] },
        { name: 'validation', values: [3, 3, 3, 3] },
      ],
    },
    {
      title: 'accuracy',
      unit: '%',
      lines: [{ name: 'validation', values: [50] }],
      mark: { at: 1, name: 'best epoch' },
    },
  ]);
  assert.is(count(svg, 'polyline'), 3);
  assert.is(count(svg, 'circle'), 3 + 4 + 1);
  for (const text of [
    'A &amp; &lt;B&gt;',
    'loss',
    'accuracy (%)',
    'training',
    'validation',
    'epoch',
    'best epoch (1)',
  ]) {
    assert.ok(textsOf(svg).includes(text), text);
  }
  const points = /points="([^"]*)"/.exec(svg)![1]!.split(' ');
  assert.is(points.length, 3);
  const tops = points.map((point) => Number(point.split(',')[1]));
  assert.ok(tops[0]! < tops[1]! && tops[1]! < tops[2]!, 'a falling loss is drawn falling');
  assert.is(
    count(
      lineChart('', { name: 'epoch', values: [1] }, [{ title: 'loss', lines: [{ name: 'training', values: [] }] }]),
      'circle',
    ),
    0,
  );
});

test('a matrix has a cell for each value, with its text where there is room', () => {
  const shares = [
    [1, 0.25],
    [0, 2],
  ];
  const matrix = {
    shares,
    texts: [
      ['9', '3'],
      ['', '4'],
    ],
    rowNames: ['a', 'b'],
    columnNames: ['c', 'd & e'],
  };
  const svg = matrixChart({ title: 'T', rows: 'class', columns: 'predicted', matrices: [matrix] });
  assert.is(count(svg, 'rect'), 1 + 4 + 1);
  assert.equal(textsOf(svg).sort(), ['3', '4', '9', 'T', 'a', 'b', 'c', 'class', 'd &amp; e', 'predicted'].sort());
  assert.match(svg, /fill="rgb\(255 255 255\)"/);
  assert.match(svg, /fill="rgb\(8 48 107\)"/);
  const many = Array.from({ length: 100 }, () => new Array<number>(100).fill(0.5));
  const large = { shares: many, texts: many.map((row) => row.map(String)), rowNames: [], columnNames: [] };
  assert.equal(textsOf(matrixChart({ title: 'T', matrices: [large] })), ['T']);
});

test('magnitudes are sums over a layer, scaled by its largest, averaged over layers', () => {
  const random = seededRandom(4);
  const tensor = (...dims: number[]): Tensor =>
    new Tensor(
      'float32',
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
      dims,
    );
  const state: StateDict = {
    'a.weight': tensor(2, 3, 3, 3),
    'b.weight': tensor(4, 1, 3, 3),
    'c.weight': tensor(2, 2, 5, 5),
  };
  for (const dims of [[2, 2, 1, 1], [2, 2, 3, 1], [8, 9], [3]]) state[`other${dims.join('')}.weight`] = tensor(...dims);
  const groups = kernelMagnitudes(state, 1e-5);
  assert.equal(
    groups.map(({ size, layers, blocks }) => [size, layers.map(({ name }) => name), blocks]),
    [
      [3, ['a', 'b'], 0],
      [5, ['c'], 0],
    ],
  );
  const expected = ['a', 'b'].map((name) => {
    const { data, dims } = state[`${name}.weight`]!;
    const sums = new Array<number>(9).fill(0);
    for (let o = 0; o < dims[0]!; o++)
      for (let i = 0; i < dims[1]!; i++)
        for (let at = 0; at < 9; at++) sums[at]! += Math.abs(data[(o * dims[1]! + i) * 9 + at]!);
    return sums.map((sum) => sum / Math.max(...sums));
  });
  groups[0]!.merged.flat().forEach((value, at) => {
    assert.ok(Math.abs(value - (expected[0]![at]! + expected[1]![at]!) / 2) < 1e-12);
  });
  assert.equal(groups[0]!.square, groups[0]!.merged);
});

test('merging moves magnitude to the skeleton of a network that was trained with blocks', () => {
  const [group] = kernelMagnitudes(readSafetensors(readFileSync(MODEL)).tensors, 1e-5);
  assert.equal([group!.size, group!.blocks], [5, 2]);
  const [square, merged] = [partsOf(group!.square)!, partsOf(group!.merged)!];
  assert.ok(merged.skeleton / merged.corners > 2 * (square.skeleton / square.corners));
  assert.equal(
    partsOf([
      [1, 2, 1],
      [4, 3, 4],
      [1, 2, 1],
    ]),
    { skeleton: 3, corners: 1 },
  );
  assert.is(
    partsOf([
      [1, 2],
      [3, 4],
    ]),
    undefined,
  );
});

test('pruning sets so many weights of a part to zero, and more of them with the same ones', () => {
  const ones = (...dims: number[]): Tensor =>
    new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1), dims);
  const state = {
    'a.weight': ones(4, 5, 3, 3),
    'b.weight': ones(2, 2, 5, 5),
    'c.weight': ones(2, 2, 2, 2),
    d: ones(9),
  };
  assert.is(largestShare(state, 'corners'), 4 / 9);
  assert.is(largestShare(state, 'skeleton'), 9 / 25);
  assert.is(largestShare(state, 'anywhere'), 1);
  const zeros = (part: Part, share: number): Set<number> => {
    const { 'a.weight': a, 'c.weight': c } = pruned(state, part, share, 7);
    assert.is(c, state['c.weight']);
    return new Set([...a!.data.keys()].filter((i) => a!.data[i] === 0));
  };
  for (const [part, places] of [
    ['corners', [0, 2, 6, 8]],
    ['skeleton', [1, 3, 4, 5, 7]],
    ['anywhere', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  ] as const) {
    const [few, more] = [zeros(part, 0.1), zeros(part, 0.3)];
    assert.equal([few.size, more.size], [18, 54]);
    for (const at of few) assert.ok(more.has(at));
    assert.equal([...new Set([...more].map((at) => at % 9))].sort(), places);
  }
  assert.is(state['a.weight'].data.indexOf(0), -1);
});

test('acnet skeleton tells what corners and skeleton are worth', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-charts-'));
  try {
    const acnet = (...args: string[]) =>
      spawnSync(process.execPath, [CLI, 'skeleton', MODEL, ...args], { encoding: 'utf8' });
    const picture = path.join(folder, 'a.svg');
    const images = ['--data', 'examples/fashion-mnist', '--arch', 'lenet5-bn'];
    const { stdout, stderr, status } = acnet(...images, '--mean', '0.5', '--std', '0.5', '-o', picture, '--json');
    assert.equal([status, stderr], [0, '']);
    const { pruning, pictures } = JSON.parse(stdout);
    assert.equal(
      pictures.map((file: string) => path.basename(file)),
      ['a.svg', 'a-pruning.svg'],
    );
    assert.is(count(readFileSync(pictures[1], 'utf8'), 'polyline'), 3);
    assert.equal(
      pruning.map(({ share }: { share: number }) => share),
      [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35],
    );
    const [whole, , tenth] = pruning;
    // As test/accuracy.test.ts has it, of these 1,000 images.
    assert.ok(whole.corners > 0.92 && whole.corners === whole.skeleton && whole.corners === whole.anywhere);
    assert.ok(tenth.corners > 0.9 && tenth.skeleton < 0.7 && tenth.anywhere < tenth.corners);
    for (const [args, code, message] of [
      [['--arch', 'lenet5-bn'], 2, '--arch takes --data, the images to test'],
      [['--data', 'examples/fashion-mnist'], 2, '--arch is missing'],
      [['--data', 'examples/fashion-mnist', '--arch', 'vgg16'], 1, 'is no vgg16 for these images'],
      [[...images, '--mean', '0.5'], 2, '--mean and --std go together'],
    ] as const) {
      const refused = acnet(...args);
      assert.is(refused.status, code, refused.stderr);
      assert.ok(refused.stderr.includes(message), refused.stderr);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** That the middle of each cell is the lighter the smaller its value, white for 0, and the rest is white. */
function expectCells(png: Uint8Array, matrices: readonly (readonly (readonly number[])[])[]): void {
  const { data, width, height } = decodePng(png);
  const side = matrices[0]!.length;
  assert.equal([width, height], [24 + 2 * (side * 48 + 24), side * 48 + 48]);
  const colourAt = (x: number, y: number) => [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
  const mixed = (share: number) => [8, 48, 107].map((dark) => Math.round(255 + (dark - 255) * share));
  matrices.forEach((matrix, i) => {
    const left = 24 + i * (side * 48 + 24);
    matrix.forEach((row, y) => {
      row.forEach((share, x) => {
        assert.equal(colourAt(left + x * 48 + 24, 24 + y * 48 + 24), mixed(share), `matrix ${i}, ${y}, ${x}`);
      });
    });
    assert.equal(colourAt(left - 1, 24), [255, 255, 255]);
    assert.equal(colourAt(left, 23), [255, 255, 255]);
    assert.equal(colourAt(left, 24), mixed(matrix[0]![0]!));
  });
}

test('acnet skeleton prints, draws, and refuses what has no kernels', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'acnet-charts-'));
  try {
    const acnet = (...args: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'skeleton', ...args], {
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1' },
      });
      return { status, stdout, stderr };
    };
    const picture = path.join(folder, 'a.svg');
    const text = acnet(MODEL, '-o', picture);
    assert.equal([text.status, text.stderr], [0, '']);
    assert.match(text.stdout, /5 x 5, 2 layers, 2 with branches/);
    assert.match(text.stdout, /merged +0\.72 +0\.33 +2\.21/);
    assert.is(count(readFileSync(picture, 'utf8'), 'rect'), 1 + 2 * 26);
    const cells = path.join(folder, 'a.png');
    const json = JSON.parse(acnet(MODEL, '-o', cells, '--json').stdout);
    expectCells(readFileSync(cells), [json.kernels[0].square.matrix, json.kernels[0].merged.matrix]);
    assert.equal([json.kernels[0].kernel, json.kernels[0].layers.length], [[5, 5], 2]);
    assert.ok(Math.abs(json.kernels[0].merged.skeleton - 0.72) < 0.01);

    const ones = (...dims: number[]): Tensor =>
      new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1), dims);
    const two = path.join(folder, 'two.safetensors');
    writeFileSync(two, writeSafetensors({ 'a.weight': ones(1, 1, 3, 3), 'b.weight': ones(1, 1, 2, 2) }));
    assert.is(acnet(two, '-o', path.join(folder, 'b.svg')).status, 0);
    assert.equal(readdirSync(folder).sort(), ['a.png', 'a.svg', 'b-2x2.svg', 'b-3x3.svg', 'two.safetensors']);
    writeFileSync(two, writeSafetensors({ 'a.weight': ones(3, 3) }));
    for (const [args, status, message] of [
      [[two], 1, 'has no square kernel larger than 1 x 1'],
      [['a.onnx'], 2, 'a.onnx: is an ONNX file, expected a checkpoint'],
      [[MODEL, '-o', 'a.gif'], 2, 'a.gif: expected a name that ends in .svg or .png'],
      [[], 2, 'FILE is missing'],
    ] as const) {
      const refused = acnet(...args);
      assert.is(refused.status, status, refused.stderr);
      assert.ok(refused.stderr.includes(message), refused.stderr);
      assert.is(refused.stdout, '');
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
