/** The finite points of the Winograd schemes, but for whole numbers and their halves. See winograd.ts. */

/** F(4, 3) and F(2, 5), with 0: sqrt(1/2) and sqrt(2). */
export const S: f64 = Math.SQRT1_2;
export const T: f64 = Math.SQRT2;

/** F(4, 2) of stride 2: with 0, +-1, 2 its errors in two dimensions are twice as large. */
export const A: f64 = 0.5;
export const B: f64 = 1.25;

/** F(3, 5). */
export const P: f64 = 0.3125;
export const Q: f64 = 0.875;
export const R: f64 = 1.75;
