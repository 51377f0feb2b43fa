/**
 * Elementwise kernels. Unary ones run over whole buffers of `count` floats. Each operation is a class, so that it gets
 * loops of its own.
 */
import { clampLow, storeFirst } from '../simd';
import { expOfNegative } from './exp';
import { erf, gelu, geluTanh, mish, selu, softplus } from './functions';
import { nextRun, runLength, runPtr, runStride, startWalk } from './walk';

/** What `binary` computes of two values. */
export enum BinaryOp {
  add,
  sub,
  mul,
  div,
}

/** What else it computes, in numbers that go on. */
export enum FurtherBinaryOp {
  pow = 4,
  min,
  max,
  equal,
  less,
  lessOrEqual,
  /** b < 0 ? b a : b, as ONNX's PRelu with its operands the other way round. */
  slope,
  /** a is not 0 ? b : 0 */
  keepIf,
  /** a is 0 ? b : 0 */
  keepUnless,
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

/** What else it computes, in numbers that go on. */
export enum FunctionOp {
  sqrt = 6,
  reciprocal,
  abs,
  neg,
  floor,
  ceil,
  round,
  sign,
  softsign,
  thresholdedRelu,
  exp,
  log,
  tanh,
  erf,
  gelu,
  geluTanh,
  mish,
  softplus,
  selu,
}

class Add {}
class Sub {}
class Mul {}
class Div {}
class OtherBinary {}

class Relu {}
class LeakyRelu {}
class Clip {}
class Sigmoid {}
class HardSigmoid {}
class HardSwish {}
class OtherUnary {}

/** out = max(low, a op b) over a walk of a, b and out; op: a BinaryOp or FurtherBinaryOp. Out may be a or b. */
export function binary(op: i32, tablePtr: usize, aPtr: usize, bPtr: usize, outPtr: usize, low: f32): void {
  if (op === BinaryOp.add) binaryWalk<Add>(op, tablePtr, aPtr, bPtr, outPtr, low);
  else if (op === BinaryOp.sub) binaryWalk<Sub>(op, tablePtr, aPtr, bPtr, outPtr, low);
  else if (op === BinaryOp.mul) binaryWalk<Mul>(op, tablePtr, aPtr, bPtr, outPtr, low);
  else if (op === BinaryOp.div) binaryWalk<Div>(op, tablePtr, aPtr, bPtr, outPtr, low);
  else binaryWalk<OtherBinary>(op, tablePtr, aPtr, bPtr, outPtr, low);
}

/** The same for values `first` to `last` (excluded), contiguous in all three. */
export function binaryRange(op: i32, aPtr: usize, bPtr: usize, outPtr: usize, low: f32, first: i32, last: i32): void {
  const at = (<usize>first) << 2;
  const count = last - first;
  if (op === BinaryOp.add) binaryRun<Add>(op, aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else if (op === BinaryOp.sub) binaryRun<Sub>(op, aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else if (op === BinaryOp.mul) binaryRun<Mul>(op, aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else if (op === BinaryOp.div) binaryRun<Div>(op, aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
  else binaryRun<OtherBinary>(op, aPtr + at, bPtr + at, outPtr + at, count, 4, 4, 4, low);
}

function binaryWalk<Op>(op: i32, tablePtr: usize, aPtr: usize, bPtr: usize, outPtr: usize, low: f32): void {
  const length = runLength(tablePtr);
  const aStride = runStride(tablePtr, 0);
  const bStride = runStride(tablePtr, 1);
  const outStride = runStride(tablePtr, 2);
  startWalk(tablePtr, aPtr, bPtr, outPtr);
  do {
    binaryRun<Op>(
      op,
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
  op: i32,
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
      v128.store(outPtr, clampLow(combine<Op>(op, v128.load(aPtr), v128.load(bPtr)), lows));
      aPtr += 16;
      bPtr += 16;
      outPtr += 16;
    }
  } else if (outStride === 4 && aStride === 4 && bStride === 0) {
    const b = v128.load32_splat(bPtr);
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, clampLow(combine<Op>(op, v128.load(aPtr), b), lows));
      aPtr += 16;
      outPtr += 16;
    }
  } else if (outStride === 4 && aStride === 0 && bStride === 4) {
    const a = v128.load32_splat(aPtr);
    for (; left >= 4; left -= 4) {
      v128.store(outPtr, clampLow(combine<Op>(op, a, v128.load(bPtr)), lows));
      bPtr += 16;
      outPtr += 16;
    }
  }
  for (; left > 0; --left) {
    const value = clampLow(combine<Op>(op, v128.load32_zero(aPtr), v128.load32_zero(bPtr)), lows);
    v128.store32_lane(outPtr, value, 0);
    aPtr += aStride;
    bPtr += bStride;
    outPtr += outStride;
  }
}

function combine<Op>(op: i32, a: v128, b: v128): v128 {
  if (idof<Op>() === idof<Add>()) return f32x4.add(a, b);
  if (idof<Op>() === idof<Sub>()) return f32x4.sub(a, b);
  if (idof<Op>() === idof<Mul>()) return f32x4.mul(a, b);
  if (idof<Op>() === idof<Div>()) return f32x4.div(a, b);
  return combineOther(op, a, b);
}

/** Operations that are rare enough to be told apart at every vector. */
function combineOther(op: i32, a: v128, b: v128): v128 {
  const zero = f32x4.splat(0);
  if (op === FurtherBinaryOp.min) return f32x4.min(a, b);
  if (op === FurtherBinaryOp.max) return f32x4.max(a, b);
  if (op === FurtherBinaryOp.equal) return oneWhere(f32x4.eq(a, b));
  if (op === FurtherBinaryOp.less) return oneWhere(f32x4.lt(a, b));
  if (op === FurtherBinaryOp.lessOrEqual) return oneWhere(f32x4.le(a, b));
  if (op === FurtherBinaryOp.slope) return v128.bitselect(f32x4.mul(a, b), b, f32x4.lt(b, zero));
  if (op === FurtherBinaryOp.keepIf) return v128.and(b, f32x4.ne(a, zero));
  if (op === FurtherBinaryOp.keepUnless) return v128.and(b, f32x4.eq(a, zero));
  let power = f32x4.splat(NativeMathf.pow(f32x4.extract_lane(a, 0), f32x4.extract_lane(b, 0)));
  power = f32x4.replace_lane(power, 1, NativeMathf.pow(f32x4.extract_lane(a, 1), f32x4.extract_lane(b, 1)));
  power = f32x4.replace_lane(power, 2, NativeMathf.pow(f32x4.extract_lane(a, 2), f32x4.extract_lane(b, 2)));
  return f32x4.replace_lane(power, 3, NativeMathf.pow(f32x4.extract_lane(a, 3), f32x4.extract_lane(b, 3)));
}

function oneWhere(mask: v128): v128 {
  return v128.and(mask, f32x4.splat(1));
}

/** out = f(x) for values `first` to `last` (excluded); op: a UnaryOp or FunctionOp. Out may be x. */
export function unary(op: i32, inPtr: usize, outPtr: usize, alpha: f32, beta: f32, first: i32, last: i32): void {
  inPtr += (<usize>first) << 2;
  outPtr += (<usize>first) << 2;
  const count = last - first;
  if (op === UnaryOp.relu) unaryOver<Relu>(op, inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.leakyRelu) unaryOver<LeakyRelu>(op, inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.clip) unaryOver<Clip>(op, inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.sigmoid) unaryOver<Sigmoid>(op, inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.hardSigmoid) unaryOver<HardSigmoid>(op, inPtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.hardSwish) unaryOver<HardSwish>(op, inPtr, outPtr, count, alpha, beta);
  else unaryOver<OtherUnary>(op, inPtr, outPtr, count, alpha, beta);
}

function unaryOver<Op>(op: i32, inPtr: usize, outPtr: usize, count: i32, alpha: f32, beta: f32): void {
  const alphas = f32x4.splat(alpha);
  const betas = f32x4.splat(beta);
  const bytes = (<usize>(count & ~3)) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(outPtr + at, apply<Op>(op, v128.load(inPtr + at), alphas, betas));
  }
  // Reading beyond the last float is safe, writing is not.
  const last = apply<Op>(op, v128.load(inPtr + bytes), alphas, betas);
  storeFirst(last, count & 3, outPtr + bytes);
}

function apply<Op>(op: i32, x: v128, alpha: v128, beta: v128): v128 {
  if (idof<Op>() === idof<Relu>()) return clampLow(x, f32x4.splat(0));
  if (idof<Op>() === idof<LeakyRelu>()) {
    return v128.bitselect(f32x4.mul(x, alpha), x, f32x4.lt(x, f32x4.splat(0)));
  }
  if (idof<Op>() === idof<Clip>()) return clampHigh(clampLow(x, alpha), beta);
  if (idof<Op>() === idof<Sigmoid>()) return sigmoid(x);
  if (idof<Op>() === idof<HardSigmoid>()) return clampToUnit(f32x4.add(f32x4.mul(x, alpha), beta));
  // alpha and beta are 1/6 and 1/2.
  if (idof<Op>() === idof<HardSwish>()) return f32x4.mul(x, clampToUnit(f32x4.add(f32x4.mul(x, alpha), beta)));
  return applyOther(op, x, alpha, beta);
}

/** Operations that are rare enough to be told apart at every vector. */
function applyOther(op: i32, x: v128, alpha: v128, beta: v128): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  if (op === FunctionOp.sqrt) return f32x4.sqrt(x);
  if (op === FunctionOp.reciprocal) return f32x4.div(one, x);
  if (op === FunctionOp.abs) return f32x4.abs(x);
  if (op === FunctionOp.neg) return f32x4.neg(x);
  if (op === FunctionOp.floor) return f32x4.floor(x);
  if (op === FunctionOp.ceil) return f32x4.ceil(x);
  if (op === FunctionOp.round) return f32x4.nearest(x);
  if (op === FunctionOp.softsign) return f32x4.div(x, f32x4.add(one, f32x4.abs(x)));
  if (op === FunctionOp.thresholdedRelu) return v128.andnot(x, f32x4.le(x, alpha));
  if (op === FunctionOp.sign) {
    // Zeros and NaN stay what they are.
    const signed = v128.bitselect(x, one, f32x4.splat(-0.0));
    return v128.bitselect(signed, x, v128.or(f32x4.lt(x, zero), f32x4.gt(x, zero)));
  }
  const a = f32x4.extract_lane(alpha, 0);
  const b = f32x4.extract_lane(beta, 0);
  let y = f32x4.splat(functionOf(op, f32x4.extract_lane(x, 0), a, b));
  y = f32x4.replace_lane(y, 1, functionOf(op, f32x4.extract_lane(x, 1), a, b));
  y = f32x4.replace_lane(y, 2, functionOf(op, f32x4.extract_lane(x, 2), a, b));
  return f32x4.replace_lane(y, 3, functionOf(op, f32x4.extract_lane(x, 3), a, b));
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

/** Those that are computed one number at a time. */
function functionOf(op: i32, x: f32, alpha: f32, beta: f32): f32 {
  if (op === FunctionOp.exp) return NativeMathf.exp(x);
  if (op === FunctionOp.log) return NativeMathf.log(x);
  if (op === FunctionOp.tanh) return NativeMathf.tanh(x);
  if (op === FunctionOp.erf) return erf(x);
  if (op === FunctionOp.gelu) return gelu(x);
  if (op === FunctionOp.geluTanh) return geluTanh(x);
  if (op === FunctionOp.mish) return mish(x);
  if (op === FunctionOp.softplus) return softplus(x);
  return selu(x, alpha, beta);
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
