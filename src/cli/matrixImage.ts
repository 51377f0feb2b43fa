/** Matrices as coloured cells and nothing else, side by side on white, as a PNG image. */
import { colourOf, type Matrix } from './matrixChart.js';
import { encodePng } from './png.js';

/** Pixels. */
const CELL = 48;
const GAP = 24;
const WHITE = [255, 255, 255] as const;

export function matrixImage(matrices: readonly Pick<Matrix, 'shares'>[]): Uint8Array {
  const rows = Math.max(...matrices.map(({ shares }) => shares.length));
  let width = GAP;
  const placed = matrices.map(({ shares }) => {
    const left = width;
    width += shares[0]!.length * CELL + GAP;
    return { shares, left };
  });
  return encodePng(width, rows * CELL + 2 * GAP, (x, y) => {
    for (const { shares, left } of placed) {
      const share = shares[Math.floor((y - GAP) / CELL)]?.[Math.floor((x - left) / CELL)];
      if (share !== undefined) return colourOf(share);
    }
    return WHITE;
  });
}
