/** Writes PNG images of 8 bits a sample; see src/images/png.ts for the format. */
import { deflateSync } from 'node:zlib';
import { crc32 } from '../bytes/crc32.js';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const RGB = 2;

export type Colour = readonly [red: number, green: number, blue: number];

/** @param colourAt of the pixel in that column and row */
export function encodePng(width: number, height: number, colourAt: (x: number, y: number) => Colour): Uint8Array {
  const rows = new Uint8Array(height * (1 + 3 * width));
  for (let y = 0, at = 0; y < height; y++) {
    // The name of the filter: none.
    rows[at++] = 0;
    for (let x = 0; x < width; x++, at += 3) rows.set(colourAt(x, y), at);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, RGB], 8);
  const parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', header), chunk('IDAT', deflateSync(rows))];
  return Uint8Array.from(Buffer.concat([...parts, chunk('IEND', new Uint8Array())]));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes, 4, data.length + 8));
  return bytes;
}
