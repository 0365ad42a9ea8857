/**
 * Drawing a chart. The only module that knows how: onto a canvas, or onto a PicturePen for SVG, which
 * answer to the same names.
 */

import { spaced, uncovered } from './marks.js';
import { makeScale, labelsOf, linearTicks, logTicks, axisKind } from './scales.js';

/**
 * @typedef {object} Chart
 * @property {import('./series.js').Line[]} lines
 * @property {string} axis
 * @property {[number, number]} xDomain
 * @property {[number, number]} yDomain
 * @property {boolean} log
 * @property {boolean} xLog
 * @property {string|null} [strong] id of the line that stands out
 *
 * @typedef {{ink: string, muted: string, grid: string, paper: string, font: string}} Theme
 */

const ABOVE = 8;
const BELOW = 22;
const RIGHT = 10;
const LETTER = 6.3;
const MARK = 3.5;
/** Bands of more lines are fainter, so that many of them do not hide the lines. */
const FEW = 2;

/** Where things are on a chart of a size: scales, ticks, the frame of the lines; `above` is left free. */
export function layOut(chart, width, height, above = ABOVE) {
  const rows = Math.min(8, Math.max(2, Math.floor((height - above - BELOW) / 34)));
  const yTicks = chart.log ? logTicks(chart.yDomain, rows) : linearTicks(chart.yDomain, rows);
  const labels = labelsOf(yTicks);
  const left = Math.ceil(Math.max(...labels.map((label) => label.length), 2) * LETTER) + 12;
  const frame = {
    left,
    right: Math.max(width - RIGHT, left + 1),
    top: above,
    bottom: Math.max(height - BELOW, above + 1),
  };
  const kind = axisKind(
    chart.axis,
    chart.lines.every(({ x }) => x.every(Number.isInteger)),
  );
  return {
    frame,
    kind,
    labels,
    yTicks,
    x: makeScale(chart.xDomain, [frame.left, frame.right], chart.xLog),
    y: makeScale(chart.yDomain, [frame.bottom, frame.top], chart.log),
    xTicks: (chart.xLog ? logTicks : kind.ticks)(
      chart.xDomain,
      Math.max(2, Math.floor((frame.right - frame.left) / 80)),
    ),
  };
}

/**
 * Draw a chart, but for what follows the pointer.
 * @param {CanvasRenderingContext2D} pen
 * @param {Chart} chart
 * @param {ReturnType<typeof layOut>} layout
 * @param {Theme} theme
 */
export function drawChart(pen, chart, layout, theme) {
  drawGrid(pen, chart, layout, theme);
  const { frame } = layout;
  pen.save();
  pen.beginPath();
  pen.rect(frame.left - 1, frame.top - 1, frame.right - frame.left + 2, frame.bottom - frame.top + 2);
  pen.clip();
  const order = [...chart.lines].sort(
    (a, b) => Number(a.id === chart.strong) - Number(b.id === chart.strong),
  );
  const light = Math.sqrt(Math.min(1, FEW / order.length));
  for (const line of order) drawBand(pen, line, layout, strengthOf(chart, line) * light);
  for (const line of order) drawLine(pen, line, layout, strengthOf(chart, line));
  drawMarks(pen, marked(chart, order), layout, theme);
  pen.restore();
}

/** How strongly a line is drawn: those beside one that stands out are faint. */
function strengthOf(chart, line) {
  return chart.strong == null || line.id === chart.strong ? 1 : 0.18;
}

function drawGrid(pen, chart, { frame, kind, labels, yTicks, x, y, xTicks }, theme) {
  pen.font = theme.font;
  pen.fillStyle = theme.muted;
  pen.strokeStyle = theme.grid;
  pen.lineWidth = 1;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  yTicks.forEach((tick, i) => {
    const at = Math.round(y.place(tick)) + 0.5;
    stroke(pen, [
      [frame.left, at],
      [frame.right, at],
    ]);
    pen.fillText(labels[i], frame.left - 6, at);
  });
  pen.textBaseline = 'top';
  const span = chart.xDomain[1] - chart.xDomain[0];
  const words = kind.labels(xTicks, span);
  xTicks.forEach((tick, i) => {
    const at = x.place(tick);
    pen.textAlign = at > frame.right - 16 ? 'right' : at < frame.left + 6 ? 'left' : 'center';
    stroke(pen, [
      [Math.round(at) + 0.5, frame.bottom],
      [Math.round(at) + 0.5, frame.bottom + 3],
    ]);
    pen.fillText(words[i], Math.min(at, frame.right), frame.bottom + 7);
  });
}

function stroke(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

/** The band between least and greatest value, where points were reduced or runs were grouped. */
function drawBand(pen, { color, x, min, max, raw, isSpread }, layout, strength) {
  if (!min || !max) return;
  pen.fillStyle = color;
  pen.globalAlpha = strength * (raw && !isSpread ? 0.1 : 0.18);
  for (const [from, to] of pieces(
    x,
    (i) => isFinite(min[i]) && isFinite(max[i]) && min[i] !== null && max[i] !== null,
  )) {
    pen.beginPath();
    for (let i = from; i < to; i += 1) pen.lineTo(layout.x.place(x[i]), layout.y.place(max[i]));
    for (let i = to - 1; i >= from; i -= 1) pen.lineTo(layout.x.place(x[i]), layout.y.place(min[i]));
    pen.fill();
  }
  pen.globalAlpha = 1;
}

function drawLine(pen, line, layout, strength) {
  pen.strokeStyle = line.color;
  pen.lineJoin = 'round';
  if (line.raw && !line.isSpread) trace(pen, line.x, line.raw, layout, strength * 0.28, 1);
  pen.setLineDash(line.dash ?? []);
  trace(pen, line.x, line.y, layout, strength, strength === 1 ? 1.6 : 1.2);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function trace(pen, x, y, layout, alpha, width) {
  pen.globalAlpha = alpha;
  pen.lineWidth = width;
  for (const [from, to] of pieces(x, (i) => y[i] !== null && isFinite(y[i]))) {
    if (to - from === 1) dot(pen, layout.x.place(x[from]), layout.y.place(y[from]), 2, pen.strokeStyle);
    pen.beginPath();
    for (let i = from; i < to; i += 1) pen.lineTo(layout.x.place(x[i]), layout.y.place(y[i]));
    pen.stroke();
  }
}

/** The parts of a line without holes, as [first, end). */
function* pieces(x, isThere) {
  for (let i = 0; i < x.length;) {
    if (!isThere(i)) {
      i += 1;
      continue;
    }
    const from = i;
    while (i < x.length && isThere(i)) i += 1;
    yield [from, i];
  }
}

function dot(pen, x, y, radius, color) {
  pen.fillStyle = color;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

/** The lines whose marks are drawn: those beside one that stands out would hide its own. */
function marked({ strong }, lines) {
  return strong == null ? lines : lines.filter((line) => line.id === strong);
}

/** NaN is a cross on the curve, an infinity an arrow at the edge, a rewind a flag at the bottom. */
function drawMarks(pen, lines, { frame, x, y }, theme) {
  const isInside = ([at]) => at >= x.domain[0] && at <= x.domain[1];
  const inside = lines.map((line) => ({ ...line, marks: line.marks.filter(isInside) }));
  for (const one of spaced(inside, 'Infinity', x.place))
    arrow(pen, one.x, frame.top + 1, MARK, one.line.color);
  for (const one of spaced(inside, '-Infinity', x.place))
    arrow(pen, one.x, frame.bottom - 1, -MARK, one.line.color);
  const crosses = inside
    .flatMap((line) => spaced([line], 'NaN', x.place))
    .map((one) => ({ ...one, y: clamp(y.place(valueNear(one.line, one.at) ?? y.domain[0]), frame) }));
  for (const one of uncovered(crosses)) cross(pen, one.x, one.y, theme.paper, one.line.color);
  for (const line of lines)
    for (const at of line.rewinds) flag(pen, x.place(at), frame, line.color);
}


function clamp(place, frame) {
  return Math.min(Math.max(place, frame.top + MARK + 1), frame.bottom - MARK - 1);
}

/** The value of a line at or before a place, else the first one behind it. */
function valueNear({ x, y }, at) {
  let found = null;
  for (let i = 0; i < x.length && (x[i] <= at || found === null); i += 1) if (y[i] !== null) found = y[i];
  return found;
}

function cross(pen, x, y, paper, color) {
  dot(pen, x, y, MARK + 2.5, paper);
  pen.strokeStyle = color;
  pen.lineWidth = 1.8;
  stroke(pen, [
    [x - MARK, y - MARK],
    [x + MARK, y + MARK],
  ]);
  stroke(pen, [
    [x - MARK, y + MARK],
    [x + MARK, y - MARK],
  ]);
}

function arrow(pen, x, y, size, color) {
  pen.fillStyle = color;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - Math.abs(size), y + 2 * size);
  pen.lineTo(x + Math.abs(size), y + 2 * size);
  pen.fill();
}

function flag(pen, x, frame, color) {
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.setLineDash([2, 3]);
  stroke(pen, [
    [x, frame.top],
    [x, frame.bottom],
  ]);
  pen.setLineDash([]);
  pen.fillStyle = color;
  pen.beginPath();
  pen.moveTo(x, frame.bottom - 9);
  pen.lineTo(x - 7, frame.bottom - 5);
  pen.lineTo(x, frame.bottom - 1);
  pen.fill();
}

/**
 * Draw what follows the pointer: the line at a place, and a dot on each curve; or what is chosen by dragging.
 * @param {object} cursor
 * @param {number|null} cursor.at
 * @param {{x: number, y: number, color: string}[]} cursor.points
 * @param {[number, number]|null} cursor.span
 */
export function drawCursor(pen, layout, theme, { at, points, span }) {
  const { frame } = layout;
  if (span) {
    const [from, to] = span.map(layout.x.place);
    pen.fillStyle = theme.ink;
    pen.globalAlpha = 0.09;
    pen.fillRect(Math.min(from, to), frame.top, Math.abs(to - from), frame.bottom - frame.top);
    pen.globalAlpha = 1;
  }
  if (at === null || at < layout.x.domain[0] || at > layout.x.domain[1]) return;
  pen.strokeStyle = theme.muted;
  pen.lineWidth = 1;
  const place = Math.round(layout.x.place(at)) + 0.5;
  pen.globalAlpha = 0.6;
  stroke(pen, [
    [place, frame.top],
    [place, frame.bottom],
  ]);
  pen.globalAlpha = 1;
  for (const point of points) {
    const y = layout.y.place(point.y);
    if (!(y >= frame.top - 1 && y <= frame.bottom + 1)) continue;
    dot(pen, layout.x.place(point.x), y, 4.5, theme.paper);
    dot(pen, layout.x.place(point.x), y, 3, point.color);
  }
}
