/**
 * Charts as files: PNG, SVG, and CSV with all points.
 */

import { drawChart, layOut } from './chart.js';
import { loadCurve } from './curves.js';
import { h } from './dom.js';
import { MAIN } from './metrics.js';
import { titleOf } from './names.js';
import { PicturePen } from './picture.js';
import { rangeOf } from './series.js';
import { chartTheme } from './theme.js';

const [WIDTH, HEIGHT, HEAD, LEGEND] = [960, 540, 34, 18];
const SHARP = 2;
const COLUMN = 240;
/** The server gives so many points of a curve in one answer. */
const AT_ONCE = 10_000;

/** @param {import('./chart.js').Chart} chart */
export function savePng(title, chart) {
  const height = HEIGHT + legendHeight(chart);
  const canvas = h('canvas');
  Object.assign(canvas, { width: WIDTH * SHARP, height: height * SHARP });
  const pen = canvas.getContext('2d');
  pen.scale(SHARP, SHARP);
  drawPicture(pen, title, chart, height);
  canvas.toBlob((blob) => save(`${fileName(title)}.png`, blob), 'image/png');
}

/** @param {import('./chart.js').Chart} chart */
export function saveSvg(title, chart) {
  const height = HEIGHT + legendHeight(chart);
  const pen = new PicturePen(WIDTH, height);
  drawPicture(pen, title, chart, height);
  save(`${fileName(title)}.svg`, new Blob([pen.text()], { type: 'image/svg+xml' }));
}

/** A chart with its title above, and the names of its lines below. */
function drawPicture(pen, title, chart, height) {
  const theme = chartTheme();
  pen.fillStyle = theme.paper;
  pen.fillRect(0, 0, WIDTH, height);
  drawChart(pen, chart, layOut(chart, WIDTH, HEIGHT, HEAD), theme);
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  pen.fillStyle = theme.ink;
  pen.font = theme.font.replace('11px', '15px');
  pen.fillText(title, 14, HEAD / 2);
  pen.font = theme.font;
  chart.lines.forEach(({ name, suffix, color }, i) => {
    const [x, y] = [14 + (i % columns()) * COLUMN, HEIGHT + 8 + Math.floor(i / columns()) * LEGEND];
    pen.fillStyle = color;
    pen.fillRect(x, y - 4, 9, 9);
    pen.fillStyle = theme.ink;
    pen.fillText(titleOf({ name: name.slice(0, suffix ? 34 - suffix.length - 3 : 34), suffix }), x + 15, y);
  });
}

const columns = () => Math.floor((WIDTH - 20) / COLUMN);
const legendHeight = (chart) => Math.ceil(chart.lines.length / columns()) * LEGEND + 8;

/** All points of the curves that a panel shows, a row a point. */
export async function saveCsv(title, wanted) {
  const curves = await Promise.all(wanted.map(({ asked }) => allPoints(asked)));
  const axis = wanted[0]?.asked.x ?? 'x';
  const hasWriters = wanted.some(({ writer }) => writer !== MAIN);
  const rows = wanted.flatMap(({ run, writer }, i) =>
    curves[i].map(([x, y]) => [run.name, run.values.get('id'), ...(hasWriters ? [writer] : []), x, y]),
  );
  const head = ['run', 'id', ...(hasWriters ? ['writer'] : []), axis, title];
  save(
    `${fileName(title)}.csv`,
    new Blob([csvOf([head, ...rows])], { type: 'text/csv' }),
  );
}

/** Each point of a curve: where the server reduces them, both halves are asked for. */
async function allPoints(asked) {
  const { x, y, min, marks = [] } = await loadCurve({ ...asked, points: AT_ONCE });
  const [low, high] = rangeOf([{ x, marks }]) ?? [0, 0];
  const isReduced = min || marks.some(([, , count]) => count > 1);
  if (!isReduced || !(low < high))
    return [...x.map((at, i) => [at, y[i]]), ...marks.map((mark) => mark.slice(0, 2))].sort(
      (a, b) => a[0] - b[0],
    );
  const middle = low + (high - low) / 2;
  const [left, right] = await Promise.all([
    allPoints({ ...asked, to: middle }),
    allPoints({ ...asked, from: middle, to: asked.to }),
  ]);
  return [...left, ...right.filter(([at]) => at > middle)];
}

/** Rows as CSV (RFC 4180). */
function csvOf(lines) {
  return lines
    .map((line) => line.map(csvCell).join(','))
    .join('\r\n')
    .concat('\r\n');
}

function csvCell(value) {
  const text = value === null || value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const fileName = (title) => title.replace(/[^\w.-]+/g, '-').slice(0, 80);

/** Hand a file to whoever looks at the page. */
export function save(name, blob) {
  const address = URL.createObjectURL(blob);
  h('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
