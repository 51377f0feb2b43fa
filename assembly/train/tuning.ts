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

/** Winograd: V and U of a block of tiles, so that they stay in L2 (512 KiB) with the sums of a point. */
export const WINOGRAD_BYTES: i32 = 320 * 1024;
/** Tiles of a block, at most: a register tile stays in registers for so many steps. */
export const MAX_TILES: i32 = 64;
/** Input and output channels whose V and U are there at once, at most. */
export const WINOGRAD_IN: i32 = 64;
export const WINOGRAD_OUT: i32 = 16;
