/** What a model takes the images of each class for. */
import type { Tensor } from '../index.js';
import type { Batches } from '../train/batches.js';
import { matrixChart } from './matrixChart.js';
import { breathe } from './progress.js';
import { count } from './table.js';

/** The part of a layer in evaluation mode used here. */
export interface Classifier {
  forward(input: Tensor): Tensor;
}

export interface Predictions {
  /** [class][prediction]: numbers of images. */
  readonly confusion: readonly Uint32Array[];
  readonly accuracy: number;
  /** Logits of all images, in order. */
  readonly logits: readonly Float32Array[];
}

/** @param signal ends the work with its reason */
export async function predict(model: Classifier, batches: Batches, signal: AbortSignal): Promise<Predictions> {
  const { classes, size } = batches.data;
  const confusion = classes.map(() => new Uint32Array(classes.length));
  const logits: Float32Array[] = [];
  let correct = 0;
  for (const { input, labels } of batches.inOrder()) {
    signal.throwIfAborted();
    const output = model.forward(input);
    const { data } = output;
    const outputs = output.dims[1]!;
    output.dispose();
    logits.push(data);
    labels.forEach((label, i) => {
      const row = data.subarray(i * outputs, i * outputs + classes.length);
      const predicted = row.reduce((best, value, at) => (value > row[best]! ? at : best), 0);
      confusion[label]![predicted]!++;
      if (predicted === label) correct++;
    });
    await breathe();
  }
  return { confusion, accuracy: correct / size, logits };
}

/** @param what the images are */
export function confusionChart(confusion: readonly Uint32Array[], classes: readonly string[], what: string): string {
  const total = confusion.reduce((sum, row) => sum + sumOf(row), 0);
  const correct = confusion.reduce((sum, row, label) => sum + row[label]!, 0);
  return matrixChart({
    title: `${count(total)} ${what} images, ${((100 * correct) / total).toFixed(2)} % right`,
    note: 'Numbers of images; the colour is their share of the class',
    rows: 'class',
    columns: 'taken for',
    matrices: [
      {
        shares: confusion.map((row) => Array.from(row, (one) => one / Math.max(1, sumOf(row)))),
        texts: confusion.map((row) => Array.from(row, (one) => (one === 0 ? '' : String(one)))),
        rowNames: classes,
        columnNames: classes,
      },
    ],
  });
}

function sumOf(row: Uint32Array): number {
  return row.reduce((sum, one) => sum + one, 0);
}
