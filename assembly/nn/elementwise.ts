/**
 * Elementwise kernels. Unary ones run over whole buffers of `count` floats. Each operation is a class, so that it gets
 * loops of its own.
 */
import { clampLow, storeFirst } from '../simd';
import { expOfNegative } from './exp';
import { nextRun, runLength, runPtr, runStride, startWalk } from './walk';

/** What `binary` computes of two values. */
export enum BinaryOp {
  add,
  sub,
  mul,
  div,
}

/** What `unary` computes of one value. */
export enum UnaryOp {
  relu,
  leakyRelu,
  clip,
  sigmoid,
  hardSigmoid,
  hardSwish,
}

class Add {}
class Sub {}
class Mul {}
class Div {}

class Relu {}
class LeakyRelu {}
class Clip {}
class Sigmoid {}
class HardSigmoid {}
class HardSwish {}

/** out = max(low, a op b) over a walk of a, b and out; op: a BinaryOp. Out may be a or b. */
export function binary(op: i32, tablePtr: usize, aPtr: usize, bPtr: usize, outPtr: usize, low: f32): void {
  if (op === BinaryOp.add) binaryWalk<Add>(tablePtr, aPtr, bPtr, outPtr, low);
  else if (op === BinaryOp.sub) binaryWalk<Sub>(tablePtr, aPtr, bPtr, outPtr, low);
  else if (op === BinaryOp.mul) binaryWalk<Mul>(tablePtr, aPtr, bPtr, outPtr, low);
  else binaryWalk<Div>(tablePtr, aPtr, bPtr, outPtr, low);
}

/** The same for values `first` to `last` (excluded), contiguous in all three. */
export function binaryRange(op: i32, aPtr: usize, bPtr: usize, outPtr: usize, low: f32, first: i32, last: i32): void {
  const at = (<usize>first) << 2;
  const count = last - first;
  if (op === BinaryOp.add) binaryRun<Add>(aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else if (op === BinaryOp.sub) binaryRun<Sub>(aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else if (op === BinaryOp.mul) binaryRun<Mul>(aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else binaryRun<Div>(aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
}

function binaryWalk<Op>(tablePtr: usize, aPtr: usize, bPtr: usize, outPtr: usize, low: f32): void {
  const length = runLength(tablePtr);
  const aStride = runStride(tablePtr, 0);
  const bStride = runStride(tablePtr, 1);
  const outStride = runStride(tablePtr, 2);
  startWalk(tablePtr, aPtr, bPtr, outPtr);
  do {
    binaryRun<Op>(
      runPtr(tablePtr, 0),
      runPtr(tablePtr, 1),
      runPtr(tablePtr, 2),
      length,
      aStride,
      bStride,
      outStride,
      low,
    );
  } while (nextRun(tablePtr));
}

function binaryRun<Op>(
  aPtr: usize,
  bPtr: usize,
  outPtr: usize,
  length: i32,
  aStride: i32,
  bStride: i32,
  outStride: i32,
  low: f32,
): void {
  const lows = f32x4.splat(low);
  let left = length;
  if (outStride === 4 && aStride === 4 && bStride === 4) {
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, clampLow(combine<Op>(v128.load(aPtr), v128.load(bPtr)), lows));
      aPtr += 16;
      bPtr += 16;
      outPtr += 16;
    }
  } else if (outStride === 4 && aStride === 4 && bStride === 0) {
    const b = v128.load32_splat(bPtr);
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, clampLow(combine<Op>(v128.load(aPtr), b), lows));
      aPtr += 16;
      outPtr += 16;
    }
  } else if (outStride === 4 && aStride === 0 && bStride === 4) {
    const a = v128.load32_splat(aPtr);
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, clampLow(combine<Op>(a, v128.load(bPtr)), lows));
      bPtr += 16;
      outPtr += 16;
    }
  }
  for (; left > 0; --left) {
    const value = clampLow(combine<Op>(v128.load32_splat(aPtr), v128.load32_splat(bPtr)), lows);
    v128.store32_lane(outPtr, value, 0);
    aPtr += aStride;
    bPtr += bStride;
    outPtr += outStride;
  }
}

function combine<Op>(a: v128, b: v128): v128 {
  if (idof<Op>() === idof<Add>()) return f32x4.add(a, b);
  if (idof<Op>() === idof<Sub>()) return f32x4.sub(a, b);
  if (idof<Op>() === idof<Mul>()) return f32x4.mul(a, b);
  return f32x4.div(a, b);
}

/** out = f(x) for values `first` to `last` (excluded); op: a UnaryOp, see src/graph/graph.ts. Out may be x. */
export function unary(op: i32, inPtr: usize, outPtr: usize, alpha: f32, beta: f32, first: i32, last: i32): void {
  inPtr += (<usize>first) << 2;
  outPtr += (<usize>first) << 2;
  const count = last - first;
  if (op === UnaryOp.relu) unaryOver<Relu>(inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.leakyRelu) unaryOver<LeakyRelu>(inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.clip) unaryOver<Clip>(inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.sigmoid) unaryOver<Sigmoid>(inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.hardSigmoid) unaryOver<HardSigmoid>(inPtr, outPtr, count, alpha, beta);
  else unaryOver<HardSwish>(inPtr, outPtr, count, alpha, beta);
}

function unaryOver<Op>(inPtr: usize, outPtr: usize, count: i32, alpha: f32, beta: f32): void {
  const alphas = f32x4.splat(alpha);
  const betas = f32x4.splat(beta);
  const bytes = (<usize>(count & ~3)) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(outPtr + at, apply<Op>(v128.load(inPtr + at), alphas, betas));
  }
  // Reading beyond the last float is safe, writing is not.
  const last = apply<Op>(v128.load(inPtr + bytes), alphas, betas);
  storeFirst(last, count & 3, outPtr + bytes);
}

function apply<Op>(x: v128, alpha: v128, beta: v128): v128 {
  if (idof<Op>() === idof<Relu>()) return clampLow(x, f32x4.splat(0));
  if (idof<Op>() === idof<LeakyRelu>()) {
    return v128.bitselect(f32x4.mul(x, alpha), x, f32x4.lt(x, f32x4.splat(0)));
  }
  if (idof<Op>() === idof<Clip>()) return clampHigh(clampLow(x, alpha), beta);
  if (idof<Op>() === idof<Sigmoid>()) return sigmoid(x);
  if (idof<Op>() === idof<HardSigmoid>()) return clampToUnit(f32x4.add(f32x4.mul(x, alpha), beta));
  // hardSwish: alpha and beta are 1/6 and 1/2.
  return f32x4.mul(x, clampToUnit(f32x4.add(f32x4.mul(x, alpha), beta)));
}

/** min(x, high) that keeps NaN in x. */
function clampHigh(x: v128, high: v128): v128 {
  return f32x4.pmin(x, high);
}

function clampToUnit(x: v128): v128 {
  return clampHigh(clampLow(x, f32x4.splat(0)), f32x4.splat(1));
}

/**
 * 1 / (1 + exp(-x)); negative x as e / (1 + e), e = exp(x), so that nothing overflows and small results are accurate.
 */
function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1);
  const power = expOfNegative(f32x4.neg(f32x4.abs(x)));
  const numerator = v128.bitselect(power, one, f32x4.lt(x, f32x4.splat(0)));
  return f32x4.div(numerator, f32x4.add(one, power));
}

/**
 * Whether every value is a number of magnitude below `limit`; NaN and infinity are not. `count`: a multiple of 4.
 * Without their sign bit floats order like integers, NaN last, and the maximum of integers is cheaper.
 */
export function allBelow(ptr: usize, count: i32, limit: f32): bool {
  const limits = i32x4.splat(reinterpret<i32>(limit));
  const magnitude = i32x4.splat(0x7fffffff);
  const endPtr = ptr + ((<usize>count) << 2);
  let largest = i32x4.splat(0);
  // Four at a time: the loop itself costs more than one vector's work.
  for (; ptr + 64 <= endPtr; ptr += 64) {
    const first = i32x4.max_s(v128.and(v128.load(ptr), magnitude), v128.and(v128.load(ptr, 16), magnitude));
    const second = i32x4.max_s(v128.and(v128.load(ptr, 32), magnitude), v128.and(v128.load(ptr, 48), magnitude));
    largest = i32x4.max_s(largest, i32x4.max_s(first, second));
  }
  for (; ptr < endPtr; ptr += 16) largest = i32x4.max_s(largest, v128.and(v128.load(ptr), magnitude));
  return i32x4.all_true(i32x4.lt_s(largest, limits));
}

/** Writes 1 to `foundPtr` where not all values `first` to `last` (excluded; multiples of 4) are below `limit`. */
export function findLarge(ptr: usize, limit: f32, foundPtr: usize, first: i32, last: i32): void {
  if (!allBelow(ptr + ((<usize>first) << 2), last - first, limit)) store<i32>(foundPtr, 1);
}
