/**
 * FNV-1a, 64 bits, over the bytes of tensors: one short line that differs as soon as one bit differs. Written out in
 * 32-bit halves because every engine must compute it alike, also where there is no crypto.subtle.
 */

export class Fnv1a {
  // The offset basis 0xcbf29ce484222325.
  private high = 0xcbf29ce4;
  private low = 0x84222325;

  update(bytes: Uint8Array): this {
    let { high, low } = this;
    for (let i = 0; i < bytes.length; i++) {
      low = (low ^ bytes[i]!) >>> 0;
      // Times the prime 2^40 + 0x1b3, modulo 2^64; every product here is below 2^42, so exact in a double.
      const product = low * 0x1b3;
      high = (high * 0x1b3 + Math.floor(product / 0x100000000) + ((low << 8) >>> 0)) % 0x100000000;
      low = product % 0x100000000;
    }
    this.high = high;
    this.low = low;
    return this;
  }

  digest(): string {
    return hex(this.high) + hex(this.low);
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0');
}
