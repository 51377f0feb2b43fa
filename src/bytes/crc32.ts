/** CRC-32 as in zip and PNG: the reflected polynomial 0xedb88320, four bytes at a time. */

/** Made on first use: bundlers keep what a module computes on loading in every page. */
let tables: Int32Array | undefined;

/** Remainders of a byte that is followed by 0, 1, 2 and 3 zero bytes: [4][256]. */
function makeTables(): Int32Array {
  const tables = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
    tables[byte] = remainder;
  }
  for (let i = 256; i < tables.length; i++) {
    const remainder = tables[i - 256]!;
    tables[i] = (remainder >>> 8) ^ tables[remainder & 255]!;
  }
  return tables;
}

/** The checksum of the bytes from `start` up to `end`, as an unsigned integer. */
export function crc32(bytes: Uint8Array, start: number, end: number): number {
  tables ??= makeTables();
  const table = tables;
  let crc = -1;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      table[768 + (crc & 255)]! ^
      table[512 + ((crc >>> 8) & 255)]! ^
      table[256 + ((crc >>> 16) & 255)]! ^
      table[crc >>> 24]!;
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 255]!;
  return ~crc >>> 0;
}
