// The Winograd schemes, by the names that the option `algorithm` has. A scheme is a line down the columns of a tile and one
// along its rows; winogradMatrices.mjs has what a line is.
//
// Points were chosen for accuracy. Over 256 channels those of F4K3 are as exact as a direct sum; 0, +-1, +-2 err three times
// as much. Pairs without 0 err least where the number of points is odd. (F(6x6, 3x3) and F(4x4, 5x5) err four to ten times
// as much with any points, F(2x4, 5x5) three.)
import { each } from './text.mjs';
import { line } from './winogradMatrices.mjs';

const THIRDS = [[['0', '±1'], '±2'], '∞'];

export const F4K3 = line({ name: 'F4K3', m: 4, r: 3, zero: true, squares: [1 / 2, 2], order: THIRDS });
/** Half a tile of F4K3, on four of its points, from the same weights. */
export const F2K3_HALF = line({
  name: 'F2K3Half',
  m: 2,
  r: 3,
  zero: true,
  squares: [1 / 2],
  order: [['0', '±1'], '∞'],
  weightsOf: F4K3,
});
export const F2K3 = line({ name: 'F2K3', m: 2, r: 3, zero: true, squares: [1], order: [[['0', '+1'], '-1'], '∞'] });
export const F2K5 = line({ name: 'F2K5', m: 2, r: 5, zero: true, squares: [1 / 2, 2], order: THIRDS });
const SIXTEENTHS = [5 / 16, 7 / 8, 7 / 4].map((root) => root * root);
export const F3K5 = line({
  name: 'F3K5',
  m: 3,
  r: 5,
  zero: false,
  squares: SIXTEENTHS,
  order: [
    ['±1', '±2'],
    ['±3', '∞'],
  ],
});
export const F4K5 = line({
  name: 'F4K5',
  m: 4,
  r: 5,
  zero: true,
  squares: [1, 1 / 4, 4],
  order: [
    [['0', '±1'], '∞'],
    ['±2', '±3'],
  ],
});
/** With 0, +-1, 2 the errors in two dimensions are twice as large. */
export const F4K2 = line({
  name: 'F4K2',
  m: 4,
  r: 2,
  zero: false,
  squares: [1 / 4, 25 / 16],
  order: [['±1', '±2'], '∞'],
});

/**
 * With stride 2 the outputs see the even values with the first and last tap, F4K2, and the odd ones with the middle tap, as
 * they are: four products with the same U.
 */
export const F4K3S2 = { name: 'F4K3S2', m: 4, r: 3, n: 9, places: each(9, (i) => i), even: F4K2 };

export const LINES = [F4K3, F2K3_HALF, F2K3, F2K5, F3K5, F4K5, F4K3S2];

/** `half`: the line of tiles half as high or wide, at the edges of an image. No `down`: tiles are rows. */
export const SCHEMES = [
  { name: 'winogradF4x4K3', down: F4K3, along: F4K3, half: F2K3_HALF },
  { name: 'winogradF2x2K3', down: F2K3, along: F2K3 },
  { name: 'winogradF2x3K5', down: F2K5, along: F3K5 },
  { name: 'winogradF1x4K5', along: F4K5 },
  { name: 'winogradF4x4K3S2', down: F4K3S2, along: F4K3S2 },
];
