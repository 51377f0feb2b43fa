/**
 * Winograd convolution without dilation (Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2016).
 *
 *   Y = A' [ sum over channels of (G g G') * (B' d B) ] A
 *
 * d is a tile of n x n input values, Y a tile of m x m outputs; n = m + r - 1 for stride 1.
 *
 *   F(4x4, 3x3)  6 x 6 values  points 0, +-sqrt(1/2), +-sqrt(2), infinity
 *   F(2x2, 3x3)  4 x 4         points 0, +-1, infinity
 *   F(2x3, 5x5)  6 x 7         down: the points of F(4, 3); along: +-5/16, +-7/8, +-7/4, infinity
 *   stride 2     9 x 9         4 x 4 outputs of 3 x 3: F(4, 2), and every other row and column untransformed
 *   F(1x4, 5x5)  1 x 8         rows only (winogradRows.ts): a tile is one row, and kernel rows add to the depth
 *
 * scripts/generate/ has the mathematics (winogradMatrices.mjs) and the choice of points (winogradSchemes.mjs), and
 * writes winogradInput.ts, winogradOutput.ts and winogradWeight.ts from them.
 *
 * Where 4 x 4 tiles do not divide the image, the last row and column of tiles are two high or wide if that is enough.
 * Such half tiles use four of the six points of F(4, 3) and read the same U: their B' takes over the factors by which
 * their G differs. Tiles are numbered by kind,
 *
 *   4 x 2 (at the right edge), 4 x 4, 2 x 4 (at the lower edge), 2 x 2
 *
 * and within a kind image by image, so that the tiles that have a given point are neighbours (14 x 14: 484 products per
 * pair of channels instead of 576).
 *
 * Kernels of the same input whose results are added (the branches of a block in its train form, the smaller ones set
 * into squares) share one input and one output transform: their products are summed like those of more channels.
 *
 * Works on a block of tiles at a time, so that all of it stays in L2:
 *
 *   input     V  [points][panels of the tiles that have the point][chunks of DEPTH_CHUNK][rows][DEPTH_CHUNK], the
 *                A panels of the micro-kernels
 *   multiply  P  [points][panels][tiles][8]    for a group of output channels, U being the B panels
 *   output    with bias, residual and lower bound
 *
 * At each point, V and U of a group fit into L1 together.
 */
import { ConvDescriptor } from './descriptor';
import { Block, distinct, GROUP_CHANNELS, inRows, layOut } from './winogradBlock';
import { panelF1x4K5, panelF2x2K3, panelF2x3K5, panelF4x4K3, panelF4x4K3S2 } from './winogradOutput';
import { multiply } from './winogradProduct';
import { transformRun } from './winogradRuns';

/**
 * Computes output tiles `firstTile` to `lastTile` (excluded; numbered as above) of a convolution with a square kernel
 * and one group. All else as for conv2d.
 */
export function winogradConv2d(
  descriptorPtr: usize,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstTile: i32,
  lastTile: i32,
  firstChannel: i32,
  lastChannel: i32,
): void {
  const d = changetype<ConvDescriptor>(descriptorPtr);
  for (let first = firstTile; first < lastTile; first += d.blockTiles) {
    const tiles = min(d.blockTiles, lastTile - first);
    winogradBlock(d, inPtr, outPtr, residualPtr, scratchPtr, first, tiles, firstChannel, lastChannel);
  }
}

function winogradBlock(
  d: ConvDescriptor,
  inPtr: usize,
  outPtr: usize,
  residualPtr: usize,
  scratchPtr: usize,
  firstTile: i32,
  tiles: i32,
  firstChannel: i32,
  lastChannel: i32,
): void {
  const b = layOut(d, scratchPtr, firstTile, tiles);
  let t = 0;
  while (t < tiles) t += transformRun(d, b, inPtr, firstTile + t, t);
  let first = firstChannel;
  while (first < lastChannel) {
    const group = first / GROUP_CHANNELS;
    const inGroup = first - group * GROUP_CHANNELS;
    const channels = min(GROUP_CHANNELS - inGroup, lastChannel - first);
    const groupLanes = min(GROUP_CHANNELS, ((d.outChannels + 3) & ~3) - group * GROUP_CHANNELS);
    multiply(d, b, distinct(b.high) * distinct(b.wide) * group * GROUP_CHANNELS, groupLanes, inGroup, channels);
    for (let panel = 0; panel * 8 < channels; ++panel) {
      invert(d, b, outPtr, residualPtr, panel, first + panel * 8);
    }
    first += channels;
  }
}

function invert(d: ConvDescriptor, b: Block, outPtr: usize, residualPtr: usize, panel: i32, channel: i32): void {
  if (inRows(b)) panelF1x4K5(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 4) panelF2x2K3(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 6) panelF4x4K3(d, b, outPtr, residualPtr, panel, channel);
  else if (b.wide === 7) panelF2x3K5(d, b, outPtr, residualPtr, panel, channel);
  else panelF4x4K3S2(d, b, outPtr, residualPtr, panel, channel);
}
