// The page: settings, buttons, charts. All work is the worker's, so that the page answers at any time.
import { Charts } from './charts.mjs';

/** Milliseconds between two drawings; steps may be shorter. */
const MIN_MILLISECONDS = 200;
const query = new URLSearchParams(location.search);
const element = (id) => document.getElementById(id);
const charts = new Charts(element('loss'), element('accuracy'));

/** What the worker has told: losses of all steps, and how it ended. For readers outside the page, such as the test. */
export const history = { losses: [], epochs: [], done: undefined, error: undefined };

let worker;
let files = [];
let latest;
let begin;
let drawn = 0;
let isPaused = false;

tellThreads();
element('files').addEventListener('change', ({ target }) => choose(target.files));
for (const [type, isOver] of [
  ['dragover', true],
  ['dragleave', false],
  ['drop', false],
]) {
  element('drop').addEventListener(type, (event) => {
    event.preventDefault();
    element('drop').classList.toggle('over', isOver);
    if (type === 'drop') choose(event.dataTransfer.files);
  });
}
element('settings').addEventListener('submit', (event) => {
  event.preventDefault();
  start();
});
element('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  worker.postMessage({ type: isPaused ? 'pause' : 'resume' });
  element('pause').textContent = isPaused ? 'Go on' : 'Pause';
  begin = undefined;
});
element('stop').addEventListener('click', () => {
  worker.postMessage({ type: 'stop' });
  setButtons(false);
  element('start').disabled = true;
  tell('Stopping …');
});

function choose(list) {
  files = [...list];
  element('chosen').textContent = files.map(({ name }) => name).join(', ') || 'No files';
}

function start() {
  worker?.terminate();
  worker = new Worker(new URL('worker.mjs', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }) => receive(data));
  worker.addEventListener('error', ({ message }) => fail(message || 'The worker could not be started.'));
  Object.assign(history, { losses: [], epochs: [], done: undefined, error: undefined });
  [latest, begin, isPaused] = [undefined, undefined, false];
  for (const link of element('downloads').children) URL.revokeObjectURL(link.href);
  element('result').hidden = true;
  element('pause').textContent = 'Pause';
  setButtons(true);
  tell('Reading images …');
  const { form, ...numbers } = Object.fromEntries(new FormData(element('settings')));
  const settings = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
  worker.postMessage({
    type: 'start',
    files,
    form,
    ...settings,
    simd: query.get('simd') ?? 'auto',
    threads: threads(),
  });
}

function receive(message) {
  if (message.type === 'ready') charts.clear(message.steps);
  if (message.type === 'step') {
    history.losses.push(message.loss);
    charts.addStep(message);
    latest = message;
    begin ??= { time: performance.now(), step: message.step };
    if (drawn === 0) drawn = requestAnimationFrame(draw);
  }
  if (message.type === 'epoch') {
    history.epochs.push(message);
    charts.addEpoch(message);
  }
  if (message.type === 'done') finish(message);
  if (message.type === 'error') fail(message.message);
}

function draw() {
  if (latest !== undefined) {
    charts.draw();
    element('progress').value = latest.step / latest.steps;
    tell(statusOf(latest));
  }
  setTimeout(() => {
    drawn = 0;
  }, MIN_MILLISECONDS);
}

function statusOf({ epoch, step, steps, images, loss }) {
  const seconds = (performance.now() - begin.time) / 1000;
  const perSecond = (step - begin.step) / seconds;
  const accuracy = history.epochs.at(-1)?.validation.accuracy;
  const parts = [
    `${isPaused ? 'Paused, epoch' : 'Epoch'} ${epoch}`,
    `step ${step} of ${steps}`,
    `loss ${loss.toFixed(3)}`,
    ...(accuracy === undefined ? [] : [`accuracy ${percent(accuracy)}`]),
    ...(seconds > 1 && perSecond > 0
      ? [`${Math.round(perSecond * images).toLocaleString('en')} images/s`, `${left((steps - step) / perSecond)} left`]
      : []),
  ];
  return parts.join(' · ');
}

/** A little in each frame, so that the page is never held up. */
async function finish(message) {
  const { accuracy, deployAccuracy, difference, images, files: written, examples } = message;
  latest = undefined;
  charts.draw();
  for (const id of ['pause', 'stop']) element(id).disabled = true;
  element('progress').value = 1;
  tell('Done.');
  element('merged').textContent =
    `Of ${images.toLocaleString('en')} test images ${percent(accuracy)} right with three branches, ` +
    `${percent(deployAccuracy)} with one; the logits differ by ${difference.toExponential(1)} of the largest.`;
  if (message.form === 'base') element('merged').textContent = `${percent(deployAccuracy)} of the test images right.`;
  element('downloads').replaceChildren();
  element('examples').replaceChildren();
  element('result').hidden = false;
  for (const file of written) {
    await frame();
    element('downloads').append(linkTo(file));
  }
  for (const example of examples) {
    await frame();
    element('examples').append(drawExample(example));
  }
  setButtons(false);
  history.done = message;
}

function frame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

function linkTo({ name, bytes }) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  link.download = name;
  link.textContent = `${name}, ${Math.round(bytes.length / 1000).toLocaleString('en')} kB`;
  return link;
}

function drawExample({ pixels, height, width, label, predicted }) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  pixels.forEach((value, i) => {
    image.data.set([255 - value, 255 - value, 255 - value, 255], 4 * i);
  });
  canvas.getContext('2d').putImageData(image, 0, 0);
  const item = document.createElement('li');
  const isRight = label === predicted;
  item.className = isRight ? 'right' : 'wrong';
  item.append(canvas, isRight ? label : `${predicted}, is ${label}`);
  return item;
}

function fail(message) {
  history.error = message;
  latest = undefined;
  setButtons(false);
  tell(message, true);
}

function tell(text, hasFailed = false) {
  element('status').textContent = text;
  element('status').classList.toggle('failed', hasFailed);
}

function setButtons(isRunning) {
  element('start').disabled = isRunning;
  element('pause').disabled = !isRunning;
  element('stop').disabled = !isRunning;
}

function threads() {
  return Number(query.get('threads') ?? (crossOriginIsolated ? navigator.hardwareConcurrency : 1));
}

function tellThreads() {
  const cores = navigator.hardwareConcurrency;
  element('threads').textContent = crossOriginIsolated
    ? `Trains on ${threads()} threads; the page is cross-origin isolated.`
    : `Trains on one thread of ${cores}. Served with the headers Cross-Origin-Opener-Policy: same-origin and ` +
      `Cross-Origin-Embedder-Policy: require-corp (npm run page -- --isolated), the page is cross-origin isolated, may ` +
      `share memory, and trains on all of them, to the same bits in less time.`;
}

function percent(share) {
  return `${(100 * share).toFixed(2)} %`;
}

function left(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`;
}
