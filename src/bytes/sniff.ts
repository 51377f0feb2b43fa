/**
 * Recognises files by their first bytes. Names and addresses say little: people give weights where a graph is wanted,
 * and a server answers a mistyped address with a page.
 */
export type FileKind = keyof typeof KINDS;

/** What each kind is, and what to do if another was expected. */
const KINDS = {
  empty: 'empty: it has no graph and no weights',
  html: 'a web page (HTML), which servers send for addresses that they do not know: check the address',
  lfs: 'a Git LFS pointer, which only stands for the file: git lfs pull brings the file itself',
  json: 'JSON, which is no model; where it came from a server, it may say what went wrong',
  gzip: "gzip'd: unpack it first",
  hdf5: 'HDF5, as Keras writes it: convert it to safetensors or ONNX',
  zip: 'a zip archive, as torch.save writes .pth',
  pickle: 'a pickle, as old versions of torch.save wrote .pth',
  safetensors: 'of safetensors',
  onnx: 'an ONNX model, a graph with its weights: readOnnx and InferenceSession.create take it',
} as const;

/** The versions of the IR that may occur, and the fields that may follow it in a model. */
const NEWEST_IR_VERSION = 31;
const FIELDS_OF_MODELS = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72];
/** Text begins within these, after blanks. */
const HEAD_BYTES = 256;

/** Returns undefined for unknown kinds. */
export function fileKind(bytes: Uint8Array): FileKind | undefined {
  if (bytes.length === 0) return 'empty';
  const [first, second = 0, third = 0] = bytes;
  if (first === 0x80 && second >= 2 && second <= 5) return 'pickle';
  if (first === 0x1f && second === 0x8b) return 'gzip';
  if (first === 8 && second >= 1 && second <= NEWEST_IR_VERSION && FIELDS_OF_MODELS.includes(third)) return 'onnx';
  // The length of a header, which is far below 2^40, and its first character.
  if (bytes[5] === 0 && bytes[6] === 0 && bytes[7] === 0 && bytes[8] === 0x7b) return 'safetensors';
  const head = String.fromCharCode(...bytes.subarray(0, HEAD_BYTES));
  if (head.startsWith('PK\x03\x04')) return 'zip';
  if (head.startsWith('\x89HDF')) return 'hdf5';
  // Text, perhaps behind a byte order mark.
  const text = head.replace('\xef\xbb\xbf', '').trimStart();
  if (/^<(!doctype|html|head|body|\?xml|!--)/i.test(text)) return 'html';
  if (text.startsWith('version https://git-lfs')) return 'lfs';
  return /^[[{]/.test(text) ? 'json' : undefined;
}

export function describeKind(kind: FileKind): string {
  return KINDS[kind];
}
