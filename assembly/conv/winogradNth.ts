/**
 * Which row or column of a tile a function is compiled for. Transforms written out row by row have constant addresses and
 * no loops, whose counters, checks and constants (V8 makes these anew in every turn) took a third of their time.
 *
 * Each class is as large as the vectors before it: offsetof<Nth>() is where a column's vector lies in a row, and
 * offsetof<Nth>() * 18 is where a row lies between the two passes of a transform (BETWEEN_ROW).
 */
export class Nth0 {}
export class Nth1 extends Nth0 {
  n0: v128;
}
export class Nth2 extends Nth1 {
  n1: v128;
}
export class Nth3 extends Nth2 {
  n2: v128;
}
export class Nth4 extends Nth3 {
  n3: v128;
}
export class Nth5 extends Nth4 {
  n4: v128;
}
export class Nth6 extends Nth5 {
  n5: v128;
}
