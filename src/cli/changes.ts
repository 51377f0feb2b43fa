/** Rotated and mirrored images, to test networks that have never seen such. */
import type { Dataset } from '../train/dataset.js';

/** Where a pixel of a changed image comes from, in an image of this height and width. */
type Source = (row: number, column: number, height: number, width: number) => readonly [row: number, column: number];

interface Change {
  readonly title: string;
  readonly source: Source;
  /** Whether height and width change places. */
  readonly isQuarter?: boolean;
}

/** Rotated counterclockwise. */
export const CHANGES = {
  none: { title: 'as they are', source: (row, column) => [row, column] },
  turned90: { title: 'turned by 90°', source: (row, column, _, width) => [column, width - 1 - row], isQuarter: true },
  turned180: {
    title: 'turned by 180°',
    source: (row, column, height, width) => [height - 1 - row, width - 1 - column],
  },
  turned270: { title: 'turned by 270°', source: (row, column, height) => [height - 1 - column, row], isQuarter: true },
  upsideDown: { title: 'upside down', source: (row, column, height) => [height - 1 - row, column] },
  mirrored: { title: 'mirrored', source: (row, column, _, width) => [row, width - 1 - column] },
} as const satisfies Readonly<Record<string, Change>>;

export type ChangeName = keyof typeof CHANGES;

/** Those that keep the dims, which networks are made for. */
export function changesFor({ dims: [, height, width] }: Dataset): ChangeName[] {
  const names = Object.keys(CHANGES) as ChangeName[];
  return height === width ? names : names.filter((name) => !('isQuarter' in CHANGES[name]));
}

/** The same images, changed. */
export function changed(data: Dataset, name: ChangeName): Dataset {
  const [channels, height, width] = data.dims;
  const { source }: Change = CHANGES[name];
  const plane = height * width;
  const from = Uint32Array.from({ length: plane }, (_, i) => {
    const [row, column] = source(Math.floor(i / width), i % width, height, width);
    return row * width + column;
  });
  const image = new Uint8Array(channels * plane);
  const read = (index: number, target: Uint8Array): number => {
    const label = data.read(index, image);
    for (let channel = 0; channel < channels; channel++) {
      const at = channel * plane;
      for (let i = 0; i < plane; i++) target[at + i] = image[at + from[i]!]!;
    }
    return label;
  };
  return { ...data, read };
}
