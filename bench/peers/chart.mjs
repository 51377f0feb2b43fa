// The charts of bench/RESULTS.md and bench/NETWORKS.md: GF/s of every contestant on every row of a report as grouped
// horizontal bars, plain SVG.

const WIDTH = 920;
const LEFT = 190;
const RIGHT = 56;
const TOP = 92;
const BAR = 9;
const GROUP_GAP = 10;
/** Okabe and Ito's colours, which everyone can tell apart; the package's own is the darkest. */
const COLOURS = ['#0072b2', '#e69f00', '#cc79a7', '#9aa0a6'];

/** @param subject what the rows are, in the plural */
export function chart({ ours, peers, versions, machine, simd, rows }, subject) {
  const everyone = [ours, ...peers];
  const groupHeight = everyone.length * BAR + GROUP_GAP;
  const bottom = TOP + rows.length * groupHeight;
  const highest = Math.max(...rows.flatMap(({ gflops }) => Object.values(gflops)));
  const step = gridStep(highest);
  const end = Math.ceil(highest / step) * step;
  const across = (value) => LEFT + (value / end) * (WIDTH - LEFT - RIGHT);

  const lines = [
    text(16, 28, `${subject}, one thread, batch 1: GF/s, longer is faster`, 'title'),
    text(16, 46, `${machine.cpu}, Node ${machine.node}; ${ours} in its ${simd} build`, 'note'),
  ];
  for (const [i, name] of everyone.entries()) {
    const x = 16 + i * 220;
    lines.push(`<rect x="${x}" y="60" width="12" height="12" fill="${COLOURS[i]}"/>`);
    lines.push(text(x + 18, 70, `${name} ${versions[name]}`, 'legend'));
  }
  for (let value = 0; value <= end; value += step) {
    const x = round(across(value));
    lines.push(
      `<line x1="${x}" y1="${TOP - 4}" x2="${x}" y2="${bottom}" stroke="${value === 0 ? '#888' : '#e2e2e2'}"/>`,
    );
    lines.push(text(x, bottom + 14, String(value), 'axis'));
  }
  lines.push(text(WIDTH - 16, bottom + 14, 'GF/s', 'end'));
  for (const [i, row] of rows.entries()) {
    const top = TOP + i * groupHeight;
    const middle = top + (everyone.length * BAR) / 2;
    if (i > 0 && rows[i - 1].network !== row.network) {
      const y = top - GROUP_GAP / 2;
      lines.push(`<line x1="16" y1="${y}" x2="${WIDTH - 16}" y2="${y}" stroke="#c8c8c8"/>`);
    }
    if (rows[i - 1]?.network !== row.network) lines.push(text(16, middle + 4, row.network, 'network'));
    lines.push(text(LEFT - 8, middle + 4, row.name.replace(/^(\S+) /, '$1  '), 'shape'));
    for (const [k, name] of everyone.entries()) {
      const y = top + k * BAR;
      const value = row.gflops[name];
      const length = round(across(value) - LEFT);
      lines.push(`<rect x="${LEFT}" y="${y}" width="${length}" height="${BAR - 1}" fill="${COLOURS[k]}"/>`);
      lines.push(text(LEFT + length + 4, y + BAR - 2, value.toFixed(0), 'value'));
    }
  }
  const height = bottom + 28;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>GF/s of ${everyone.join(', ')} on ${rows.length} rows: ${subject}</title>
<style>
text { font-family: 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif; font-size: 11px; fill: #222; }
.title { font-size: 15px; font-weight: bold; }
.note, .axis, .end { fill: #555; }
.network { font-weight: bold; }
.shape, .end { text-anchor: end; }
.axis { text-anchor: middle; }
.value { font-size: 8.5px; fill: #444; }
</style>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${lines.join('\n')}
</svg>
`;
}

/** Some four to eight grid lines at round numbers. */
function gridStep(highest) {
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  return power * [1, 2, 5, 10].find((factor) => highest / (power * factor) <= 8);
}

function text(x, y, content, kind) {
  return `<text x="${x}" y="${round(y)}" class="${kind}">${escapeXml(content)}</text>`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

function escapeXml(value) {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
