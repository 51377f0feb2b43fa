/**
 * Tile and block sizes, each beside its measurement. Nothing else in assembly/ holds a tunable.
 *
 * Micro-kernel tiles, rows x columns of f32, panels in L1, per cent of the v128 peak measured in the same rounds
 * (`npm run bench:tiles`; AMD EPYC, Zen 3, 2026-11; the machine was shared, two runs differ by up to 10):
 *
 *              baseline                          relaxed
 *              4x8  5x8  6x8  3x12 4x12 2x16 8x8   4x8  5x8  6x8  3x12 4x12 2x16 8x8
 *   Node 20     83   87   65   85   64   89   69    82   91   84   81   47   85   55
 *   Chromium    69   75   62   74   62   69   60    71   74   80   75   57   71   49
 *   Firefox     64   63   65   60   63   64   64   126  116  131  132   84  122   93
 *   Deno 2.9    53   53   54   57   52   52   46    48   45   48   52   44   47   41
 *   Bun 1.4     48   51   52   57   57   52   48    49   54   53   59   54   57   49
 *
 * (Firefox's relaxed peak loop is itself slow, 26 GF/s where V8 has 48.) 5 x 8 is best or near it in all engines of the
 * baseline build, 6 x 8 of the relaxed one, and both divide the channel counts of networks.
 */

/**
 * Rows (pixels) of the register tile. V8 has 15 vector registers on x86-64. Baseline: 5 x 8 needs 10 accumulators, 2
 * weights, 1 input and 1 product. A fused multiply-add needs no register for the product, so the relaxed build has room
 * for 6 x 8.
 */
export const TILE_ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 5;

/**
 * Consecutive values of a row of A, a power of two. It makes the distance between rows a constant in the micro-kernels.
 * After each chunk the sums go through memory once and the kernel is entered again, which costs about 14 cycles (128
 * instead of 64: 128->128 @28 takes 3 %, 5x5 3->32 @32 takes 7 % less time).
 */
export const DEPTH_CHUNK: i32 = 128;

/**
 * Weights that come from memory are read as several streams, because the prefetcher of a core follows each stream
 * separately (EPYC, Zen 3: one stream gives 13 GB/s, four give 17 to 24; a native sum needs four, too). A tile takes
 * STREAM_RUN steps of k from a chunk of each stream in turn. V8 finds registers for four rows around that loop.
 */
export const STREAMS: i32 = 4;
export const STREAM_ROWS: i32 = 4;
export const STREAM_RUN: i32 = 16;
/** Depth of one block of a streamed product: one chunk per stream. */
export const STREAM_DEPTH: i32 = STREAMS * DEPTH_CHUNK;

/** Columns (output channels) of the register tile: two vectors. */
export const TILE_COLUMNS: i32 = 8;

/** Bytes between rows of a tile in memory: two vectors. */
export const TILE_STRIDE: usize = 32;

/**
 * Depth of one GEMM block. A weight panel of 8 columns is then 12 KiB and a panel of 5 rows 7.5 KiB: both stay in L1
 * (32 KiB). 192 to 576 measured the same within this machine's noise (`npm run bench:gemm`).
 */
export const BLOCK_DEPTH: i32 = 384;

/** Pixels packed at once, a multiple of both tile heights: 60 x 384 floats are 90 KiB, a fifth of a 512 KiB L2. */
export const BLOCK_PIXELS: i32 = 60;

/** Columns of b that matMul packs at once: with BLOCK_DEPTH rows, 384 KiB of scratch. */
export const MATRIX_COLUMNS: i32 = 256;

/** Scratch memory of one thread. Winograd works on as many tiles at once as fit. */
export const SCRATCH_BYTES: i32 = 640 * 1024;
