/**
 * Files that ask for much and hold little: dims that are only declared, names that occur ten thousand times in a list,
 * windows larger than the image, constants that grow, tens of thousands of nodes, deep nesting, images of absurd sizes.
 * Each must end with a result or a documented error within a second and 256 MB.
 */
import { deflateSync } from 'node:zlib';
import { fileOf, floats, integers, type ModelSpec, type NodeSpec } from '../onnxModels.js';
import { ascii, type Bytes, op, pth } from '../pthWriter.js';
import { joined } from './mutate.js';
import { pngOf } from './png.js';

export type LargeKind = 'session' | 'pth' | 'safetensors' | 'png' | 'jpeg';

export interface LargeFile {
  readonly name: string;
  readonly make: () => Uint8Array;
}

/** Nearly as many nodes as a graph may have. */
const MANY = 9000;
const NAMES = 10_000;
const AXES = 60_000;
const OUTPUTS = 50_000;
const HUGE = [2 ** 31, 2 ** 53 - 1];

type Attributes = NonNullable<NodeSpec['attributes']>;

function node(op: string, inputs: readonly string[], output: string, attributes: Attributes = {}): NodeSpec {
  return { op, inputs, outputs: [output], attributes };
}

/** This many nodes, each of which reads the output of the one before. */
function chain(
  count: number,
  make: (from: string, to: string, i: number) => NodeSpec | readonly NodeSpec[],
): NodeSpec[] {
  return Array.from({ length: count }, (_, i) =>
    make(i === 0 ? 'x' : `v${i}`, i === count - 1 ? 'y' : `v${i + 1}`, i),
  ).flat();
}

const ones = (count: number): number[] => new Array<number>(count).fill(1);
const names = (name: string, count = NAMES): string[] => new Array<string>(count).fill(name);

function* onnxFiles(): Generator<readonly [name: string, spec: () => ModelSpec]> {
  // Dims that are only declared.
  for (const size of HUGE) {
    for (const dims of [
      [1, size, 1, 1],
      [1, 2, size, 1],
      [size, 2, 2, 2],
      [8, size, 9, 1000],
    ]) {
      const inputs = { x: dims };
      const initializers = [floats('c', [1], [0.5]), floats('s', [], [0.5])];
      const one = (name: string, nodes: NodeSpec[]) =>
        [`declared [${dims}]: ${name}`, () => ({ nodes, inputs, initializers })] as const;
      yield one('Relu', [node('Relu', ['x'], 'y')]);
      yield one('Sum of scalars', [node('Sum', ['x', 'c', 's', 'x'], 'y')]);
      yield one('Mul, Add', [node('Mul', ['x', 'c'], 'a'), node('Add', ['a', 's'], 'b'), node('Relu', ['b'], 'y')]);
      yield one('AveragePool', [node('AveragePool', ['x'], 'y', { kernel_shape: [1, 1] })]);
      yield one('GlobalAveragePool', [node('GlobalAveragePool', ['x'], 'y')]);
      yield one('Softmax', [node('Softmax', ['x'], 'y', { axis: 1 })]);
      yield one('Concat', [node('Concat', ['x', 'x'], 'y', { axis: 1 })]);
      yield one('Flatten', [node('Flatten', ['x'], 'y')]);
      yield one('Transpose', [node('Transpose', ['x'], 'y', { perm: [3, 2, 1, 0] })]);
    }
  }
  for (const width of [2 ** 15, 2 ** 20, 2 ** 24]) {
    const inputs = { x: [width, 1], z: [1, width] };
    yield [`declared [${width}, 1] + [1, ${width}]`, () => ({ nodes: [node('Add', ['x', 'z'], 'y')], inputs })];
    yield [`declared [${width}, 1] * [1, ${width}]`, () => ({ nodes: [node('MatMul', ['x', 'z'], 'y')], inputs })];
  }
  // Names that occur very often in one list.
  const small = { x: [1, 3, 4, 4] };
  const vector = integers('c', ones(1024));
  yield [
    'Concat of integers',
    () => ({
      nodes: [node('Concat', names('c'), 's', { axis: 0 }), node('Reshape', ['x', 's'], 'y')],
      initializers: [vector],
      inputs: small,
    }),
  ];
  yield [
    'Concats of integers',
    () => ({
      nodes: [
        ...chain(MANY, (_, to, i) => node('Concat', names('one', i % 50), i === MANY - 1 ? 's' : to, { axis: 0 })),
        node('Reshape', ['x', 's'], 'y'),
      ],
      initializers: [integers('one', [1])],
      inputs: small,
    }),
  ];
  yield [
    'Gathers of long vectors',
    () => ({
      nodes: [
        ...chain(5000, (_, to, i) => node('Gather', ['c', 'c'], i === 4999 ? 's' : to)),
        node('Reshape', ['x', 's'], 'y'),
      ],
      initializers: [vector],
      inputs: small,
    }),
  ];
  for (const axis of [0, 1, 2, 3]) {
    yield [`Concat along ${axis}`, () => ({ nodes: [node('Concat', names('x'), 'y', { axis })], inputs: small })];
  }
  yield [
    'Concat of a constant',
    () => ({
      nodes: [node('Concat', ['x', ...names('c')], 'y', { axis: 0 })],
      initializers: [floats('c', [1, 3, 4, 4], ones(48))],
      inputs: small,
    }),
  ];
  yield ['Sum', () => ({ nodes: [node('Sum', names('x'), 'y')], inputs: small })];
  yield [
    'Sum of convolutions',
    () => ({
      nodes: [
        node('Conv', ['x', 'w'], 'a'),
        node('Conv', ['x', 'w'], 'b'),
        node('Sum', [...names('a'), ...names('b')], 'y'),
      ],
      initializers: [floats('w', [3, 3, 1, 1], ones(9))],
      inputs: small,
    }),
  ];
  yield [
    'Sum of a constant',
    () => ({
      nodes: [node('Sum', ['x', ...names('c')], 'y')],
      initializers: [floats('c', [100, 100], ones(10_000))],
      inputs: { x: [1] },
    }),
  ];
  yield [
    'doubling',
    () => ({ nodes: chain(60, (from, to) => node('Concat', [from, from], to, { axis: 1 })), inputs: small }),
  ];
  // Very many axes.
  const axes = Array.from({ length: AXES }, (_, i) => i);
  yield ['axes of an input', () => ({ nodes: [node('Relu', ['x'], 'y')], inputs: { x: ones(AXES) } })];
  for (const [name, attribute] of [
    ['Unsqueeze', 'axes'],
    ['Squeeze', 'axes'],
    ['ReduceMean', 'axes'],
    ['Transpose', 'perm'],
    ['Pad', 'pads'],
    ['MaxPool', 'kernel_shape'],
  ] as const) {
    const one = (from: string) => node(name, [from], 'y', { [attribute]: name === 'Pad' ? ones(AXES) : axes });
    yield [`axes of ${name}`, () => ({ opset: 10, nodes: [one('x')], inputs: small })];
    yield [`axes of ${name}, nothing known`, () => ({ opset: 10, nodes: [one('x')], inputs: { x: undefined } })];
    yield [
      `axes of ${name} of a constant`,
      () => ({ opset: 10, nodes: [one('c')], initializers: [floats('c', [1], [1])] }),
    ];
  }
  for (const [name, list] of [
    ['Reshape', ones(AXES)],
    ['ConstantOfShape', ones(AXES)],
    ['Unsqueeze', axes],
    ['Squeeze', axes],
    ['Pad', ones(AXES)],
    ['ReduceMean', axes],
  ] as const) {
    const inputs = name === 'ConstantOfShape' ? ['i'] : ['x', 'i'];
    yield [
      `axes of ${name}, an input`,
      () => ({ opset: 18, nodes: [node(name, inputs, 'y')], initializers: [integers('i', list)], inputs: small }),
    ];
  }
  const thousand = integers(
    'i',
    Array.from({ length: 1024 }, (_, i) => i),
  );
  for (const name of ['Unsqueeze', 'Squeeze', 'ReduceMean'] as const) {
    yield [
      `a thousand axes of many ${name}`,
      () => ({
        opset: 18,
        nodes: chain(MANY, (from, to) => node(name, [from, 'i'], to)),
        initializers: [thousand],
        inputs: { x: undefined },
      }),
    ];
  }
  yield [
    'axes of Slice',
    () => ({
      opset: 9,
      nodes: [node('Slice', ['x'], 'y', { axes, starts: axes, ends: axes })],
      inputs: { x: undefined },
    }),
  ];
  yield [
    'axes of a constant',
    () => ({ nodes: [node('Add', ['x', 'c'], 'y')], initializers: [floats('c', ones(AXES), [1])], inputs: small }),
  ];
  yield [
    'Sums of a thousand names',
    () => ({ nodes: chain(39, (from, to) => node('Sum', names(from, 1000), to)), inputs: small }),
  ];
  yield [
    'Concats of a thousand names',
    () => ({
      nodes: chain(39, (_, to, i) => node('Concat', names('x', 1000), to, { axis: i % 4 })).concat(
        node('Relu', ['v1'], 'z'),
      ),
      inputs: small,
      outputs: ['y', ...Array.from({ length: 38 }, (_, i) => `v${i + 1}`)],
    }),
  ];
  // Very many nodes, and outputs.
  yield [
    'more nodes than a graph may have',
    () => ({ nodes: chain(20_000, (from, to) => node('Relu', [from], to)), inputs: small }),
  ];
  const thousandOutputs = Array.from({ length: 1000 }, (_, i) => `y${i}`);
  yield [
    'a thousand outputs',
    () => ({
      nodes: thousandOutputs.map((name) => node('Relu', ['x'], name)),
      outputs: thousandOutputs,
      inputs: { x: [1, 1] },
    }),
  ];
  const listed = Array.from({ length: OUTPUTS }, (_, i) => `y${i}`);
  yield [
    'outputs',
    () => ({ nodes: listed.map((name) => node('Relu', ['x'], name)), outputs: listed, inputs: { x: [1, 1] } }),
  ];
  yield [
    'outputs of copies',
    () => ({ nodes: listed.map((name) => node('Identity', ['x'], name)), outputs: listed, inputs: { x: [1, 1] } }),
  ];
  yield [
    'outputs that are constants',
    () => ({
      nodes: [],
      initializers: listed.map((name) => floats(name, [1], [1])),
      outputs: listed,
      inputs: { x: [1, 1] },
    }),
  ];
  yield [
    'outputs of one name',
    () => ({ nodes: [node('Relu', ['x'], 'y')], outputs: names('y', OUTPUTS), inputs: small }),
  ];
  yield ['outputs that nothing defines', () => ({ nodes: [node('Relu', ['x'], 'y')], outputs: listed, inputs: small })];
  yield [
    'unsupported nodes',
    () => ({ nodes: listed.map((name) => node(`Op${'p'.repeat(50)}`, ['x'], name)), outputs: listed, inputs: small }),
  ];
  yield [
    'inputs',
    () => ({
      nodes: [node('Sum', listed.slice(0, MANY), 'y')],
      inputs: Object.fromEntries(listed.slice(0, MANY).map((name) => [name, [1]])),
    }),
  ];
  // Windows larger than the image.
  for (const op of ['MaxPool', 'AveragePool'] as const) {
    for (const size of [20_000, 2 ** 20, 2 ** 30, 2 ** 31 - 1]) {
      for (const steps of [1, 100, size]) {
        const pads = [size - 1, size - 1, Math.min(size - 1, 200), Math.min(size - 1, 200)];
        const attributes = { kernel_shape: [size, size], pads, strides: [steps, steps], count_include_pad: 1 };
        yield [
          `${op} of ${size}, stride ${steps}`,
          () => ({ nodes: [node(op, ['x'], 'y', attributes)], inputs: small }),
        ];
      }
    }
    const even = { kernel_shape: [20_000, 20_000], pads: [19_999, 19_999, 19_999, 19_999], strides: [100, 100] };
    yield [`${op} of 20,000 over padding`, () => ({ nodes: [node(op, ['x'], 'y', even)], inputs: small })];
    yield [
      `${op} of 1,000 on as many`,
      () => ({
        nodes: [node(op, ['x'], 'y', { kernel_shape: [1000, 1000], pads: [999, 999, 999, 999] })],
        inputs: { x: [1, 1, 1000, 1000] },
      }),
    ];
    yield [
      `${op} in ceil mode`,
      () => ({ nodes: [node(op, ['x'], 'y', { ...even, ceil_mode: 1, strides: [1, 1] })], inputs: small }),
    ];
  }
  yield [
    'MaxPool, dilated',
    () => ({
      nodes: [
        node('MaxPool', ['x'], 'y', { kernel_shape: [2 ** 20, 1], dilations: [2 ** 10, 1], pads: [2 ** 30, 0, 0, 0] }),
      ],
      inputs: small,
    }),
  ];
  const wide = floats('w', [1, 3, 1, 1000], ones(3000));
  for (const pads of [999, 2 ** 20, 2 ** 30, 2 ** 31 - 1]) {
    const attributes = { pads: [0, pads, 0, pads] };
    yield [
      `Conv padded by ${pads}`,
      () => ({ nodes: [node('Conv', ['x', 'w'], 'y', attributes)], initializers: [wide], inputs: small }),
    ];
    const dilated = { pads: [0, pads, 0, pads], dilations: [1, Math.max(1, Math.floor((2 * pads) / 999))] };
    yield [
      `Conv dilated and padded by ${pads}`,
      () => ({ nodes: [node('Conv', ['x', 'w'], 'y', dilated)], initializers: [wide], inputs: small }),
    ];
  }
  for (const [size, pad] of [
    [64, 1500],
    [512, 1000],
    [512, 511],
  ] as const) {
    yield [
      `Conv of ${size} padded by ${pad}`,
      () => ({
        nodes: [node('Conv', ['x', 'w'], 'y', { pads: [pad, pad, pad, pad] })],
        initializers: [floats('w', [1, 1, size, size], ones(size * size))],
        inputs: { x: [1, 1, 4, 4] },
      }),
    ];
  }
  for (const mode of ['constant', 'edge', 'reflect', 'wrap']) {
    for (const pad of [2 ** 20, 2 ** 30, 2 ** 31 - 1]) {
      yield [
        `Pad by ${pad}, ${mode}`,
        () => ({
          opset: 19,
          nodes: [node('Pad', ['x', 'p'], 'z', { mode }), node('Slice', ['z', 's', 'e', 'a'], 'y')],
          initializers: [
            integers('p', [0, pad, 0, 0, 0, pad, 0, 0]),
            integers('s', [0]),
            integers('e', [4]),
            integers('a', [1]),
          ],
          inputs: small,
        }),
      ];
    }
  }
  // Constants that grow.
  for (const dims of [[2 ** 15, 2 ** 15], [2 ** 31], [2 ** 40], [2 ** 26, 0, 2 ** 26], ones(32).map(() => 4)]) {
    yield [
      `ConstantOfShape [${dims}]`,
      () => ({
        nodes: [node('ConstantOfShape', ['i'], 'c'), node('Add', ['x', 'c'], 'y')],
        initializers: [integers('i', dims)],
        inputs: { x: [1] },
      }),
    ];
  }
  yield [
    'many ConstantOfShape',
    () => ({
      nodes: [
        ...chain(MANY, (_, to, i) => node('ConstantOfShape', ['i'], i === MANY - 1 ? 'c' : to)),
        node('Add', ['x', 'c'], 'y'),
      ],
      initializers: [integers('i', [1000, 100])],
      inputs: { x: [1] },
    }),
  ];
  yield [
    'constants that broadcast',
    () => ({
      nodes: [node('Mul', ['a', 'b'], 'c'), node('Add', ['x', 'c'], 'y')],
      initializers: [floats('a', [MANY, 1], ones(MANY)), floats('b', [1, MANY], ones(MANY))],
      inputs: { x: [1] },
    }),
  ];
  for (const name of ['Transpose', 'Mul', 'Cast', 'Identity']) {
    yield [
      `many ${name} of a constant`,
      () => ({
        nodes: [
          ...chain(MANY, (_, to, i) => {
            const from = i === 0 ? 'c' : `v${i}`;
            return node(
              name,
              name === 'Mul' ? [from, 'c'] : [from],
              i === MANY - 1 ? 'z' : to,
              name === 'Cast' ? { to: 11 } : {},
            );
          }),
          node('Add', ['x', 'z'], 'y'),
        ],
        initializers: [floats('c', [100, 100], ones(10_000))],
        inputs: { x: [1] },
      }),
    ];
  }
  // Very many nodes.
  const scalar = [floats('s', [], [0.999]), floats('b', [3, 1, 1], [0.1, 0.2, 0.3])];
  const square = [
    floats(
      'w',
      [3, 3, 1, 1],
      ones(9).map((one, i) => (i % 4 === 0 ? one : 0)),
    ),
  ];
  const vectors = ['g', 'b', 'm', 'v'].map((name) => floats(name, [3], [1, 1, 1]));
  const simple: [string, (from: string, to: string, i: number) => NodeSpec | NodeSpec[]][] = [
    ['Relu', (from, to) => node('Relu', [from], to)],
    ['Identity', (from, to) => node('Identity', [from], to)],
    ['Dropout', (from, to) => node('Dropout', [from], to)],
    ['Sigmoid', (from, to) => node('Sigmoid', [from], to)],
    ['Softmax', (from, to) => node('Softmax', [from], to, { axis: 1 })],
    ['Add of a scalar', (from, to) => node('Add', [from, 's'], to)],
    ['Mul of a vector', (from, to) => node('Mul', [from, 'b'], to)],
    ['Add to itself', (from, to) => node('Add', [from, from], to)],
    ['Add to the input', (from, to) => node('Add', [from, 'x'], to)],
    ['Sub', (from, to) => node('Sub', [from, 'x'], to)],
    ['Transpose', (from, to) => node('Transpose', [from], to, { perm: [0, 1, 3, 2] })],
    ['Slice', (from, to) => node('Slice', [from, 'st', 'en'], to)],
    ['Pad and crop', (from, to, i) => node('Pad', [from, i % 2 === 0 ? 'pads' : 'crops'], to)],
    ['ReduceMean', (from, to) => node('ReduceMean', [from], to, { axes: [3] })],
    ['Reshape', (from, to) => node('Reshape', [from, 'same'], to)],
    ['GlobalAveragePool', (from, to) => node('GlobalAveragePool', [from], to)],
    ['MaxPool', (from, to) => node('MaxPool', [from], to, { kernel_shape: [1, 1] })],
    ['AveragePool', (from, to) => node('AveragePool', [from], to, { kernel_shape: [1, 1] })],
  ];
  const lists = [integers('st', [0]), integers('en', [2 ** 31]), integers('same', [1, 3, 4, 4])];
  const pads = [integers('pads', [0, 0, 1, 1, 0, 0, 1, 1]), integers('crops', [0, 0, -1, -1, 0, 0, -1, -1])];
  for (const [name, make] of simple) {
    const initializers = [...scalar, ...lists, ...pads];
    yield [`many ${name}`, () => ({ nodes: chain(MANY, make), initializers, inputs: small })];
  }
  yield [
    'many Conv',
    () => ({
      nodes: chain(MANY / 4, (from, to) => node('Conv', [from, 'w'], to)),
      initializers: square,
      inputs: small,
    }),
  ];
  yield [
    'many BatchNormalization',
    () => ({
      nodes: chain(MANY, (from, to) => node('BatchNormalization', [from, 'g', 'b', 'm', 'v'], to)),
      initializers: vectors,
      inputs: small,
    }),
  ];
  yield [
    'many BatchNormalization behind a Conv',
    () => ({
      nodes: chain(MANY, (from, to, i) =>
        i === 0 ? node('Conv', [from, 'w'], to) : node('BatchNormalization', [from, 'g', 'b', 'm', 'v'], to),
      ),
      initializers: [...square, ...vectors],
      inputs: small,
    }),
  ];
  const channels = 4096;
  yield [
    'many factors for many channels',
    () => ({
      nodes: chain(MANY, (from, to, i) => (i === 0 ? node('Conv', [from, 'w'], to) : node('Mul', [from, 's'], to))),
      initializers: [floats('w', [channels, 3, 1, 1], ones(3 * channels)), ...scalar],
      inputs: small,
    }),
  ];
  yield [
    'many factors between activations for many channels',
    () => ({
      nodes: chain(MANY, (from, to, i) =>
        i === 0
          ? node('Conv', [from, 'w'], to)
          : i % 2 === 0
            ? node('Mul', [from, 's'], to)
            : node('Sigmoid', [from], to),
      ),
      initializers: [floats('w', [channels, 3, 1, 1], ones(3 * channels)), ...scalar],
      inputs: { x: [1, 3, 1, 1] },
    }),
  ];
  yield [
    'branches of one sum',
    () => {
      const terms = Array.from({ length: MANY }, (_, i) => `t${i}`);
      return {
        nodes: [...terms.map((name) => node('Conv', ['x', 'w'], name)), node('Sum', terms, 'y')],
        initializers: square,
        inputs: small,
      };
    },
  ];
  yield [
    'branches of one sum that do not merge',
    () => {
      const terms = Array.from({ length: MANY }, (_, i) => `t${i}`);
      return {
        nodes: [
          ...terms.map((name, i) =>
            node(i % 2 === 0 ? 'Sigmoid' : 'Conv', i % 2 === 0 ? ['x'] : [`t${i - 1}`, 'w'], name),
          ),
          node('Sum', terms, 'y'),
        ],
        initializers: square,
        inputs: small,
      };
    },
  ];
  yield [
    'values that all live to the end',
    () => {
      const terms = Array.from({ length: MANY }, (_, i) => `t${i}`);
      return {
        nodes: [
          ...terms.map((name, i) => node('Sigmoid', [i === 0 ? 'x' : `t${i - 1}`], name)),
          node('Concat', terms, 'y', { axis: 0 }),
        ],
        inputs: small,
      };
    },
  ];
  yield [
    'a ladder',
    () => ({ nodes: chain(MANY, (from, to, i) => node('Sub', [from, i < 2 ? 'x' : `v${i - 1}`], to)), inputs: small }),
  ];
  yield [
    'a growing Concat',
    () => ({
      nodes: chain(1000, (from, to) => node('Concat', [from, 'x'], to, { axis: 1 })),
      inputs: { x: [1, 4, 1, 1] },
    }),
  ];
  yield [
    'a growing Concat with convolutions',
    () => ({
      nodes: chain(500, (from, to, i) => [
        node('Conv', ['x', 'w'], `c${i}`),
        node('Concat', [from, `c${i}`], to, { axis: 1 }),
      ]),
      initializers: [floats('w', [4, 4, 1, 1], ones(16))],
      inputs: { x: [1, 4, 1, 1] },
    }),
  ];
  yield [
    'crops before a convolution',
    () => ({
      nodes: chain(MANY, (from, to, i) =>
        i === MANY - 1 ? node('Conv', [from, 'w'], to) : node('Pad', [from, i % 2 === 0 ? 'pads' : 'crops'], to),
      ),
      initializers: [...square, ...pads],
      inputs: small,
    }),
  ];
  yield [
    'convolutions of crops',
    () => {
      const terms = Array.from({ length: 2000 }, (_, i) => `c${i}`);
      return {
        nodes: [
          ...chain(64, (from, to, i) => node('Pad', [from, i % 2 === 0 ? 'pads' : 'crops'], i === 63 ? 'last' : to)),
          ...terms.map((name) => node('Conv', ['last', 'w'], name)),
          node('Sum', terms, 'y'),
        ],
        initializers: [...square, ...pads],
        inputs: small,
      };
    },
  ];
  yield [
    'sizes by Shape and Gather',
    () => ({
      nodes: chain(MANY / 5, (from, to, i) => [
        node('Shape', [from], `s${i}`),
        node('Gather', [`s${i}`, 'zero'], `g${i}`),
        node('Unsqueeze', [`g${i}`, 'zeros'], `u${i}`),
        node('Concat', [`u${i}`, 'rest'], `d${i}`, { axis: 0 }),
        node('Reshape', [from, `d${i}`], to),
      ]),
      initializers: [integers('zero', [0], []), integers('zeros', [0]), integers('rest', [3, 4, 4])],
      inputs: { x: ['N1', 3, 4, 4] },
    }),
  ];
  yield [
    'dead nodes',
    () => ({
      nodes: [
        ...chain(MANY, (from, to) => node('Relu', [from], `${to}d`)).map((one, i) =>
          i === 0 ? one : { ...one, inputs: [`${one.inputs[0]}d`] },
        ),
        node('Relu', ['x'], 'y'),
      ],
      inputs: small,
    }),
  ];
  yield [
    'initializers',
    () => ({
      nodes: [node('Relu', ['x'], 'y')],
      initializers: Array.from({ length: 50_000 }, (_, i) => floats(`i${i}`, [1], [1])),
      inputs: small,
    }),
  ];
  // Long names.
  const long = 'n'.repeat(1e6);
  yield ['a long name', () => ({ nodes: [{ ...node('Conv', ['x', 'x'], 'y'), name: long }], inputs: small })];
  yield ['a long operator', () => ({ nodes: [node(long, ['x'], 'y')], inputs: small })];
  yield ['a long value', () => ({ nodes: [node('Relu', [long], 'y')], inputs: small })];
  yield [
    'a long path that does not fit',
    () => ({ nodes: [{ ...node('MatMul', ['x', 'x'], 'y'), name: long }], inputs: { x: [1, 3, 4, 5] } }),
  ];
  yield ['a long output', () => ({ nodes: [node('Relu', ['x'], long)], outputs: [long], inputs: small })];
  yield ['a long string', () => ({ nodes: [node('Pad', ['x'], 'y', { mode: long })], inputs: small })];
}

function* pthFiles(): Generator<readonly [name: string, make: () => Uint8Array]> {
  const storage = op.storage('FloatStorage', '0', 4);
  const file = (...items: [string, Bytes][]) => pth(op.pickle(op.orderedDict(...items)), { 0: new Uint8Array(16) });
  const repeat = (part: Bytes, count: number): Uint8Array => {
    const bytes = new Uint8Array(part.length * count);
    for (let i = 0; i < count; i++) bytes.set(part, i * part.length);
    return bytes;
  };
  const program = (...parts: Bytes[]) =>
    pth(joined(Uint8Array.of(0x80, 2), ...parts.map((part) => Uint8Array.from(part)), Uint8Array.of(0x2e)));
  for (const dims of [[2 ** 24], [2 ** 31], [2 ** 20, 2 ** 20], new Array<number>(32).fill(4)]) {
    const strides = dims.map(() => 0);
    yield [`strides of 0, [${dims}]`, () => file(['a', op.tensor(storage, dims, strides)])];
  }
  yield [
    'many tensors of one storage',
    () => file(...Array.from({ length: 9000 }, (_, i): [string, Bytes] => [`t${i}`, op.tensor(storage, [4])])),
  ];
  yield ['sizes without end', () => file(['a', op.tensor(storage, ones(AXES), ones(AXES))])];
  yield ['nested lists', () => program(repeat([0x5d], 2e5), repeat([0x61], 2e5 - 1))];
  yield ['nested tuples', () => program([0x4e], repeat([0x85], 4e5))];
  yield ['nested dicts', () => program(repeat([0x7d, 0x4b, 1], 1e5), [0x4e], repeat([0x73], 1e5))];
  yield ['marks', () => program(repeat([0x28], 5e5))];
  yield ['a list of itself', () => program([0x5d, 0x71, 0], repeat([0x68, 0, 0x61], 1.5e5))];
  yield ['doubling tuples', () => program([0x4e], repeat([0x71, 0, 0x68, 0, 0x86], 1.5e5))];
  yield ['empty dicts', () => program(repeat([0x7d], 5e5))];
  yield ['sets of sets', () => program(repeat([0x8f], 5e5))];
  yield [
    'ordered dicts',
    () => program(op.global('collections', 'OrderedDict'), [0x71, 0, 0x30], repeat([0x68, 0, 0x29, 0x52], 1e5)),
  ];
  yield ['long strings', () => program(...Array.from({ length: 100 }, () => op.text('s'.repeat(1e5))))];
  yield ['long keys', () => file(['k'.repeat(1e6), op.tensor(storage, [2 ** 40])])];
  yield [
    'a key for each',
    () => file(...Array.from({ length: 10 }, (_, i): [string, Bytes] => [`${i}${'k'.repeat(1e5)}`, op.none])),
  ];
  yield [
    'entries',
    () =>
      pth(
        op.pickle(op.dict()),
        Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`${i}`, new Uint8Array()])),
      ),
  ];
  yield [
    'long entries',
    () =>
      pth(
        op.pickle(op.dict()),
        Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}${'n'.repeat(60_000)}`, new Uint8Array()])),
      ),
  ];
  yield ['a long global', () => program(op.global('m'.repeat(200), 'n'.repeat(200)), [0x29, 0x52])];
  yield [
    'bytes that are no text',
    () => program(...Array.from({ length: 1000 }, () => [0x58, 4, 0, 0, 0, 255, 255, 255, 255])),
  ];
}

function* safetensorsFiles(): Generator<readonly [name: string, make: () => Uint8Array]> {
  const file = (header: string, bytes = 0): Uint8Array => {
    const text = ascii(header);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(0, text.length, true);
    return joined(length, Uint8Array.from(text), new Uint8Array(bytes));
  };
  const entry = (shape: string, end = 0) => `{"dtype":"F32","shape":${shape},"data_offsets":[0,${end}]}`;
  yield ['axes', () => file(`{"a":${entry(`[${ones(AXES)}]`, 4)}}`, 4)];
  yield ['many tensors', () => file(`{${Array.from({ length: 30_000 }, (_, i) => `"${i}":${entry('[0]')}`)}}`)];
  yield ['too many tensors', () => file(`{${Array.from({ length: 100_000 }, (_, i) => `"${i}":${entry('[0]')}`)}}`)];
  yield ['brackets', () => file(`{"a":${'['.repeat(1e6)}`)];
  yield ['strings', () => file(`{"a":"${'\\u0000'.repeat(1e6)}"}`)];
  yield ['a long name', () => file(`{"${'n'.repeat(1e6)}":1}`)];
  yield ['a long dtype', () => file(`{"a":{"dtype":"${'n'.repeat(1e6)}","shape":[],"data_offsets":[0,4]}}`, 4)];
  yield ['long offsets', () => file(`{"a":{"dtype":"F32","shape":[],"data_offsets":[${ones(1e5)}]}}`, 4)];
  yield ['metadata', () => file(`{"__metadata__":{${Array.from({ length: 100_000 }, (_, i) => `"${i}":"v"`)}}}`)];
  yield ['metadata that is none', () => file(`{"__metadata__":{"a":${'9'.repeat(1e6)}}}`)];
  yield ['a vast empty tensor', () => file(`{"a":${entry('[0,9007199254740991]')}}`)];
  yield ['a vast tensor', () => file(`{"a":${entry('[4294967296,4294967296]', 4)}}`, 4)];
}

function* pngFiles(): Generator<readonly [name: string, make: () => Uint8Array]> {
  const zeros = (bytes: number) => deflateSync(new Uint8Array(bytes), { level: 9 });
  for (const [colour, depth, bytes] of [
    [0, 1, 1 / 8],
    [2, 8, 3],
    [2, 16, 6],
    [6, 16, 8],
  ] as const) {
    for (const interlaced of [false, true]) {
      const side = 4096;
      const rows = interlaced ? 15 * (side / 8) : side;
      const name = `4096 x 4096, colour ${colour} of ${depth} bits${interlaced ? ', interlaced' : ''}`;
      yield [name, () => pngOf(side, side, depth, colour, interlaced, zeros(side * side * bytes + rows))];
    }
  }
  yield ['a bomb', () => pngOf(1, 1, 8, 2, false, zeros(2e8))];
  yield ['one row', () => pngOf(2 ** 24, 1, 8, 0, false, zeros(2 ** 24 + 1))];
  yield ['one column', () => pngOf(1, 2 ** 24, 8, 0, false, zeros(2 ** 25))];
  yield ['one column, interlaced', () => pngOf(1, 2 ** 24, 8, 0, true, zeros(2 ** 25))];
  yield ['declared only', () => pngOf(2 ** 31 - 1, 2 ** 31 - 1, 8, 2, false, zeros(10))];
}

function* jpegFiles(): Generator<readonly [name: string, make: () => Uint8Array]> {
  const segment = (marker: number, data: Bytes) =>
    Uint8Array.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255, ...data]);
  const size = (side: number) => [side >> 8, side & 255];
  const image = (side: number, sampling: number, progressive: boolean, scans: number, bytes: number): Uint8Array => {
    const frame = [8, ...size(side), ...size(side), 3, 1, sampling, 0, 2, 0x11, 0, 3, 0x11, 0];
    // One code of one bit, for the value 0.
    const huffman = (table: number) => segment(0xc4, [table, 1, ...new Array<number>(15).fill(0), 0]);
    const scan = segment(0xda, [3, 1, 0, 2, 0, 3, 0, 0, progressive ? 0 : 63, 0]);
    const more = segment(0xda, [1, 1, 0, 1, 63, 0]);
    return joined(
      Uint8Array.of(0xff, 0xd8),
      segment(0xdb, [0, ...ones(64)]),
      segment(progressive ? 0xc2 : 0xc0, frame),
      huffman(0),
      huffman(0x10),
      scan,
      new Uint8Array(bytes),
      ...Array.from({ length: scans }, () => joined(more, new Uint8Array(bytes))),
      Uint8Array.of(0xff, 0xd9),
    );
  };
  for (const sampling of [0x11, 0x22]) {
    yield [`4096 x 4096, sampled ${sampling}`, () => image(4096, sampling, false, 0, 250_000)];
    yield [`4096 x 4096, progressive, sampled ${sampling}`, () => image(4096, sampling, true, 0, 130_000)];
    yield [`4096 x 4096, 99 scans, sampled ${sampling}`, () => image(4096, sampling, true, 98, 2000)];
    yield [`2048 x 2048, 99 scans, sampled ${sampling}`, () => image(2048, sampling, true, 98, 4000)];
  }
  yield ['65535 x 65535', () => image(65535, 0x11, true, 0, 1000)];
}

export function* largeFiles(kind: LargeKind): Generator<LargeFile> {
  if (kind === 'session') {
    for (const [name, spec] of onnxFiles()) yield { name, make: () => fileOf(spec()) };
    return;
  }
  const files = { pth: pthFiles, safetensors: safetensorsFiles, png: pngFiles, jpeg: jpegFiles };
  for (const [name, make] of files[kind]()) yield { name, make };
}
