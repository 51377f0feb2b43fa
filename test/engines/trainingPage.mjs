// examples/train in a browser, as a reader uses it: 200 steps on the images that come with it, on one thread. The loss
// falls, the page's thread is free, and the file that it gives has the same logits in Node, to the bit.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { serve } from '../../examples/train/serve.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MIN_STEPS = 200;
/** Milliseconds; people notice longer pauses. */
const MAX_PAUSE = 50;
/**
 * Share of the time. Other processes delay a page too; a page that did the work itself would be blocked all the time.
 */
const MAX_SHARE = 0.25;

/**
 * @param {(url: string) => Promise<import('puppeteer-core').Page>} open
 * @returns {Promise<{ checks: [name: string, complaint: string][], longestPause?: number }>} complaints are empty where
 *   all is well; milliseconds
 */
export async function checkTrainingPage(open) {
  const server = await serve(0, false);
  try {
    const page = await open(`${server.url}?simd=baseline`);
    const run = await page.evaluate(trainInPage, MAX_PAUSE);
    await page.close();
    if (run.error !== undefined) return { checks: [['training page', run.error]] };
    const { losses, longestPause, shareOfPauses } = run;
    const [first, last] = [losses.slice(0, 20), losses.slice(-20)].map(
      (part) => part.reduce((sum, loss) => sum + loss, 0) / part.length,
    );
    const steps = losses.length;
    const checks = [
      ['training page, steps', steps >= MIN_STEPS ? '' : `expected at least ${MIN_STEPS}, got ${steps}`],
      ['training page, loss', last < 0.7 * first ? '' : `began at ${first}, ended at ${last}`],
      [
        'training page, pauses',
        shareOfPauses < MAX_SHARE
          ? ''
          : `${shareOfPauses.toFixed(2)} of the time over ${MAX_PAUSE} ms, up to ${longestPause}`,
      ],
      ['training page, merged file', await compare(run)],
    ];
    return { checks, longestPause };
  } finally {
    server.close();
  }
}

/** Runs in the page. */
async function trainInPage(maxPause) {
  const { history } = await import('/examples/train/page.mjs');
  const form = document.getElementById('settings');
  Object.assign(form.elements.epochs, { value: 1 });
  Object.assign(form.elements.batchSize, { value: 24 });
  const start = performance.now();
  const pauses = [0];
  let last = start;
  const pulse = setInterval(() => {
    const now = performance.now();
    if (now - last > maxPause) pauses.push(now - last);
    last = now;
  }, 1);
  form.requestSubmit();
  while (history.done === undefined && history.error === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  clearInterval(pulse);
  const { losses, done, error } = history;
  if (error !== undefined) return { error };
  const link = [...document.querySelectorAll('#downloads a')].find(({ download }) => download.endsWith('.safetensors'));
  // The policy lets no script read a link's target; the file is what the link was made from.
  const file = done.files.find(({ name }) => name === link.download);
  return {
    losses,
    longestPause: Math.max(...pauses),
    shareOfPauses: pauses.reduce((sum, pause) => sum + pause, 0) / (performance.now() - start),
    logits: done.logits,
    normalisation: done.normalisation,
    file: [...file.bytes],
  };
}

/** @returns a complaint, where Node does not get the logits of the first test images that the page has shown */
async function compare({ file, logits, normalisation: { mean, std } }) {
  const { createRuntime, lenet5bn, readSafetensors, Tensor } = await import(
    pathToFileURL(path.join(ROOT, 'dist/index.js')).href
  );
  const packed = await readFile(path.join(ROOT, 'examples/fashion-mnist/t10k-1000-images-idx3-ubyte.gz'));
  const pixels = gunzipSync(packed).subarray(16);
  const count = logits.length / 10;
  const input = Float32Array.from(pixels.subarray(0, count * 784), (pixel) => (pixel / 255 - mean[0]) / std[0]);
  const runtime = await createRuntime({ simd: 'baseline' });
  const model = lenet5bn(runtime, { form: 'deploy' })
    .loadStateDict(readSafetensors(Uint8Array.from(file)).tensors)
    .eval();
  const { data } = model.forward(new Tensor('float32', input, [count, 1, 28, 28]));
  const difference = data.findIndex((value, i) => !Object.is(value, logits[i]));
  runtime.dispose();
  if (data.length === logits.length && difference < 0) return '';
  return `logit ${difference} is ${data[difference]} in Node, ${logits[difference]} in the page`;
}
