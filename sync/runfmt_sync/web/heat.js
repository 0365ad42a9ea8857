/**
 * Histograms on the page: one as bars, those of many steps as a heat map.
 */

import { binOf, columnsOf, edgesOf, isHistogram, sharesOf } from './bins.js';
import { hideReadout, showReadout } from './cursor.js';
import { h } from './dom.js';
import { linearTicks, makeScale, shortNumber } from './scales.js';
import { chartTheme } from './theme.js';
import { formatNumber } from './values.js';

const ROWS = 96;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 8, 6, 20];
const [BAR_WIDTH, BAR_HEIGHT] = [220, 64];

/** The page's accent, as strong as a share is of the largest; small shares are still seen. */
const strength = (share, most) => (share ? 0.08 + 0.92 * Math.sqrt(share / most) : 0);

const accent = () => getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();

/** One histogram. */
export function drawBars(value) {
  if (!isHistogram(value))
    return h('p', {
      class: 'error said-of-media',
      text: 'This is no histogram: its bins and values do not fit.',
    });
  const canvas = h('canvas', { class: 'bars', role: 'img', 'aria-label': describe(value) });
  Object.assign(canvas, { width: BAR_WIDTH * 2, height: BAR_HEIGHT * 2 });
  const pen = canvas.getContext('2d');
  pen.scale(2, 2);
  pen.fillStyle = accent();
  const [low, high] = edgesOf([value]);
  const most = Math.max(...value.values) || 1;
  value.values.forEach((count, i) => {
    const [from, to] = [value.bins[i], value.bins[i + 1]].map(
      (edge) => ((edge - low) / (high - low)) * BAR_WIDTH,
    );
    const height = (count / most) * BAR_HEIGHT;
    pen.fillRect(from, BAR_HEIGHT - height, Math.max(to - from - 0.5, 0.5), height);
  });
  return canvas;
}

function describe({ bins, values }) {
  const total = values.reduce((sum, value) => sum + value, 0);
  return `${formatNumber(total)} values from ${formatNumber(bins[0])} to ${formatNumber(bins.at(-1))}`;
}

/** Steps across, values upwards. */
export class HeatMap {
  constructor() {
    this.canvas = h('canvas', {
      role: 'img',
      on: { pointermove: (event) => this.point(event), pointerleave: hideReadout },
    });
    this.element = h('div', { class: 'heat' }, this.canvas);
    this.columns = [];
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.element);
  }

  close() {
    this.size.disconnect();
    hideReadout();
  }

  /** @param {{step: number, value: any}[]} columns in the order of their steps */
  show(columns) {
    this.columns = columns.filter(({ value }) => isHistogram(value));
    if (!this.columns.length) return;
    this.edges = edgesOf(this.columns.map(({ value }) => value));
    this.places = columnsOf(this.columns.map(({ step }) => step));
    const [first, last] = [this.columns[0], this.columns.at(-1)];
    this.canvas.setAttribute(
      'aria-label',
      `Step ${first.step} to ${last.step}; at the last ${describe(last.value)}`,
    );
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.columns.length || width < LEFT + RIGHT || height < TOP + BOTTOM) return;
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = this.canvas.getContext('2d');
    pen.scale(ratio, ratio);
    this.area = { left: LEFT, top: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM };
    this.drawCells(pen);
    this.drawAxes(pen, chartTheme());
  }

  drawCells(pen) {
    const { left, top, width, height } = this.area;
    const rows = Math.min(ROWS, Math.max(...this.columns.map(({ value }) => value.values.length)));
    const shares = this.columns.map(({ value }) => sharesOf(value, this.edges, rows));
    const most = Math.max(...shares.flat());
    pen.fillStyle = accent();
    shares.forEach((column, i) => {
      const [from, to] = this.places[i].map((place) => Math.round(left + place * width));
      column.forEach((share, row) => {
        const [above, below] = [row + 1, row].map((edge) =>
          Math.round(top + height - (edge / rows) * height),
        );
        pen.globalAlpha = strength(share, most);
        pen.fillRect(from, above, Math.max(to - from, 1), below - above);
      });
    });
    pen.globalAlpha = 1;
  }

  drawAxes(pen, theme) {
    const { left, top, width, height } = this.area;
    Object.assign(pen, {
      font: theme.font,
      fillStyle: theme.muted,
      textBaseline: 'middle',
      textAlign: 'right',
    });
    const up = makeScale(this.edges, [top + height, top]);
    for (const tick of linearTicks(this.edges, height / 36))
      pen.fillText(shortNumber(tick), left - 6, up.place(tick));
    pen.textBaseline = 'top';
    const steps = this.columns.map(({ step }) => step);
    const ends = steps.length > 1 ? [steps[0], steps.at(-1)] : steps;
    ends.forEach((step, i) => {
      pen.textAlign = i ? 'right' : 'left';
      pen.fillText(shortNumber(step), i ? left + width : left, top + height + 5);
    });
  }

  /** Say what is below the pointer. */
  point({ offsetX, offsetY, clientX, clientY }) {
    const { left, top, width, height } = this.area ?? {};
    const across = (offsetX - left) / width;
    const column = this.columns[this.places?.findIndex(([from, to]) => across >= from && across < to)];
    const number = makeScale([top + height, top], this.edges ?? [0, 1]).place(offsetY);
    const bin = column ? binOf(column.value, number) : -1;
    if (bin < 0) return hideReadout();
    const { bins, values } = column.value;
    const range = `${formatNumber(bins[bin])} to ${formatNumber(bins[bin + 1])}`;
    const said = { name: range, color: accent(), text: formatNumber(values[bin]), raw: '', isNearest: true };
    return showReadout({ x: clientX, y: clientY }, `Step ${formatNumber(column.step)}`, [said]);
  }
}
