/**
 * Draws what a table says that it is: lines, points, bars, a histogram, a matrix. The table stands below.
 */

import { PALETTE } from './colors.js';
import { Drawing, s } from './comparesvg.js';
import { hideReadout, showReadout } from './cursor.js';
import { h } from './dom.js';
import { labelsOf, linearTicks, makeScale } from './scales.js';
import { nearest } from './series.js';
import { formatNumber } from './values.js';

const [LEFT, RIGHT, TOP, BOTTOM] = [12, 14, 10, 40];
/** A letter is about so wide; a row of bars so high; a label at the side at most so long. */
const [LETTER, ROW, LONGEST] = [6.3, 22, 24];
const MARGIN = 0.05;
/** Points further from the pointer are not read. */
const REACH = 24;
const WORDS = { lines: 'line plot', points: 'scatter plot', bars: 'bars', histogram: 'histogram' };

const colorAt = (i) => PALETTE[i % PALETTE.length];

export class TablePlot {
  /** @param {import('./plotted.js').Plotted} plotted */
  constructor(plotted) {
    this.plotted = plotted;
    this.drawing = new Drawing(describe(plotted), (width, height) => this.draw(width, height));
    this.drawing.svg.setAttribute('role', 'img');
    this.drawing.svg.addEventListener('pointermove', (event) => this.read(event));
    this.drawing.svg.addEventListener('pointerleave', hideReadout);
    const { bars, left, title } = plotted;
    if (bars) this.drawing.element.style.minHeight = `${bars.length * ROW + BOTTOM + TOP}px`;
    this.element = h(
      'figure',
      { class: 'table-plot' },
      title && h('figcaption', { text: title }),
      legend(plotted),
      this.drawing.element,
      left > 0 && h('p', { class: 'muted', text: `${left.toLocaleString('en-US')} rows are not drawn` }),
    );
  }

  close() {
    this.drawing.close();
  }

  draw(width, height) {
    const { kind } = this.plotted;
    const draw = { bars: drawBars, matrix: drawMatrix, histogram: drawHistogram }[kind] ?? drawSeries;
    const { shapes, read } = draw(this.plotted, width, height);
    this.readAt = read;
    return shapes;
  }

  /** Say what is at the pointer. */
  read(event) {
    const box = this.drawing.svg.getBoundingClientRect();
    const found = this.readAt?.(event.clientX - box.left, event.clientY - box.top);
    if (!found) return hideReadout();
    const rows = found.rows.map(([name, color, text]) => ({ name, color, text, raw: '' }));
    showReadout({ x: event.clientX, y: event.clientY }, found.title, rows);
  }
}

function describe({ kind, title, xName, yName, matrix }) {
  if (matrix) return `${title || 'Matrix'}: ${yName} by ${xName}`;
  return [title, `${WORDS[kind]} of ${yName ? `${yName} and ${xName}` : xName}`].filter(Boolean).join(': ');
}

function legend({ series = [] }) {
  const named = series.map(({ name }, i) => [name, colorAt(i)]).filter(([name]) => name);
  if (!named.length) return null;
  return h(
    'ul',
    { class: 'row wrap plot-names' },
    named.map(([name, color]) =>
      h('li', { class: 'row' }, h('span', { class: 'swatch', style: { background: color } }), name),
    ),
  );
}

function rangeOf(values, margin = 0) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low === high) return [low - 0.5, high + 0.5];
  const room = (high / 2 - low / 2) * 2 * margin;
  return [low - room, high + room];
}

/** Two axes with their grid, ticks and names. */
function axesOf([xDomain, yDomain], { xName, yName }, width, height) {
  const foot = height - BOTTOM;
  const top = TOP + (yName ? 14 : 0);
  const yTicks = linearTicks(yDomain, Math.max(2, Math.floor((foot - top) / 30)));
  const yLabels = labelsOf(yTicks);
  const left = LEFT + Math.max(...yLabels.map((label) => label.length), 2) * LETTER;
  const [x, y] = [makeScale(xDomain, [left, width - RIGHT]), makeScale(yDomain, [foot, top])];
  const xTicks = linearTicks(xDomain, Math.max(2, Math.floor((width - left) / 80)));
  const xLabels = labelsOf(xTicks);
  const shapes = [
    ...yTicks.flatMap((tick, i) => [
      s('path', { class: 'grid-line', d: `M${left} ${y.place(tick)}H${width - RIGHT}` }),
      s('text', { x: left - 6, y: y.place(tick) + 4, 'text-anchor': 'end', text: yLabels[i] }),
    ]),
    ...xTicks.map((tick, i) =>
      s('text', { x: x.place(tick), y: foot + 16, 'text-anchor': 'middle', text: xLabels[i] }),
    ),
    s('text', { class: 'axis-title', x: width - RIGHT, y: foot + 32, 'text-anchor': 'end', text: xName }),
    yName && s('text', { class: 'axis-title', x: 2, y: 12, text: yName }),
  ];
  return { x, y, foot, shapes };
}

function drawSeries(plotted, width, height) {
  const { series, kind, xName, yName } = plotted;
  const isLines = kind === 'lines';
  const all = series.flatMap(({ points }) => points);
  const domains = [
    rangeOf(
      all.map(([x]) => x),
      isLines ? 0 : MARGIN,
    ),
    rangeOf(
      all.map(([, y]) => y),
      MARGIN,
    ),
  ];
  const { x, y, shapes } = axesOf(domains, plotted, width, height);
  const place = ([a, b]) => `${x.place(a).toFixed(1)} ${y.place(b).toFixed(1)}`;
  const drawn = series.map(({ points }, i) =>
    isLines && points.length > 1
      ? s('path', { class: 'plot-line', stroke: colorAt(i), d: `M${points.map(place).join('L')}` })
      : s('path', { class: 'plot-points', stroke: colorAt(i), d: `M${points.map(place).join('h0M')}h0` }),
  );
  const placed = series.flatMap(({ name, points }, i) =>
    points.map((point) => ({ name, color: colorAt(i), point, at: [x.place(point[0]), y.place(point[1])] })),
  );
  const places = series.map(({ points }) => points.map(([at]) => at));
  const read = isLines
    ? (px) => readLines(series, places, x.value(px), xName, yName)
    : (px, py) => readPoint(placed, px, py, xName, yName);
  return { shapes: [shapes, drawn], read };
}

function readLines(series, places, at, xName, yName) {
  const rows = series.map(({ name, points }, i) => {
    const point = points[nearest(places[i], at)];
    return { x: point[0], row: [name || yName, colorAt(i), formatNumber(point[1])] };
  });
  const x = rows.reduce((a, b) => (Math.abs(b.x - at) < Math.abs(a.x - at) ? b : a)).x;
  return { title: `${xName} ${formatNumber(x)}`, rows: rows.map(({ row }) => row) };
}

function readPoint(placed, px, py, xName, yName) {
  const far = ({ at }) => Math.hypot(at[0] - px, at[1] - py);
  const best = placed.reduce((a, b) => (far(b) < far(a) ? b : a));
  if (far(best) > REACH) return null;
  const { name, color, point } = best;
  const rows = [xName, yName].map((axis, i) => [axis, color, formatNumber(point[i])]);
  return { title: name || 'Point', rows };
}

/** A text with so many letters at most. */
const cut = (text, most = LONGEST) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function drawBars({ bars, xName }, width, height) {
  const most = Math.min(LONGEST, Math.max(Math.floor(width / 3 / LETTER), 4));
  const left = LEFT + Math.max(...bars.map(({ label }) => cut(label, most).length)) * LETTER;
  const values = bars.map(({ value }) => value);
  const x = makeScale(rangeOf([0, ...values]), [left, width - RIGHT - 56]);
  const row = Math.min((height - BOTTOM - TOP) / bars.length, 44);
  const zero = x.place(0);
  const shapes = bars.map(({ label, value }, i) => {
    const [y, end] = [TOP + i * row, x.place(value)];
    const middle = y + row / 2 + 4;
    return [
      s('text', { x: left - 8, y: middle, 'text-anchor': 'end', text: cut(label, most) }),
      s('rect', {
        x: Math.min(zero, end),
        y: y + row * 0.14,
        width: Math.max(Math.abs(end - zero), 1),
        height: row * 0.72,
        rx: 2,
        fill: colorAt(0),
      }),
      s('text', { class: 'strong', x: Math.max(end, zero) + 6, y: middle, text: formatNumber(value) }),
    ];
  });
  const line = s('path', { class: 'grid-line', d: `M${zero} ${TOP}V${TOP + row * bars.length}` });
  const name = { class: 'axis-title', x: zero, y: TOP + row * bars.length + 18, text: xName };
  const read = (_, py) => {
    const bar = bars[Math.floor((py - TOP) / row)];
    return bar && { title: bar.label, rows: [[xName, colorAt(0), formatNumber(bar.value)]] };
  };
  return { shapes: [line, shapes, s('text', name)], read };
}

function drawHistogram(plotted, width, height) {
  const { bins, values } = plotted.histogram;
  const domains = [
    [bins[0], bins.at(-1)],
    [0, Math.max(...values)],
  ];
  const { x, y, foot, shapes } = axesOf(domains, plotted, width, height);
  const drawn = values.map((count, i) => {
    const [from, to] = [x.place(bins[i]), x.place(bins[i + 1])];
    const top = y.place(count);
    return s('rect', {
      x: from + 0.5,
      y: top,
      width: Math.max(to - from - 1, 0.5),
      height: foot - top,
      fill: colorAt(0),
    });
  });
  const read = (px) => {
    const i = bins.findLastIndex((edge) => edge <= x.value(px));
    if (i < 0 || i >= values.length) return null;
    const title = `${plotted.xName} ${formatNumber(bins[i])} to ${formatNumber(bins[i + 1])}`;
    return { title, rows: [['values', colorAt(0), formatNumber(values[i])]] };
  };
  return { shapes: [shapes, drawn], read };
}

function drawMatrix({ matrix: { names, counts }, xName, yName }, width, height) {
  const longest = Math.max(...names.map((name) => cut(name).length));
  const left = LEFT + 14 + Math.min(longest * LETTER, width / 3);
  const side = Math.min((width - left - RIGHT) / names.length, (height - TOP - BOTTOM) / names.length);
  const most = Math.max(...counts.flat()) || 1;
  const every = Math.ceil((longest * LETTER + 6) / side);
  const shapes = counts.flatMap((row, i) => [
    side > 9 && s('text', label(left - 8, TOP + (i + 0.5) * side + 4, 'end', cut(names[i]))),
    i % every === 0 &&
      s('text', label(left + (i + 0.5) * side, TOP + names.length * side + 15, 'middle', cut(names[i]))),
    ...row.flatMap((count, j) => cell(count, most, left + j * side, TOP + i * side, side)),
  ]);
  const titles = [
    s('text', { class: 'axis-title', ...label(left, TOP + names.length * side + 32, 'start', xName) }),
    s('text', {
      class: 'axis-title',
      transform: `translate(11 ${TOP + side * names.length}) rotate(-90)`,
      text: yName,
    }),
  ];
  const read = (px, py) => {
    const [i, j] = [Math.floor((py - TOP) / side), Math.floor((px - left) / side)];
    if (counts[i]?.[j] === undefined) return null;
    const title = `${yName} ${names[i]}, ${xName} ${names[j]}`;
    return { title, rows: [['count', colorAt(0), formatNumber(counts[i][j])]] };
  };
  return { shapes: [shapes, titles], read };
}

const label = (x, y, anchor, text) => ({ x, y, 'text-anchor': anchor, text });

function cell(count, most, x, y, side) {
  const deep = count / most;
  const text = formatNumber(count);
  return [
    s('rect', { class: 'no-count', x: x + 0.5, y: y + 0.5, width: side - 1, height: side - 1, rx: 2 }),
    s('rect', {
      x: x + 0.5,
      y: y + 0.5,
      width: side - 1,
      height: side - 1,
      rx: 2,
      fill: colorAt(0),
      'fill-opacity': deep,
    }),
    side > text.length * LETTER + 8 &&
      s('text', {
        class: deep > 0.5 ? 'on-deep' : 'strong',
        ...label(x + side / 2, y + side / 2 + 4, 'middle', text),
      }),
  ];
}
