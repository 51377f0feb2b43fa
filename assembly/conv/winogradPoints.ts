/** The finite points of the Winograd schemes that are not whole numbers. See winograd.ts. */

/** F(4, 3). */
export const S: f32 = <f32>Math.SQRT1_2;
export const T: f32 = <f32>Math.SQRT2;

/** F(4, 2) of stride 2: with 0, +-1, 2 its errors in two dimensions are twice as large. */
export const A: f32 = 0.5;
export const B: f32 = 1.25;

/** F(3, 5). */
export const P: f32 = 0.3125;
export const Q: f32 = 0.875;
export const R: f32 = 1.75;
