// npm run bench:tiles: which register tile suits an engine. Compiles a micro-kernel per candidate from the same recipe
// as assembly/gemm/micro.ts, runs them interleaved with panels in L1, and prints each one's share of the v128 peak that
// the register-only loop of assembly/nn/peak.ts reaches in the same rounds. The table in assembly/tuning.ts comes from
// here. Runs in Node (--experimental-wasm-relaxed-simd for the relaxed half), Deno and Bun:
//   deno run -A bench/tiles.mjs      bun bench/tiles.mjs
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const TILES = [
  [4, 8],
  [5, 8],
  [6, 8],
  [3, 12],
  [4, 12],
  [2, 16],
  [8, 8],
];
const DEPTH = 256;
const ROUNDS = 25;
const CHAINS = 12;

/** AssemblyScript of one micro-kernel: one step of k before the loop, one in each turn. */
function kernelSource(rows, columns, fused) {
  const vectors = columns / 4;
  const each = (body) =>
    Array.from({ length: rows }, (_, r) => Array.from({ length: vectors }, (_, v) => body(r, v)).join('')).join('');
  const step = (first) =>
    Array.from({ length: vectors }, (_, v) => `${first ? 'let ' : ''}b${v} = v128.load(b, ${v * 16});`).join('') +
    (first ? 'let x: v128;' : '') +
    Array.from({ length: rows }, (_, r) => {
      const products = Array.from({ length: vectors }, (_, v) => {
        if (first) return `acc${r}x${v} = f32x4.mul(x, b${v});`;
        return fused
          ? `acc${r}x${v} = f32x4.relaxed_madd(x, b${v}, acc${r}x${v});`
          : `acc${r}x${v} = f32x4.add(acc${r}x${v}, f32x4.mul(x, b${v}));`;
      });
      return `x = v128.load32_splat(a, ${r * DEPTH * 4});${products.join('')}`;
    }).join('') +
    `a += 4; b += ${columns * 4};`;
  return `export function tile${rows}x${columns}(a: usize, b: usize, c: usize, depth: i32): void {
    ${each((r, v) => `let acc${r}x${v}: v128;`)}
    const end = a + 4 * <usize>depth;
    ${step(true)}
    while (a < end) { ${step(false)} }
    ${each((r, v) => `v128.store(c, acc${r}x${v}, ${(r * vectors + v) * 16});`)}
  }`;
}

function peakSource(fused) {
  const chain = (i) =>
    fused ? `s${i} = f32x4.relaxed_madd(s${i}, y, z);` : `s${i} = f32x4.add(f32x4.mul(s${i}, y), z);`;
  const all = (body) => Array.from({ length: CHAINS }, (_, i) => body(i)).join('');
  return `export function peak(steps: i32, factor: f32, addend: f32): f32 {
    const y = f32x4.splat(factor); const z = f32x4.splat(addend);
    ${all((i) => `let s${i} = f32x4.splat(<f32>${i});`)}
    for (let i = 0; i < steps; ++i) { ${all(chain)} }
    ${all((i) => (i > 0 ? `s0 = f32x4.add(s0, s${i});` : ''))}
    return f32x4.extract_lane(s0, 0);
  }`;
}

async function compile(build) {
  const file = fileURLToPath(new URL(`../build/tiles-${build}.wasm`, import.meta.url));
  if (!existsSync(file)) {
    const { default: asc } = await import('assemblyscript/asc');
    const fused = build === 'relaxed';
    const source = TILES.map(([rows, columns]) => kernelSource(rows, columns, fused)).join('\n') + peakSource(fused);
    const features = fused ? 'simd,relaxed-simd' : 'simd';
    const { error, stderr } = await asc.main(
      [
        'tiles.ts',
        '-o',
        'tiles.wasm',
        '-O3',
        '--noAssert',
        '--runtime',
        'stub',
        '--use',
        'abort=',
        '--enable',
        features,
        '--initialMemory',
        '8',
      ],
      {
        readFile: (name) => (name === 'tiles.ts' ? source : null),
        writeFile: (_, bytes) => {
          mkdirSync(new URL('../build/', import.meta.url), { recursive: true });
          writeFileSync(file, bytes);
        },
        listFiles: () => [],
      },
    );
    if (error) throw new Error(`${error.message}\n${stderr}`);
  }
  return readFileSync(file);
}

/** Shares of the peak, medians of interleaved rounds. */
export function measure(module) {
  const { exports } = new WebAssembly.Instance(module);
  new Float32Array(exports.memory.buffer).fill(0.5);
  const names = TILES.map(([rows, columns]) => `tile${rows}x${columns}`);
  const rates = Object.fromEntries(['peak', ...names].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    rates.peak.push(rate(() => exports.peak(20000, 0.999, 0.001), 20000 * CHAINS * 8));
    for (const [rows, columns] of TILES) {
      const name = `tile${rows}x${columns}`;
      const calls = () => {
        for (let i = 0; i < 400; i++) exports[name](1024, 65536, 131072, DEPTH);
      };
      rates[name].push(rate(calls, 400 * 2 * rows * columns * DEPTH));
    }
  }
  const share = (name) => median(rates[name].map((value, i) => value / rates.peak[i]).slice(5));
  const shares = Object.fromEntries(
    TILES.map(([rows, columns]) => [`${rows}x${columns}`, share(`tile${rows}x${columns}`)]),
  );
  return { peakGflops: median(rates.peak.slice(5)), shares };
}

function rate(work, flops) {
  const start = performance.now();
  let count = 0;
  do {
    work();
    count++;
  } while (performance.now() - start < 4);
  return (flops * count) / (performance.now() - start) / 1e6;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

if (typeof process !== 'undefined' && process.argv?.[1] === fileURLToPath(import.meta.url)) {
  for (const build of ['baseline', 'relaxed']) {
    const bytes = await compile(build);
    if (!WebAssembly.validate(bytes)) {
      console.log(`${build}: not supported by this engine`);
      continue;
    }
    const { peakGflops, shares } = measure(new WebAssembly.Module(bytes));
    const cells = Object.entries(shares).map(([tile, value]) => `${tile} ${(value * 100).toFixed(0)} %`);
    console.log(`${build}: peak ${peakGflops.toFixed(1)} GF/s; ${cells.join(', ')}`);
  }
}
