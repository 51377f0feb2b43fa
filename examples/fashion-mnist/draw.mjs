/**
 * Draws grey images into lines of text. In colour, a character cell is two pixels, one above the other: the lower half
 * block in the colour of the lower pixel, on a ground in that of the upper one. Without, it is one of ten ASCII shades.
 */

/** From dark to light, for light text on a dark ground. */
const SHADES = ' .:-=+*#%@';
const LOWER_HALF = '\u2584';
const RESET = '\x1b[0m';

/** Whether images are drawn in colour; the other way is ASCII. */
export function showsHalfBlocks({ colours, unicode }) {
  return colours !== 'none' && unicode;
}

/**
 * @param {Uint8Array} pixels [side, side]
 * @param {number} width columns to draw in; even, at most `side`. The lines are half as many.
 * @param {{ colours: 'none' | '256' | 'true', unicode: boolean }} terminal
 * @returns {string[]} lines that all take `width` columns
 */
export function drawImage(pixels, side, width, terminal) {
  const greys = shrink(pixels, side, width);
  const rows = Array.from({ length: width / 2 }, (_, row) => [
    greys.subarray(2 * row * width, (2 * row + 1) * width),
    greys.subarray((2 * row + 1) * width, (2 * row + 2) * width),
  ]);
  if (!showsHalfBlocks(terminal)) return rows.map(([upper, lower]) => shadeRow(upper, lower));
  const grey = terminal.colours === 'true' ? trueGrey : grey256;
  return rows.map(([upper, lower]) => colourRow(upper, lower, grey));
}

function shadeRow(upper, lower) {
  return Array.from(upper, (value, i) => {
    const mean = (value + lower[i]) / 2;
    return SHADES[Math.min(SHADES.length - 1, Math.floor((mean / 256) * SHADES.length))];
  }).join('');
}

/** A cell of the same two colours as the one before it needs no new escape sequence. */
function colourRow(upper, lower, grey) {
  let line = '';
  let last = '';
  upper.forEach((value, i) => {
    const colour = `\x1b[48;${grey(value)};38;${grey(lower[i])}m`;
    line += (colour === last ? '' : colour) + LOWER_HALF;
    last = colour;
  });
  return line + RESET;
}

function trueGrey(value) {
  const level = Math.round(value);
  return `2;${level};${level};${level}`;
}

/** Of the 256 colours, 16 is black, 231 is white, and 232 to 255 are greys of level 8, 18, ... 238. */
function grey256(value) {
  if (value < 4) return '5;16';
  if (value > 246) return '5;231';
  return `5;${232 + Math.min(23, Math.max(0, Math.round((value - 8) / 10)))}`;
}

/** Each new pixel is the mean of the area that it covers. */
function shrink(pixels, side, width) {
  const weights = areaWeights(side, width);
  const greys = new Float32Array(width * width);
  for (let y = 0; y < width; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [row, rowWeight] of weights[y]) {
        for (const [column, columnWeight] of weights[x]) {
          sum += rowWeight * columnWeight * pixels[row * side + column];
        }
      }
      greys[y * width + x] = sum;
    }
  }
  return greys;
}

/** For each of `width` intervals, the old pixels under it and the share that each has of it. */
function areaWeights(side, width) {
  const scale = side / width;
  return Array.from({ length: width }, (_, i) => {
    const shares = [];
    for (let old = Math.floor(i * scale); old < Math.min(side, (i + 1) * scale); old++) {
      const share = (Math.min(old + 1, (i + 1) * scale) - Math.max(old, i * scale)) / scale;
      if (share > 0) shares.push([old, share]);
    }
    return shares;
  });
}
