// The two charts, drawn by uPlot: the loss of training as means over parts of the run, and what each epoch gave.
import UPlot from '../../node_modules/uplot/dist/uPlot.esm.js';

/** Points of the line of training; more would not be visible. */
const MAX_POINTS = 300;
const HEIGHT = 220;
const FONT = '12px system-ui, sans-serif';

export class Charts {
  #loss;
  #accuracy;
  #steps = 1;
  #sums = new Float64Array(MAX_POINTS);
  #counts = new Uint32Array(MAX_POINTS);
  #epochs = [];

  /**
   * @param {HTMLElement} loss
   * @param {HTMLElement} accuracy
   */
  constructor(loss, accuracy) {
    this.#loss = chart(loss, [
      { label: 'training', colour: '--accent' },
      { label: 'test', colour: '--second' },
    ]);
    this.#accuracy = chart(accuracy, [{ label: 'test', colour: '--second' }]);
  }

  /** Begins anew. @param {number} steps of the whole run */
  clear(steps) {
    this.#steps = steps;
    this.#sums.fill(0);
    this.#counts.fill(0);
    this.#epochs = [];
    this.draw();
  }

  addStep({ step, loss }) {
    const part = Math.min(MAX_POINTS - 1, Math.floor(((step - 1) / this.#steps) * MAX_POINTS));
    this.#sums[part] += loss;
    this.#counts[part]++;
  }

  addEpoch({ step, validation }) {
    this.#epochs.push({ step, ...validation });
  }

  draw() {
    const points = this.#epochs.map(({ step, loss }) => [step, null, loss]);
    for (let part = 0; part < MAX_POINTS; part++) {
      if (this.#counts[part] === 0) continue;
      points.push([((part + 0.5) * this.#steps) / MAX_POINTS, this.#sums[part] / this.#counts[part], null]);
    }
    points.sort(([one], [other]) => one - other);
    this.#loss.setData([0, 1, 2].map((column) => points.map((point) => point[column])));
    this.#accuracy.setData([this.#epochs.map(({ step }) => step), this.#epochs.map(({ accuracy }) => 100 * accuracy)]);
    for (const one of [this.#loss, this.#accuracy]) one.setScale('x', { min: 0, max: this.#steps });
  }
}

function chart(parent, lines) {
  const axis = { stroke: colourOf('--muted'), grid: { stroke: colourOf('--line'), width: 1 }, ticks: { show: false } };
  const options = {
    width: parent.clientWidth,
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: 'step', size: 30, labelSize: 20, labelFont: FONT, font: FONT },
      { ...axis, size: 48, font: FONT },
    ],
    series: [
      { label: 'step', value: (_, step) => (step === null ? '' : Math.round(step).toString()) },
      ...lines.map(({ label, colour }) => ({
        label,
        stroke: colourOf(colour),
        width: 2,
        spanGaps: true,
        value: (_, value) => value?.toFixed(3) ?? '',
      })),
    ],
  };
  const plot = new UPlot(options, [[], ...lines.map(() => [])], parent);
  new ResizeObserver(() => plot.setSize({ width: parent.clientWidth, height: HEIGHT })).observe(parent);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw());
  return plot;
}

/** What a canvas needs: the colour that a property of the page's style has now, in one scheme or the other. */
function colourOf(property) {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  return () => getComputedStyle(probe).color;
}
