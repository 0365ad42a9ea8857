/**
 * A bar for each run: its value of one column, in order.
 */

import { Drawing, colorsFor, runLink, s } from './comparesvg.js';
import { axisColumns, makeAxis, shortText } from './comparevalues.js';
import { scatterOf } from './comparescatter.js';
import { h } from './dom.js';
import { menuButton, openBox, relabel, searchList } from './menu.js';
import { titleOf } from './names.js';
import { change, view } from './state.js';

const HEIGHT = 24;

export class Bars {
  constructor() {
    Object.assign(this, { runs: [], kept: [] });
    this.drawing = new Drawing('Bars', (width) => this.draw(width));
    this.column = menuButton('axis', 'Value', '', (anchor) => this.openColumns(anchor));
    this.element = h(
      'section',
      { class: 'compare-part', 'aria-label': 'Bars' },
      h('header', { class: 'part-head' }, h('h2', { text: 'Bars' }), this.column),
      h('div', { class: 'bars-scroller' }, this.drawing.element),
    );
  }

  close() {
    this.drawing.close();
  }

  id() {
    return view.bar || scatterOf(this.runs)[1];
  }

  update(runs, kept) {
    Object.assign(this, { runs, kept });
    relabel(this.column, this.id() ?? 'Choose');
    this.bars = kept
      .map((run) => ({ run, value: run.values.get(this.id()) }))
      .filter(({ value }) => Number.isFinite(value))
      .sort((a, b) => b.value - a.value);
    this.drawing.element.style.height = `${Math.max(this.bars.length, 1) * HEIGHT + 8}px`;
    this.drawing.redraw();
  }

  openColumns(anchor) {
    const choices = axisColumns(this.runs)
      .filter((id) => makeAxis(id, this.runs).isNumber)
      .map((id) => ({ id, label: id }));
    const pick = (id, close) => {
      change({ bar: id });
      close();
    };
    openBox(
      anchor,
      'Value',
      (close) =>
        searchList(
          'Search columns',
          choices,
          () => [this.id()],
          (id) => pick(id, close),
        ),
      { wide: true },
    );
  }

  draw(width) {
    if (!this.bars.length) return [s('text', { x: 0, y: 20, text: 'No run has a number here.' })];
    const name = Math.min(150, width * 0.3);
    const values = this.bars.map(({ value }) => value);
    const [low, high] = [Math.min(0, values.at(-1)), Math.max(0, values[0])];
    const factor = (width - name - 78) / (high - low || 1);
    const zero = name - low * factor;
    const colorOf = colorsFor(this.runs);
    return this.bars.map(({ run, value }, i) => {
      const [y, end] = [i * HEIGHT + 4, zero + value * factor];
      const color = colorOf(run);
      const [x, long] = [Math.min(zero, end), Math.max(Math.abs(end - zero), 1)];
      return runLink(
        run,
        color,
        [this.id(), ...(view.by ? [view.by] : [])],
        s('rect', { class: 'hit', x: 0, y, width, height: HEIGHT }),
        s('text', { x: name - 8, y: y + 16, 'text-anchor': 'end', text: clipped(run, name) }),
        s('rect', { x, y: y + 4, width: long, height: HEIGHT - 8, rx: 2, fill: color }),
        s('text', { class: 'strong', x: Math.max(end, zero) + 6, y: y + 16, text: shortText(value) }),
      );
    });
  }
}

/** A name that fits; a letter is about 6 pixels wide. */
function clipped(run, width) {
  const most = Math.floor((width - 8) / 6.2);
  const left = most - (titleOf(run).length - run.name.length);
  const name = run.name.length > left ? `${run.name.slice(0, Math.max(left - 1, 1))}…` : run.name;
  return titleOf({ ...run, name });
}
