/**
 * The GEMM micro-kernels against a float64 sum: every m and n up to the tile, depths around the loop's edges, strided
 * output, bias and addend, in float32 and float64; and that a result does not depend on the tile.
 */
import { createRuntime, type Runtime } from 'acnet-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Heap } from '../src/runtime/heap.js';
import type { Kernels } from '../src/runtime/kernels.js';
import { seededRandom, supportedBuilds } from './support.js';

/** What the package keeps to itself. */
interface Inside {
  readonly kernels: Kernels;
  readonly heap: Heap;
}

interface Case {
  readonly m: number;
  readonly n: number;
  readonly depth: number;
  readonly bias: boolean;
  readonly addend: 'none' | 'rows' | 'c';
  readonly low: number;
}

const DEPTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 33, 64, 127];
const C_STRIDE = 12;

for (const build of await supportedBuilds()) {
  for (const type of ['Float', 'Double'] as const) {
    test(`${build}: gemmTile${type} for every m, n and depth`, async () => {
      const runtime = await createRuntime({ simd: build });
      const inside = runtime as Runtime & Inside;
      const random = seededRandom(7);
      const rows = Number(inside.kernels.TILE_ROWS.value);
      const columns = type === 'Float' ? 8 : 4;
      for (let m = 1; m <= rows; m++) {
        for (let n = 1; n <= columns; n++) {
          for (const depth of DEPTHS) {
            const bias = random() < 0.5;
            const addend = (['none', 'rows', 'c'] as const)[Math.floor(random() * 3)]!;
            checkTile(inside, type, { m, n, depth, bias, addend, low: random() < 0.5 ? 0 : -Infinity }, random);
          }
        }
      }
      runtime.dispose();
    });
  }

  test(`${build}: a row of a tile has the same bits whatever tile it is in`, async () => {
    const runtime = await createRuntime({ simd: build });
    const { kernels, heap } = runtime as Runtime & Inside;
    const rows = Number(kernels.TILE_ROWS.value);
    const depth = 100;
    const random = seededRandom(11);
    const a = Array.from({ length: rows }, () => Float32Array.from({ length: depth }, () => random() - 0.5));
    const b = Float32Array.from({ length: depth * 8 }, () => random() - 0.5);
    const zeros = heap.allocate(32);
    heap.floats(zeros.ptr, 8).fill(0);
    const results = new Set<string>();
    for (let m = 1; m <= rows; m++) {
      const packed = Float32Array.from({ length: depth * m }, (_, i) => a[i % m]![Math.floor(i / m)]!);
      const [aPtr, bPtr, cPtr] = [packed, b, new Float32Array(m * 8)].map((values) => {
        const { ptr } = heap.allocate(values.byteLength);
        heap.floats(ptr, values.length).set(values);
        return ptr;
      }) as [number, number, number];
      kernels.gemmTileFloat(
        m,
        8,
        8,
        aPtr,
        bPtr,
        depth,
        cPtr,
        32,
        zeros.ptr,
        zeros.ptr,
        0,
        -Infinity,
        heap.allocate(6 * 32).ptr,
      );
      results.add(heap.floats(cPtr, 8).join());
    }
    assert.is(results.size, 1);
    runtime.dispose();
  });
}

function checkTile({ kernels, heap }: Inside, type: 'Float' | 'Double', tile: Case, random: () => number): void {
  const { m, n, depth } = tile;
  const width = type === 'Double' || n <= 4 ? 4 : 8;
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => random() * 2 - 1);
  const [a, b, bias, addend, c] = [depth * m, depth * width, width, m * C_STRIDE, m * C_STRIDE].map(values) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const view = type === 'Double' ? heap.doubles.bind(heap) : heap.floats.bind(heap);
  const allocations = [a, b, bias].map((from) => {
    const allocation = heap.allocate(from.length * 8);
    view(allocation.ptr, from.length).set(from);
    return allocation;
  });
  for (const from of [addend, c]) {
    const allocation = heap.allocate((from.length + 8) * 4);
    heap.floats(allocation.ptr, from.length).set(from);
    allocations.push(allocation);
  }
  const [aPtr, bPtr, biasPtr, addendPtr, cPtr] = allocations.map(({ ptr }) => ptr) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const { ptr: zerosPtr } = heap.allocate(64);
  heap.floats(zerosPtr, 8).fill(0);
  const fromPtr = { none: zerosPtr, rows: addendPtr, c: cPtr }[tile.addend];
  const stride = C_STRIDE * 4;
  const kernel = type === 'Double' ? kernels.gemmTileDouble : kernels.gemmTileFloat;
  const padTo = (n + 3) & ~3;
  kernel(
    m,
    n,
    padTo,
    aPtr,
    bPtr,
    depth,
    cPtr,
    stride,
    tile.bias ? biasPtr : zerosPtr,
    fromPtr,
    tile.addend === 'none' ? 0 : stride,
    tile.low,
    heap.allocate(6 * 32).ptr,
  );
  const got = heap.floats(cPtr, c.length);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < C_STRIDE; j++) {
      const at = i * C_STRIDE + j;
      const where = `${JSON.stringify(tile)} at [${i}, ${j}]`;
      if (j >= padTo) {
        assert.is(got[at], c[at], `${where} is not the tile's and must stay`);
        continue;
      }
      if (j >= n) {
        assert.is(got[at], 0, `${where} is padding and must be zero`);
        continue;
      }
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += a[k * m + i]! * b[k * width + j]!;
      if (tile.bias) sum += bias[j]!;
      if (tile.addend !== 'none') sum += (tile.addend === 'rows' ? addend : c)[at]!;
      const expected = Math.max(sum, tile.low);
      const tolerance = type === 'Double' ? 6e-8 * Math.max(1, Math.abs(sum)) : 1e-7 * (depth + 2);
      assert.ok(Math.abs(got[at]! - expected) <= tolerance, `${where}: got ${got[at]}, expected ${expected}`);
    }
  }
  for (const allocation of allocations) allocation.free();
}

test.run();
