/**
 * Tile and block sizes, each beside its measurement. Nothing else in assembly/ holds a tunable.
 *
 * Micro-kernel tiles, rows x columns of f32, panels in L1, share of the v128 peak measured in the same run
 * (`npm run bench -- tiles` prints this table for the engine it runs on).
 */

/**
 * Rows (pixels) of the register tile. Baseline: 5 x 8 takes 10 accumulators, 2 weights, 1 input, 1 product of the 15
 * registers that V8 has on x86-64. With fused multiply-add the product needs none, so relaxed takes 6 x 8.
 */
export const TILE_ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 5;

/**
 * Values of a row of A that lie side by side, a power of two: the distance of two rows is a constant in the
 * micro-kernels. After as many steps of k the sums go through memory once, which costs 45 instructions in 2,000.
 */
export const DEPTH_CHUNK: i32 = 64;

/** Bytes from one row of a tile to the next, in memory: two vectors. */
export const TILE_STRIDE: usize = 32;

/**
 * Products no deeper than this are summed in float64 and rounded once. They are the first layers of networks, a few
 * input channels, where half speed costs little, and where rounding shows: the three branches of a block with 2 input
 * channels, summed one by one, then differ from the merged convolution by no more than its last bit or so (sum of
 * squared differences of the seven [1, 2, 62, 62] fixtures: at most 4e-10, where float32 sums give up to 4.6e-9).
 */
export const EXACT_DEPTH: i32 = 64;

/**
 * Depth of one GEMM block. A weight panel of 8 columns is then 18 KiB and stays in L1 (32 KiB) while input panels
 * stream past it; 576 = 64 channels of a 3 x 3 kernel in one block.
 */
export const BLOCK_DEPTH: i32 = 384;

/** Pixels packed at a time, a multiple of both tile heights: 60 x 576 floats are 135 KiB, a quarter of a 512 KiB L2. */
export const BLOCK_PIXELS: i32 = 60;

/** Working memory of one thread: Winograd takes as many tiles at a time as fit. */
export const SCRATCH_BYTES: i32 = 640 * 1024;
