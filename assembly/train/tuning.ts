/** Block sizes of the kernels for training, each with its reason. */

/**
 * Pixels that a weight gradient is summed over at once, at most: a register tile stays in registers for so many steps, and
 * dy of four channels takes 4 KiB of L1 (16->16 @32: 128 take 10 % more time, 512 two per cent less; 3->32 5x5 @32: 3 % more
 * with either).
 */
export const BLOCK_PIXELS: i32 = 256;
/** Output channels whose dy is packed at once: what the taps see is copied once for so many. */
export const BLOCK_OUT: i32 = 64;
/** Input channels whose lines are written at once, at most (32->32 @16: 16 take 6 to 9 % more time; 64 the same). */
export const BLOCK_IN: i32 = 32;
/** Bytes of the lines of a block, so that they fit into scratch with the panels. Few channels where windows have gaps. */
export const LINES_BYTES: u64 = 384 * 1024;
/**
 * Kernel rows share a line where they have at most so many values of a column, so that runs fill the register tile
 * (without: 1->20 5x5 @28 takes 43 % more time, 3->16 @32 36 %, 3->32 5x5 @32 15 %).
 */
export const THIN_ROWS: i32 = 16;

/**
 * Winograd: tiles of a block, at most: a register tile stays in registers for so many steps (16->16 @32: 16 tiles take 16 %
 * more time, 32 the same to 3 % more, 48 the same).
 */
export const MAX_TILES: i32 = 64;
/**
 * Floats that V of a block has at a point, of 6 x 6 and of 8 x 8, and U: 440 and 530 KiB in all, which scratch holds (1,024
 * for V of 6 x 6: 64->64 @8 takes 11 to 14 % more time). They are constants so that the distances of points are constants
 * too (1 to 6 % less time in Node 20, baseline; 1 to 5 % relaxed).
 */
export const SEEN_FLOATS6: i32 = 2048;
export const SEEN_FLOATS8: i32 = 1024;
export const GRAD_FLOATS: i32 = 1024;
/** Input channels whose V is there at once, at most: tiles of a block are fewer where there are more. */
export const SEEN_CHANNELS6: i32 = 64;
export const SEEN_CHANNELS8: i32 = 32;
/**
 * Output channels whose U is there at once, at most: MAX_TILES of them fill GRAD_FLOATS (32 and twice the floats: within
 * 5 % either way).
 */
export const GRAD_CHANNELS: i32 = 16;
/** Bytes between points: an odd number of cache lines keeps them out of the same few sets of L1. */
export const SEEN_STEP6: usize = <usize>(SEEN_FLOATS6 * 4 + 64);
export const SEEN_STEP8: usize = <usize>(SEEN_FLOATS8 * 4 + 64);
export const GRAD_STEP: usize = <usize>(GRAD_FLOATS * 4 + 64);

/** The most columns that a run of tiles sees: four of 6 x 6, or three of 8 x 8. */
export const RUN_COLUMNS: i32 = 18;

/** Sums over pixels: pixels of a block, which is summed in float32, at most, and its bytes, so that it stays in L1. */
export const SUMMED_PIXELS: i32 = 32;
export const SUMMED_BYTES: i32 = 4096;
/** Bytes of an image that batch normalisation writes at once: with all that it reads a part of L1. */
export const NORMED_BYTES: usize = 4096;

/** Batches of register tiles that a block of lineConv.ts has, at most, and bytes of scratch that it may take. */
export const LINE_BATCHES: i32 = 3;
export const LINE_BYTES: usize = 440 * 1024;

/** Rows of an image whose products tapMoments.ts sums in float32: fewer err less, and are added up more often. */
export const MOMENT_ROWS: i32 = 32;
