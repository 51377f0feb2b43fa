/** acnet-wasm/train: gradients of layers. */
export { backward, type Gradients } from './train/backward.js';
