/**
 * decodeImage and toInput of the command line: the bytes that Pillow decodes and resizes (test/fixtures/images, made by
 * Pillow, or by an encoder there for what Pillow does not write), and hostile files.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError, UnsupportedError } from '../src/errors.js';
import { type DecodedImage, decodeImage, toInput } from '../src/images/image.js';
import { largestDifference, seededRandom } from './support.js';

const FOLDER = 'test/fixtures/images';
const MUTATIONS = 1500;

interface Expected {
  width: number;
  height: number;
  channels: 1 | 3;
  data: string;
}

const reference: {
  decoded: Record<string, Expected>;
  resized: (Expected & { file: string })[];
  /** rgb8.png as grey. */
  grey: string;
} = JSON.parse(readFileSync(`${FOLDER}/expected.json`, 'utf8'));

const files = readdirSync(FOLDER).filter((name) => name !== 'expected.json');

function read(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${FOLDER}/${name}`));
}

const fromBase64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

async function attempt(file: Uint8Array): Promise<DecodedImage | FormatError | UnsupportedError> {
  const start = performance.now();
  try {
    return await decodeImage(file);
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    if (!(error instanceof FormatError)) throw error;
    assert.ok(error.offset >= 0 && error.offset <= file.length, `${error.message} of ${file.length}`);
    return error;
  } finally {
    const time = performance.now() - start;
    assert.ok(time < 1000, `${time} ms`);
  }
}

async function refuses(what: string, file: Uint8Array, expected: RegExp): Promise<void> {
  const result = await attempt(file);
  if (!(result instanceof Error)) throw new Error(`${what}: was read`);
  assert.match(result.message, expected, what);
}

test('every kind of PNG is decoded to the bytes of Pillow', async () => {
  const images = files.filter((name) => name.endsWith('.png'));
  assert.ok(images.length >= 19);
  for (const name of images) {
    const { width, height, channels, data } = reference.decoded[name]!;
    const image = await decodeImage(read(name));
    assert.equal([image.width, image.height, image.channels], [width, height, channels], name);
    assert.equal([...image.data], [...fromBase64(data)], name);
  }
});

test('baseline and progressive JPEGs are decoded as by Pillow, but for rounding and the scaling of colour', async () => {
  const images = files.filter((name) => name.endsWith('.jpg'));
  assert.is(images.length, 6);
  for (const name of images) {
    const { width, height, channels, data } = reference.decoded[name]!;
    const image = await decodeImage(read(name));
    assert.equal([image.width, image.height, image.channels], [width, height, channels], name);
    // Halved colour is scaled up by repetition here and by interpolation in libjpeg.
    const limit = name.includes('420') ? 16 : 3;
    const difference = largestDifference(image.data, fromBase64(data));
    assert.ok(difference <= limit, `${name}: ${difference}`);
  }
});

test('images are resized to the bytes of Pillow', async () => {
  for (const { file, width, height, data } of reference.resized) {
    const image = await decodeImage(read(file));
    const { data: values } = toInput([image], { channels: image.channels, width, height });
    const expected = fromBase64(data);
    for (let i = 0; i < expected.length; i++) {
      const place = (i % image.channels) * width * height + Math.floor(i / image.channels);
      assert.is(Math.round(values[place]! * 255), expected[i], `${file} to ${width} x ${height}, value ${i}`);
    }
  }
});

test('the input of a network: channels, scale, mean and deviation', async () => {
  const colour = await decodeImage(read('rgb8.png'));
  const grey = await decodeImage(read('grey8.png'));
  const size = { width: colour.width, height: colour.height };
  const plane = size.width * size.height;
  const luma = toInput([colour], { channels: 1, ...size });
  assert.equal(
    [...luma.data].map((value) => Math.round(value * 255)),
    [...fromBase64(reference.grey)],
  );
  const input = toInput([colour, grey], { channels: 3, ...size, mean: [0.5, 0.25, 0], std: [0.5, 2, 1] });
  assert.equal([...input.dims], [2, 3, size.height, size.width]);
  for (const i of [0, 1, plane - 1]) {
    assert.is(input.data[i], Math.fround((colour.data[3 * i]! / 255 - 0.5) / 0.5));
    assert.is(input.data[plane + i], Math.fround((colour.data[3 * i + 1]! / 255 - 0.25) / 2));
    assert.is(input.data[3 * plane + i], Math.fround((grey.data[i]! / 255 - 0.5) / 0.5));
    assert.is(input.data[5 * plane + i], Math.fround(grey.data[i]! / 255));
  }
  assert.equal([...toInput([], { channels: 1, ...size }).dims], [0, 1, size.height, size.width]);

  const wrong: [Parameters<typeof toInput>[1], RegExp][] = [
    [{ channels: 2, ...size }, /channels is 2, expected 1 or 3/],
    [{ channels: 3, ...size, mean: [0] }, /mean is \[0\], expected 3 finite numbers/],
    [{ channels: 1, ...size, std: [0] }, /std has a zero/],
    [{ channels: 1, ...size, std: [Number.NaN] }, /std is \[NaN\]/],
    [{ channels: 1, width: 0, height: 1 }, /width is 0/],
    [{ channels: 1, width: 1, height: 1.5 }, /height is 1.5/],
  ];
  for (const [options, expected] of wrong) {
    assert.throws(
      () => toInput([grey], options),
      (error: Error) => error instanceof RangeError && expected.test(error.message),
    );
  }
});

/** A chunk of a PNG with the right checksum. */
function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

function png(width: number, height: number, pixels: Uint8Array, fields = [8, 0, 0, 0, 0], others: Buffer[] = []) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set(fields, 8);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const end = chunk('IEND', new Uint8Array());
  return new Uint8Array(Buffer.concat([signature, chunk('IHDR', header), ...others, chunk('IDAT', pixels), end]));
}

test('PNGs that lie are refused before memory is asked for', async () => {
  const row = deflateSync(Uint8Array.of(0, 7));
  assert.equal([...(await decodeImage(png(1, 1, row))).data], [7]);
  await refuses('60,000 squared', png(60_000, 60_000, row), /60000 x 60000, expected at most/);
  await refuses('2^31 squared', png(2 ** 31, 2 ** 31, row), /expected at most/);
  await refuses('more than deflate holds', png(4000, 4000, row), /10 compressed bytes cannot hold 4000 x 4000/);
  await refuses('empty', png(0, 5, row), /size 0 x 5/);
  await refuses('a bomb', png(1, 1, deflateSync(new Uint8Array(10_000_000))), /cannot be decompressed/);
  await refuses('too few rows', png(1, 2, row), /2 bytes of pixels, expected 4/);
  await refuses('too many rows', png(1, 1, deflateSync(new Uint8Array(4))), /cannot be decompressed/);
  await refuses('no zlib', png(1, 1, Uint8Array.of(1, 2, 3)), /cannot be decompressed/);
  await refuses('a cut stream', png(1, 1, row.subarray(0, 6)), /cannot be decompressed/);
  await refuses('filter 5', png(1, 1, deflateSync(Uint8Array.of(5, 0))), /filter 5/);
  await refuses('depth 3', png(1, 1, row, [3, 0, 0, 0, 0]), /no colour type 0 of 3 bits/);
  await refuses('colour type 5', png(1, 1, row, [8, 5, 0, 0, 0]), /no colour type 5/);
  await refuses('compression 1', png(1, 1, row, [8, 0, 1, 0, 0]), /no methods 1, 0 and 0/);
  await refuses('interlace 2', png(1, 1, row, [8, 0, 0, 0, 2]), /no methods 0, 0 and 2/);
  await refuses('no palette', png(1, 1, row, [8, 3, 0, 0, 0]), /colour 7 of 0/);
  const palette = chunk('PLTE', new Uint8Array(21));
  await refuses('a short palette', png(1, 1, row, [8, 3, 0, 0, 0], [palette]), /colour 7 of 7/);
  const damaged = read('rgb8.png');
  damaged[50]! ^= 1;
  await refuses('a flipped bit', damaged, /wrong CRC-32/);
});

/** Where the frame header of a JPEG is. */
function frameOf(file: Uint8Array): number {
  return file.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc1, 0xc2].includes(file[i + 1]!) && file[i + 2] === 0);
}

function withFrame(name: string, change: (frame: Uint8Array) => void): Uint8Array {
  const file = read(name);
  change(file.subarray(frameOf(file)));
  return file;
}

test('JPEGs that lie are refused before memory is asked for', async () => {
  const sized = (height: number, width: number) =>
    withFrame('baseline444.jpg', (frame) => frame.set([height >> 8, height & 255, width >> 8, width & 255], 5));
  await refuses('60,000 squared', sized(60_000, 60_000), /60000 x 60000, expected at most/);
  await refuses('4,000 squared', sized(4000, 4000), /bytes cannot hold 4000 x 4000/);
  await refuses('no rows', sized(0, 34), /size 34 x 0/);
  const changed = (at: number, value: number) =>
    withFrame('baseline444.jpg', (frame) => {
      frame[at] = value;
    });
  await refuses('lossless', changed(1, 0xc3), /SOF3 and 8 bits, expected/);
  await refuses('arithmetic', changed(1, 0xc9), /SOF9/);
  await refuses('12 bits', changed(4, 12), /12 bits/);
  await refuses('sampled 15 times', changed(11, 0xf1), /sampled 15 x 1 times/);
  await refuses('sampled 0 times', changed(11, 0x10), /sampled 1 x 0 times/);
  await refuses('255 components', changed(9, 255), /255 components/);
  const file = read('progressive444.jpg');
  const scan = file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xda);
  const scans = Array<Uint8Array>(200).fill(file.subarray(scan, -2));
  await refuses('scans', new Uint8Array(Buffer.concat([file.subarray(0, scan), ...scans])), /more than 100 scans/);
  const frame = file.subarray(frameOf(file), frameOf(file) + 19);
  const frames = Array<Uint8Array>(5000).fill(frame);
  const many = new Uint8Array(Buffer.concat([file.subarray(0, scan), ...frames, file.subarray(scan)]));
  await refuses('frames', many, /cannot be decoded/);
});

test('other files are refused', async () => {
  for (const text of ['', 'GIF89a', 'RIFF____WEBP', '\x89PN', '\xff\xd8', 'BM']) {
    await refuses(text, Uint8Array.from(Buffer.from(text, 'latin1')), /neither PNG nor JPEG/);
  }
  try {
    await decodeImage('x' as unknown as Uint8Array);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, TypeError);
  }
});

test('every prefix of an image is refused', async () => {
  for (const name of ['palette4-interlaced.png', 'rgb8.png', 'baseline420.jpg', 'progressive444.jpg', 'grey.jpg']) {
    const file = read(name);
    for (let length = 0; length < file.length; length++) {
      assert.instance(await attempt(file.subarray(0, length)), Error, `${name}: ${length} bytes`);
    }
  }
});

test(`${MUTATIONS} mutations of images are decoded or refused`, async () => {
  const random = seededRandom(7);
  const below = (n: number) => Math.floor(random() * n);
  let decoded = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const file = read(files[i % files.length]!);
    for (let edits = 1 + below(3); edits > 0; edits--) file[below(file.length)] = below(256);
    if (i % 2 === 0) repairChecksums(file);
    const result = await attempt(file);
    if (result instanceof Error) continue;
    decoded++;
    assert.is(result.data.length, result.width * result.height * result.channels);
  }
  assert.ok(decoded > MUTATIONS / 20, `${decoded}`);
});

/** Repairs those of a PNG's chunks, so that mutations reach the code behind them. */
function repairChecksums(file: Uint8Array): void {
  const view = new DataView(file.buffer);
  for (let at = 8; file[0] === 0x89 && at + 12 <= file.length; ) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > file.length) break;
    view.setUint32(end, crc32(file.subarray(at + 4, end)));
    at = end + 4;
  }
}

test.run();
