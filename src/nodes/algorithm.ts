/** Names of the algorithms that compute a convolution; a graph may ask for one. */

/**
 * `gemm`: im2col and GEMM. `depthwise`: channel by channel. `winogradF4x4K3`: F(4x4, 3x3), tiles of 4 x 4 outputs of a
 * 3 x 3 kernel; the other names are built alike. F1x4 works along rows only; S2 has stride 2.
 */
export type Algorithm = DirectAlgorithm | WinogradAlgorithm;
export type DirectAlgorithm = 'gemm' | 'depthwise';
export type WinogradAlgorithm =
  | 'winogradF4x4K3'
  | 'winogradF2x2K3'
  | 'winogradF2x3K5'
  | 'winogradF1x4K5'
  | 'winogradF4x4K3S2';
