/**
 * A chart on the page: two canvases, one for the lines and one for what follows the pointer;
 * hovering, zooming by dragging, arrow keys.
 */

import { drawChart, drawCursor, layOut } from './chart.js';
import { cursor, moveCursor, onCursor, showReadout } from './cursor.js';
import { h, oncePerFrame } from './dom.js';
import { markNear } from './marks.js';
import { nearest } from './series.js';
import { chartTheme } from './theme.js';
import { formatNumber } from './values.js';

/** A drag of fewer pixels is a click. */
const LEAST = 6;
/** A line is not read further from its ends than this part of the axis. */
const REACH = 0.03;

export class Plot {
  /**
   * @param {{zoom: (span: [number, number]|null) => void}} acts zoom: a span was chosen; null: all
   */
  constructor(acts) {
    this.acts = acts;
    this.chart = null;
    this.layout = null;
    this.drag = null;
    this.base = h('canvas', { 'aria-hidden': 'true' });
    this.over = h('canvas', { tabindex: '0', role: 'img' });
    this.element = h('div', { class: 'plot' }, this.base, this.over);
    this.redraw = oncePerFrame(() => this.draw());
    this.stop = onCursor(() => this.follow());
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.element);
    this.listen();
  }

  close() {
    this.stop();
    this.sizes.disconnect();
    if (cursor.source === this) moveCursor(null, null, null);
  }

  /**
   * @param {import('./chart.js').Chart} chart
   * @param {string} label for those who do not see it
   */
  show(chart, label) {
    this.chart = chart;
    this.over.setAttribute('aria-label', label);
    this.redraw();
  }

  draw() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!this.chart || width < 20 || height < 20) return;
    this.drawnStrong = cursor.strong;
    const chart = { ...this.chart, strong: this.strong() };
    this.layout = layOut(chart, width, height);
    drawChart(penOf(this.base, width, height), chart, this.layout, chartTheme());
    this.drawOver();
  }

  /** The line that stands out, if it is one of this chart's. */
  strong() {
    return this.chart.lines.some((line) => line.id === cursor.strong) ? cursor.strong : null;
  }

  follow() {
    if (!this.layout) return;
    if (this.drawnStrong !== cursor.strong) this.redraw();
    else this.drawOver();
  }

  drawOver() {
    const { width, height } = this.element.getBoundingClientRect();
    const at = cursor.axis === this.chart.axis ? cursor.at : null;
    const readings = at === null ? [] : this.readings(at);
    const points = readings
      .filter((one) => one.value !== null)
      .map(({ line, x, value }) => ({ x, y: value, color: line.color }));
    const span = this.drag && Math.abs(this.drag.to - this.drag.from) >= LEAST ? this.drag.span : null;
    drawCursor(penOf(this.over, width, height), this.layout, chartTheme(), { at, points, span });
  }

  /** What each line says at a place; lines that end before are left out. */
  readings(at) {
    const reach = (this.chart.xDomain[1] - this.chart.xDomain[0]) * REACH;
    return this.chart.lines
      .map((line) => readingOf(line, at, this.layout.x.place))
      .filter((one) => one && Math.abs(one.x - at) <= Math.max(reach, one.gap));
  }

  listen() {
    const { over } = this;
    over.addEventListener('pointermove', (event) => this.move(event));
    over.addEventListener('pointerleave', (event) => {
      if (!this.drag && event.pointerType !== 'touch') moveCursor(null, null, null);
    });
    over.addEventListener('pointerdown', (event) => this.press(event));
    over.addEventListener('pointerup', (event) => this.release(event));
    over.addEventListener('pointercancel', () => {
      this.drag = null;
    });
    over.addEventListener('dblclick', () => this.acts.zoom(null));
    over.addEventListener('keydown', (event) => this.key(event));
    over.addEventListener('blur', () => moveCursor(null, null, null));
  }

  move(event) {
    if (!this.layout) return;
    const place = this.placeOf(event);
    const at = this.layout.x.value(place);
    if (this.drag) {
      this.drag.to = place;
      this.drag.span = [this.layout.x.value(this.drag.from), at];
    }
    this.point(
      at,
      { x: event.clientX, y: event.clientY },
      event.clientY - this.over.getBoundingClientRect().top,
    );
  }

  placeOf(event) {
    const { frame } = this.layout;
    const place = event.clientX - this.over.getBoundingClientRect().left;
    return Math.min(Math.max(place, frame.left), frame.right);
  }

  /** Put the cursor there, and say what is read. */
  point(at, pointer, height) {
    const readings = this.readings(at);
    moveCursor(this.chart.axis, at, this);
    const values = readings.sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity)).map(readingText);
    const near = nearestTo(readings, this.layout.y.place, height);
    if (near >= 0) values[near].isNearest = true;
    const x = readings[Math.max(near, 0)]?.x ?? at;
    const title = `${this.chart.axisName} ${this.layout.kind.long(x)}`;
    showReadout(pointer, title, values, Number.isNaN(height));
  }

  press(event) {
    if (event.button !== 0 || !this.layout) return;
    if (event.pointerType === 'touch') return this.move(event); // a finger reads: it hides what it aims at
    this.over.setPointerCapture(event.pointerId);
    const place = this.placeOf(event);
    this.drag = { from: place, to: place, span: null };
  }

  release() {
    const drag = this.drag;
    this.drag = null;
    if (drag?.span && Math.abs(drag.to - drag.from) >= LEAST) this.acts.zoom(drag.span.sort((a, b) => a - b));
    else this.follow();
  }

  /** Arrow keys move the cursor by a fiftieth of the axis. */
  key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction || !this.layout) return;
    event.preventDefault();
    const [low, high] = this.chart.xDomain;
    const from = cursor.source === this ? cursor.at : low;
    const at = Math.min(Math.max(from + (direction * (high - low)) / 50, low), high);
    const box = this.over.getBoundingClientRect();
    this.point(at, { x: box.left + this.layout.x.place(at), y: box.top + box.height / 2 }, NaN);
  }
}

function penOf(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [w, h2] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h2) Object.assign(canvas, { width: w, height: h2 });
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/** What a line says at a place: its nearest point, or a NaN or infinity that is nearer. */
function readingOf(line, at, place) {
  const i = nearest(line.x, at);
  const mark = markNear(line.marks, at, place);
  if (mark && (i < 0 || Math.abs(mark.x - at) < Math.abs(line.x[i] - at)))
    return { line, ...mark, value: null, gap: 0 };
  if (i < 0 || line.y[i] === null) return null;
  const gap =
    Math.max(line.x[i] - (line.x[i - 1] ?? line.x[i]), (line.x[i + 1] ?? line.x[i]) - line.x[i]) / 2;
  return { line, x: line.x[i], value: line.y[i], raw: line.raw?.[i] ?? null, gap };
}

function readingText({ line, value, text, raw }) {
  return {
    name: line.name,
    suffix: line.suffix,
    color: line.color,
    isNearest: false,
    text: text ?? formatNumber(value),
    raw: raw === null || raw === undefined ? '' : formatNumber(raw),
  };
}

/** The reading that is drawn nearest to a height; -1 if there is none. */
function nearestTo(readings, place, height) {
  let best = -1;
  readings.forEach(({ value }, i) => {
    if (value === null || Number.isNaN(height)) return;
    const isNearer =
      best < 0 || Math.abs(place(value) - height) < Math.abs(place(readings[best].value) - height);
    if (isNearer) best = i;
  });
  return best;
}
