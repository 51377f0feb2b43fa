/** Gradients of the elementwise operations of nn/elementwise.ts, with PyTorch's choices at kinks and for NaN. */
import { UnaryOp } from '../nn/elementwise';
import { storeFirst } from '../simd';

class Relu {}
class LeakyRelu {}
class Clip {}
class Sigmoid {}
class HardSigmoid {}
class HardSwish {}

/**
 * dx = dy * f' for values `first` to `last` (excluded); op: a UnaryOp, alpha and beta as forward. `valuePtr`: the output of
 * relu and sigmoid, the input of the others. Out may be dy or the values.
 */
export function unaryGrad(
  op: i32,
  gradPtr: usize,
  valuePtr: usize,
  outPtr: usize,
  alpha: f32,
  beta: f32,
  first: i32,
  last: i32,
): void {
  gradPtr += (<usize>first) << 2;
  valuePtr += (<usize>first) << 2;
  outPtr += (<usize>first) << 2;
  const count = last - first;
  if (op === UnaryOp.relu) gradOver<Relu>(gradPtr, valuePtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.leakyRelu) gradOver<LeakyRelu>(gradPtr, valuePtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.clip) gradOver<Clip>(gradPtr, valuePtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.sigmoid) gradOver<Sigmoid>(gradPtr, valuePtr, outPtr, count, alpha, beta);
  else if (op === UnaryOp.hardSigmoid) gradOver<HardSigmoid>(gradPtr, valuePtr, outPtr, count, alpha, beta);
  else gradOver<HardSwish>(gradPtr, valuePtr, outPtr, count, alpha, beta);
}

function gradOver<Op>(gradPtr: usize, valuePtr: usize, outPtr: usize, count: i32, alpha: f32, beta: f32): void {
  const alphas = f32x4.splat(alpha);
  const betas = f32x4.splat(beta);
  const bytes = (<usize>(count & ~3)) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(outPtr + at, gradOf<Op>(v128.load(gradPtr + at), v128.load(valuePtr + at), alphas, betas));
  }
  // Reading beyond the last float is safe, writing is not.
  const last = gradOf<Op>(v128.load(gradPtr + bytes), v128.load(valuePtr + bytes), alphas, betas);
  storeFirst(last, count & 3, outPtr + bytes);
}

function gradOf<Op>(d: v128, x: v128, alpha: v128, beta: v128): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  if (idof<Op>() === idof<Relu>()) return maskGrad(d, x);
  if (idof<Op>() === idof<LeakyRelu>()) return v128.bitselect(d, f32x4.mul(d, alpha), f32x4.gt(x, zero));
  if (idof<Op>() === idof<Clip>()) return v128.and(d, v128.and(f32x4.ge(x, alpha), f32x4.le(x, beta)));
  if (idof<Op>() === idof<Sigmoid>()) return f32x4.mul(d, f32x4.mul(f32x4.sub(one, x), x));
  const line = f32x4.add(f32x4.mul(x, alpha), beta);
  if (idof<Op>() === idof<HardSigmoid>()) {
    return v128.and(f32x4.mul(d, alpha), v128.and(f32x4.gt(line, zero), f32x4.lt(line, one)));
  }
  // hardSwish, x (alpha x + beta) in between.
  const inner = f32x4.mul(d, f32x4.add(line, f32x4.mul(x, alpha)));
  return v128.bitselect(d, v128.andnot(inner, f32x4.le(line, zero)), f32x4.ge(line, one));
}

/** dy where the output of a ReLU is above zero, or NaN; zero elsewhere. */
export function maskGrad(d: v128, y: v128): v128 {
  return v128.andnot(d, f32x4.le(y, f32x4.splat(0)));
}
