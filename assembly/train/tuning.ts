/** Block sizes of the kernels for training, each with its reason. */

/**
 * Pixels that a weight gradient is summed over at once, about: a register tile then stays in registers for so many steps,
 * and dy of four channels takes 4 KiB of L1.
 */
export const BLOCK_PIXELS: i32 = 256;
/** Pixels of a row that is longer than that are taken at once. */
export const MAX_SEGMENT: i32 = 512;
/** Output channels whose dy is packed at once: what the taps see is copied once for so many. */
export const BLOCK_OUT: i32 = 64;
/** Input channels whose lines are written at once, at most. */
export const BLOCK_IN: i32 = 32;
/** Kernel rows share a line where they have at most so many values of a column, so that runs fill the register tile. */
export const THIN_ROWS: i32 = 16;
