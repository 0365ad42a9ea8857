/**
 * Parallel coordinates: an axis for each chosen column, a line for each run; ranges of axes keep runs.
 */

import { Drawing, colorsFor, runLink, s, turnLog } from './comparesvg.js';
import { axisColumns, firstAxes, makeAxis, placesOf } from './comparevalues.js';
import { columnOf } from './columns.js';
import { fill, h, textButton } from './dom.js';
import { menuButton, openBox, openMenu, searchList } from './menu.js';
import { change, view } from './state.js';

/** An axis needs so many pixels; more of them are scrolled. */
const LEAST = 96;
const [TOP, BOTTOM] = [12, 34];
/** A drag over fewer pixels is a click, which ends the range. */
const CLICK = 4;

/** The columns that are axes. */
const axesIn = (runs) => view.axes ?? firstAxes(runs);

export class ParallelAxes {
  constructor() {
    Object.assign(this, { runs: [], kept: [], isBrushing: false });
    this.drawing = new Drawing('Parallel coordinates', (width, height) => this.draw(width, height));
    this.heads = h('div', { class: 'axis-heads' });
    this.choose = menuButton('axis', 'Choose axes', 'Axes', (anchor) => this.openAxes(anchor));
    this.inside = h('div', { class: 'axes-inside' }, this.heads, this.drawing.element);
    this.element = h(
      'section',
      { class: 'compare-part', 'aria-label': 'Parallel coordinates' },
      h('header', { class: 'part-head' }, h('h2', { text: 'Parallel coordinates' }), this.choose),
      h('div', { class: 'axes-scroller' }, this.inside),
    );
  }

  close() {
    this.drawing.close();
  }

  /** @param {import('./runs.js').Run[]} runs @param {import('./runs.js').Run[]} kept within all ranges */
  update(runs, kept) {
    Object.assign(this, { runs, kept });
    this.axes = axesIn(runs).map((id) => makeAxis(id, runs, view.logs.includes(id)));
    this.inside.style.minWidth = `${this.axes.length * LEAST}px`;
    const plan = JSON.stringify(this.axes.map(({ id, isLog }) => [id, isLog, view.ranges[id]]));
    if (plan !== this.plan)
      fill(
        this.heads,
        this.axes.map((axis) => this.head(axis)),
      );
    this.plan = plan;
    if (!this.isBrushing) this.drawing.redraw();
  }

  head(axis) {
    const { label, above } = columnOf(axis.id);
    const button = h(
      'button',
      {
        type: 'button',
        class: view.ranges[axis.id] ? 'axis-head on' : 'axis-head',
        title: axis.id,
        'aria-label': `Axis ${axis.id}`,
        'aria-haspopup': 'dialog',
        on: { click: () => this.openAxis(button, axis) },
      },
      h('span', { class: 'clip', text: label }),
      h('span', { class: 'muted', text: [above, axis.isLog && 'log'].filter(Boolean).join(' · ') }),
    );
    return button;
  }

  openAxes(anchor) {
    const choices = axisColumns(this.runs).map((id) => ({ id, label: id }));
    const toggle = (id) => {
      const now = axesIn(this.runs);
      change({ axes: now.includes(id) ? now.filter((one) => one !== id) : [...now, id] });
    };
    openBox(
      anchor,
      'Choose axes',
      () => searchList('Search columns', choices, () => axesIn(this.runs), toggle, { many: true }),
      { wide: true },
    );
  }

  openAxis(anchor, axis) {
    const ids = this.axes.map(({ id }) => id);
    const at = ids.indexOf(axis.id);
    const moved = (by) => ids.with(at, ids[at + by]).with(at + by, axis.id);
    openMenu(anchor, axis.id, [
      { label: 'Keep a range…', act: () => openRange(anchor, axis) },
      ...(axis.isNumber ? [{ label: 'Logarithmic', isOn: axis.isLog, act: () => turnLog(axis.id) }] : []),
      { label: 'Colour by it', isOn: view.by === axis.id, act: () => colourBy(axis.id) },
      ...(at > 0 ? [{ label: 'Move left', act: () => change({ axes: moved(-1) }) }] : []),
      ...(at < ids.length - 1 ? [{ label: 'Move right', act: () => change({ axes: moved(1) }) }] : []),
      { label: 'Remove', act: () => change({ axes: ids.filter((id) => id !== axis.id) }) },
    ]);
  }

  draw(width, height) {
    const foot = height - BOTTOM;
    const x = (i) => ((i + 0.5) * width) / this.axes.length;
    const y = (place) => (place === null ? height - 12 : foot - place * (foot - TOP));
    const colorOf = colorsFor(this.runs);
    const kept = new Set(this.kept);
    const ids = this.axes.map(({ id }) => id);
    const path = (run) =>
      this.axes
        .map((axis, i) => `${i ? 'L' : 'M'}${x(i)} ${y(axis.place(run.values.get(axis.id)))}`)
        .join('');
    const faint = this.runs.filter((run) => !kept.has(run));
    return [
      faint.map((run) => s('path', { class: 'faint', d: path(run) })),
      this.kept.map((run) =>
        runLink(
          run,
          colorOf(run),
          ids,
          s('path', { class: 'wide', d: path(run) }),
          s('path', { class: 'line', d: path(run), stroke: colorOf(run) }),
        ),
      ),
      this.axes.map((axis, i) => this.drawAxis(axis, x(i), y, foot)),
    ];
  }

  drawAxis(axis, x, y, foot) {
    const ends = placesOf(axis, view.ranges);
    const isMissing = this.runs.some((run) => axis.place(run.values.get(axis.id)) === null);
    const label = (at, text) => [
      s('text', { class: 'halo', x: x + 7, y: at + 4, text: short(text) }),
      s('path', { class: 'axis', d: `M${x - 3} ${at}H${x + 3}` }),
    ];
    const area = s('rect', { class: 'brush', x: x - 14, y: TOP - 8, width: 28, height: foot - TOP + 16 });
    area.addEventListener('pointerdown', (event) => this.brush(event, axis, foot));
    return s(
      'g',
      { 'aria-hidden': 'true' },
      s('path', { class: 'axis', d: `M${x} ${TOP}V${foot}` }),
      axis.ticks(Math.max(2, Math.floor((foot - TOP) / 44))).flatMap(({ at, text }) => label(y(at), text)),
      isMissing && label(y(null), 'none'),
      ends && kept(x, y(ends[1]), y(ends[0])),
      area,
    );
  }

  /** Drag along an axis: what is between is kept; a click ends it. */
  brush(event, axis, foot) {
    event.preventDefault();
    const area = event.currentTarget;
    const top = this.drawing.element.getBoundingClientRect().top;
    const placeAt = (y) => Math.min(Math.max((foot - (y - top)) / (foot - TOP), 0), 1);
    const start = event.clientY;
    area.setPointerCapture(event.pointerId);
    this.isBrushing = true;
    const band = kept(0, 0, 0);
    area.before(band);
    const x = Number(area.getAttribute('x')) + 14;
    area.onpointermove = ({ clientY }) =>
      setBand(band, x, Math.min(start, clientY) - top, Math.max(start, clientY) - top);
    const end = () => {
      this.isBrushing = false;
      this.drawing.redraw();
    };
    area.onpointerup = ({ clientY }) => {
      const [from, to] = [placeAt(start), placeAt(clientY)].sort((a, b) => a - b);
      keep(axis, Math.abs(clientY - start) < CLICK ? null : axis.range(from, to));
      end();
    };
    area.onpointercancel = end;
  }
}

const kept = (x, top, foot) => setBand(s('rect', { class: 'kept', rx: 3, width: 14 }), x, top, foot);

function setBand(band, x, top, foot) {
  band.setAttribute('x', x - 7);
  band.setAttribute('y', top - 2);
  band.setAttribute('height', Math.max(foot - top, 0) + 4);
  return band;
}

const short = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);

function colourBy(id) {
  change({ by: view.by === id ? '' : id });
}

/** Keep the runs of a range; null: all. */
function keep(axis, range) {
  const { [axis.id]: _, ...others } = view.ranges;
  change({ ranges: range ? { ...others, [axis.id]: JSON.stringify(range) } : others });
}

/** The range as two fields: for those who do not drag. */
function openRange(anchor, axis) {
  const now = placesOf(axis, view.ranges) ? JSON.parse(view.ranges[axis.id]) : ends(axis);
  const [from, to] = now.map((end, i) =>
    h('input', { class: 'field', value: String(end ?? ''), autofocus: i === 0 }),
  );
  const labelled = [h('label', {}, 'From', from), h('label', {}, 'To', to)];
  const asked = (field) => (axis.isNumber ? Number(field.value) : field.value);
  openBox(anchor, `Range of ${axis.id}`, (close) => {
    const submit = (event) => {
      event.preventDefault();
      const range = [asked(from), asked(to)];
      const unknown = [from, to].filter((_, i) => axis.place(range[i]) === null);
      for (const field of [from, to]) field.setAttribute('aria-invalid', String(unknown.includes(field)));
      if (unknown.length) return unknown[0].focus();
      keep(
        axis,
        range.sort((a, b) => axis.place(a) - axis.place(b)),
      );
      return close();
    };
    const clear = () => {
      keep(axis, null);
      close();
    };
    const buttons = [textButton('All values', clear), h('button', { class: 'button primary', text: 'Keep' })];
    return [h('form', { class: 'form', on: { submit } }, labelled, h('div', { class: 'row end' }, buttons))];
  });
}

const ends = (axis) => (axis.isNumber ? axis.domain : [axis.names[0], axis.names.at(-1)]);
