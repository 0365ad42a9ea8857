/**
 * A panel: one metric of the chosen runs. Asks for its curves when it is in sight, and draws them.
 */

import { asWriter, chosen, colorIn, grouped, writersIn } from './choice.js';
import { loadCurve } from './curves.js';
import { axisOf } from './definitions.js';
import { h, iconButton, oncePerFrame } from './dom.js';
import { saveCsv, savePng, saveSvg } from './download.js';
import { toggledPanel } from './layout.js';
import { openMenu } from './menu.js';
import { metrics } from './metrics.js';
import { titleOf } from './names.js';
import { Plot } from './plot.js';
import { AXIS_NAMES } from './scales.js';
import { cutAtZero, domainOf, firstAbove, groupLines, leavesOut, linesOf, rangeOf } from './series.js';
import { change, view } from './state.js';
import { formatNumber } from './values.js';

/** Points of all curves of a panel together, about; and of one, at most and at least. */
const POINTS = 60_000;
const [LEAST, MOST] = [100, 400];
/** How the lines of the chosen writers are drawn: all of a run have its colour. */
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [4, 5]];
/** So much more than the zoomed part is asked for, so that lines reach the edges. */
const BEYOND = 0.05;

export class PanelView {
  /**
   * @param {import('./metrics.js').Panel} panel
   * @param {{isFull?: boolean}} [options] full: it fills the screen
   */
  constructor(panel, { isFull = false } = {}) {
    this.panel = panel;
    this.isFull = isFull;
    this.isInSight = isFull;
    this.items = null;
    this.asking = 0;
    this.plot = null;
    this.redraw = oncePerFrame(() => this.draw());
    this.note = h('p', { class: 'panel-note', role: 'status' });
    this.body = h('div', { class: 'panel-body' }, this.note);
    this.foot = h('span', { class: 'axis-name' });
    this.element = h(
      'article',
      { class: isFull ? 'panel full' : 'panel', 'aria-label': panel.key },
      this.header(),
      this.body,
    );
  }

  header() {
    const more = iconButton(
      'more',
      `More about ${this.panel.key}`,
      () => openMenu(more, this.panel.key, this.actions()),
      { 'aria-haspopup': 'dialog' },
    );
    return h(
      'header',
      { class: 'panel-head' },
      h('h3', { class: 'clip', title: this.panel.key, text: this.panel.key }),
      this.foot,
      h(
        'div',
        { class: 'panel-acts' },
        !this.isFull &&
          iconButton('expand', `Fill the screen with ${this.panel.key}`, () =>
            change({ full: this.panel.id }),
          ),
        more,
      ),
    );
  }

  actions() {
    const { id, key } = this.panel;
    const isLog = view.log.includes(id);
    return [
      {
        label: 'Logarithmic',
        isOn: this.isLog(),
        act: () => change({ log: isLog ? view.log.filter((one) => one !== id) : [...view.log, id] }),
      },
      ...(this.chart
        ? [
            { label: 'Save as PNG', act: () => savePng(key, this.chart) },
            { label: 'Save as SVG', act: () => saveSvg(key, this.chart) },
            { label: 'Save as CSV, all points', act: () => saveCsv(key, this.wanted()) },
          ]
        : []),
      { label: 'Hide panel', act: () => change({ ...toggledPanel(this.panel), full: '' }) },
    ];
  }

  /** Come into sight, or go out of it: out of sight nothing is asked for, drawn, or kept in canvases. */
  setInSight(isInSight) {
    if (isInSight === this.isInSight) return;
    this.isInSight = isInSight;
    if (isInSight) this.refresh();
    else this.close();
  }

  isLog() {
    return view.log.includes('*') || view.log.includes(this.panel.id);
  }

  axis() {
    return axisOf(this.panel, view.x, metrics.definitions);
  }

  zoom() {
    return view.zoom?.[0] === this.axis() ? view.zoom.slice(1) : null;
  }

  /** The curves of the chosen runs, as they are asked for. */
  wanted() {
    const [runs, writers] = [chosen(view), writersIn(view)];
    const [from, to] = widened(this.zoom());
    const points = Math.round(
      Math.min(Math.max(POINTS / (runs.length * writers.length || 1), LEAST), this.isFull ? 4 * MOST : MOST),
    );
    const asked = writers.flatMap((writer) => runs.map((run) => [run, writer]));
    return asked.map(([run, writer]) => ({
      run,
      writer,
      asked: {
        uid: run.uid,
        key: this.panel.key,
        stream: this.panel.stream,
        writer,
        x: this.axis(),
        from,
        to,
        points,
      },
    }));
  }

  /** Ask for what is to be shown now, and show it when it is there. */
  async refresh() {
    if (!this.isInSight) return;
    this.asking += 1;
    const mine = this.asking;
    const wanted = this.wanted();
    const curves = await Promise.allSettled(wanted.map(({ asked }) => loadCurve(asked)));
    if (mine !== this.asking) return;
    this.problem = curves.map((one, i) => problemOf(one, wanted[i].run)).find(Boolean) ?? '';
    this.items = wanted
      .map((one, i) => ({ ...one, curve: curves[i].value }))
      .filter(({ curve }) => curve && (curve.x.length || curve.marks?.length));
    this.redraw();
  }

  draw() {
    if (!this.isInSight || !this.items) return;
    const axis = this.axis();
    this.foot.textContent = AXIS_NAMES[axis] ?? axis;
    if (!this.items.length) return this.say(this.nothing());
    this.chart = this.makeChart(axis);
    if (!this.plot) {
      this.plot = new Plot({ zoom: (span) => change({ zoom: span && [this.axis(), ...span] }) });
      this.body.append(this.plot.element);
    }
    this.plot.element.hidden = false;
    this.say(this.problem || this.leftOut());
    this.plot.show(this.chart, describe(this.panel.key, this.chart));
  }

  /** What the chart does not show. */
  leftOut() {
    const { lines, yDomain } = this.chart;
    return [
      this.hasBelowZero && 'Values of 0 and below have no place on this scale.',
      view.clip && leavesOut(lines, yDomain) && 'Outliers are cut off.',
    ]
      .filter(Boolean)
      .join(' ');
  }

  say(text) {
    this.note.textContent = text;
    if (this.plot && !this.items.length) this.plot.element.hidden = true;
  }

  nothing() {
    if (this.problem) return this.problem;
    return this.zoom()
      ? 'No points in this part. Double-click a chart to see all.'
      : this.nobody();
  }

  nobody() {
    if (metrics.writers.length < 2) return 'The chosen runs have no values here yet.';
    return `${writersIn(view).join(', ')} wrote nothing here. Other writers can be chosen above.`;
  }

  makeChart(axis) {
    const log = this.isLog();
    const curves = this.items.map((item) => item.curve);
    this.hasBelowZero = log && curves.some(({ y }) => y.some((value) => value !== null && value <= 0));
    const range = this.zoom() ?? rangeOf(curves) ?? [0, 1];
    const xDomain = range[0] === range[1] ? [range[0] - 0.5, range[1] + 0.5] : range;
    const options = { smooth: view.smooth, log, range: xDomain, spread: view.spread };
    const lines = view.group ? groupLines(this.groups(), options) : linesOf(this.items.map(asItem), options);
    const [low, high] = xDomain;
    const first = low > 0 ? low : firstAbove(lines);
    const xLog = view.logx && first < high;
    return {
      lines: xLog ? lines.map(cutAtZero) : lines,
      axis,
      axisName: AXIS_NAMES[axis] ?? axis,
      xDomain: xLog ? [first, high] : xDomain,
      xLog,
      yDomain: domainOf(lines, { log, clip: view.clip }),
      log,
    };
  }

  groups() {
    return grouped(
      view,
      [...new Set(this.items.map((item) => item.run))],
    ).map((group) => ({
      ...group,
      curves: this.items.filter((item) => group.runs.includes(item.run)).map((item) => item.curve),
    }));
  }

  /** Free the canvases. */
  close() {
    this.asking += 1;
    this.plot?.close();
    this.plot?.element.remove();
    this.plot = null;
  }
}

/** Why a curve is not there, if it is the run's or the server's fault. */
function problemOf({ status, value, reason }, run) {
  if (status === 'rejected') return `Cannot be shown: ${reason.message}`;
  return value.problem && `${titleOf(run)} cannot be shown: ${value.problem}`;
}

const asItem = ({ run, writer, curve }) => ({
  ...asWriter(run, writer),
  id: run.uid,
  color: colorIn(view, run),
  dash: DASHES[writersIn(view).indexOf(writer) % DASHES.length],
  curve,
});

function widened(zoom) {
  if (!zoom) return [null, null];
  const beyond = (zoom[1] - zoom[0]) * BEYOND;
  return [zoom[0] - beyond, zoom[1] + beyond];
}

/** A chart in words. */
function describe(key, { lines, axisName }) {
  const last = lines
    .slice(0, 5)
    .map((line) => `${titleOf(line)} ${formatNumber(line.y.findLast((value) => value !== null) ?? NaN)}`);
  const left = lines.length - last.length;
  const more = left > 0 ? ` and ${left} more` : '';
  return `${key} over ${axisName}. Last values: ${last.join(', ')}${more}. Arrow keys read values.`;
}
