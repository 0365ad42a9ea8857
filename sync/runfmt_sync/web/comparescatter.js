/**
 * A point for each run, at its values of two columns.
 */

import { Drawing, colorsFor, runLink, s, turnLog } from './comparesvg.js';
import { axisColumns, firstAxes, makeAxis } from './comparevalues.js';
import { h } from './dom.js';
import { menuButton, openBox, relabel, searchList } from './menu.js';
import { change, view } from './state.js';

const [LEFT, RIGHT, TOP, BOTTOM] = [58, 16, 12, 28];

/** The columns of the two directions: those chosen, else the first of config and the last of summary. */
export function scatterOf(runs) {
  if (view.scatter.length === 2) return view.scatter;
  const first = firstAxes(runs);
  const beginning = (above) => first.find((id) => id.startsWith(above));
  return [beginning('config.') ?? first[0], beginning('summary.') ?? first.at(-1)];
}

export class Scatter {
  constructor() {
    Object.assign(this, { runs: [], kept: [] });
    this.drawing = new Drawing('Scatter', (width, height) => this.draw(width, height));
    this.buttons = ['Across', 'Upwards'].map((title, i) =>
      menuButton('axis', title, '', (anchor) => this.openColumns(anchor, title, i)),
    );
    this.logs = ['Across', 'Upwards'].map((title, i) =>
      h('button', {
        type: 'button',
        class: 'button',
        text: 'log',
        'aria-label': `${title}: logarithmic`,
        on: { click: () => turnLog(scatterOf(this.runs)[i]) },
      }),
    );
    this.said = h('p', { class: 'muted part-said', role: 'status' });
    this.element = h(
      'section',
      { class: 'compare-part', 'aria-label': 'Scatter' },
      h(
        'header',
        { class: 'part-head' },
        h('h2', { text: 'Scatter' }),
        this.buttons.map((button, i) => h('span', { class: 'row' }, button, this.logs[i])),
      ),
      this.drawing.element,
      this.said,
    );
  }

  close() {
    this.drawing.close();
  }

  update(runs, kept) {
    Object.assign(this, { runs, kept });
    const ids = scatterOf(runs);
    this.axes = ids.map((id) => makeAxis(id, runs, view.logs.includes(id)));
    ids.forEach((id, i) => {
      relabel(this.buttons[i], id ?? 'Choose');
      this.logs[i].hidden = !this.axes[i].isNumber;
      this.logs[i].setAttribute('aria-pressed', String(this.axes[i].isLog));
      this.logs[i].classList.toggle('on', this.axes[i].isLog);
    });
    const missing = kept.filter((run) =>
      this.axes.some(({ id, place }) => place(run.values.get(id)) === null),
    );
    this.said.textContent = missing.length ? `${missing.length} without a value here` : '';
    this.drawing.redraw();
  }

  openColumns(anchor, title, i) {
    const choices = axisColumns(this.runs).map((id) => ({ id, label: id }));
    openBox(
      anchor,
      title,
      (close) =>
        searchList(
          'Search columns',
          choices,
          () => [scatterOf(this.runs)[i]],
          (id) => {
            change({ scatter: scatterOf(this.runs).with(i, id) });
            close();
          },
        ),
      { wide: true },
    );
  }

  draw(width, height) {
    const [across, upwards] = this.axes;
    const x = (place) => LEFT + 8 + place * (width - LEFT - RIGHT - 16);
    const y = (place) => height - BOTTOM - 8 - place * (height - BOTTOM - TOP - 16);
    const colorOf = colorsFor(this.runs);
    const ids = [across.id, upwards.id, ...(view.by ? [view.by] : [])];
    const grid = [
      ...across
        .ticks(Math.max(2, Math.floor(width / 90)))
        .flatMap(({ at, text }) => [
          s('path', { class: 'grid-line', d: `M${x(at)} ${TOP}V${height - BOTTOM}` }),
          s('text', { x: x(at), y: height - 10, 'text-anchor': 'middle', text }),
        ]),
      ...upwards
        .ticks(Math.max(2, Math.floor(height / 50)))
        .flatMap(({ at, text }) => [
          s('path', { class: 'grid-line', d: `M${LEFT} ${y(at)}H${width - RIGHT}` }),
          s('text', { x: LEFT - 8, y: y(at) + 4, 'text-anchor': 'end', text: text.slice(0, 9) }),
        ]),
    ];
    const points = this.kept.flatMap((run) => {
      const [cx, cy] = [across.place(run.values.get(across.id)), upwards.place(run.values.get(upwards.id))];
      if (cx === null || cy === null) return [];
      const color = colorOf(run);
      return runLink(run, color, ids, s('circle', { cx: x(cx), cy: y(cy), r: 5.5, fill: color }));
    });
    return [s('g', { 'aria-hidden': 'true' }, grid), points];
  }
}
