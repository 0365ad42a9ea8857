/**
 * The page that compares the chosen runs: parallel coordinates, scatter, bars, and what differs in a table.
 */

import { ParallelAxes } from './compareaxes.js';
import { Bars } from './comparebars.js';
import { Scatter } from './comparescatter.js';
import { Differences } from './comparetable.js';
import { axisColumns, colorAt, makeAxis, ramp, shortText, within } from './comparevalues.js';
import { chosen } from './choice.js';
import { emptyState, fill, h, icon, textButton } from './dom.js';
import { menuButton, openBox, relabel, searchList } from './menu.js';
import { RunList } from './runlist.js';
import { onRuns } from './runs.js';
import { change, view } from './state.js';

export const title = 'Compare';

/** So many categories of the colours are named. */
const NAMED = 12;

export class Page {
  constructor() {
    this.list = new RunList({ isNarrow: true });
    this.parts = [new ParallelAxes(), new Scatter(), new Bars(), new Differences()];
    this.by = menuButton('theme', 'Colour by', '', openColours);
    this.legend = h('div', { class: 'ramp-legend' });
    this.count = h('span', { class: 'muted nowrap', role: 'status' });
    this.clear = textButton('Keep all', () => change({ ranges: {} }));
    this.fold = h('button', {
      type: 'button',
      class: 'button side-switch',
      'aria-expanded': 'false',
      on: { click: () => this.turn() },
    });
    const [axes, scatter, bars, table] = this.parts.map((part) => part.element);
    this.inside = h(
      'div',
      { class: 'compare-parts' },
      axes,
      h('div', { class: 'pair' }, scatter, bars),
      table,
    );
    this.empty = h('div');
    this.tools = h('div', { class: 'tools' }, this.by, this.legend, this.count, this.clear);
    this.element = h(
      'div',
      { class: 'page split' },
      this.fold,
      this.list.element,
      h('div', { class: 'compare' }, this.tools, this.empty, this.inside),
    );
    this.stop = onRuns(() => this.show());
  }

  get table() {
    return this.list.table;
  }

  close() {
    this.stop();
    this.list.close();
    for (const part of this.parts) part.close();
  }

  update() {
    this.list.update();
    this.show();
  }

  show() {
    const runs = chosen(view);
    const kept = within(runs, view.ranges, view.logs);
    fill(this.fold, icon('list'), `Runs · ${runs.length} compared`);
    relabel(this.by, `Colour: ${view.by || 'run'}`);
    this.by.classList.toggle('on', Boolean(view.by));
    fill(this.legend, view.by && legend(makeAxis(view.by, runs, view.logs.includes(view.by))));
    this.count.textContent = kept.length < runs.length ? `${kept.length} of ${runs.length} runs kept` : '';
    this.clear.hidden = !Object.keys(view.ranges).length;
    this.tools.hidden = this.inside.hidden = !runs.length;
    fill(
      this.empty,
      !runs.length && emptyState('No runs are compared', 'Choose some with the eyes in the list of runs.'),
    );
    if (runs.length) for (const part of this.parts) part.update(runs, kept);
  }

  /** On a phone the runs lie over the page, until they are put away. */
  turn() {
    const isOpen = this.element.classList.toggle('open');
    this.fold.setAttribute('aria-expanded', String(isOpen));
    this.list.table.showRows();
  }
}

/** What the colours mean. */
function legend(axis) {
  if (!axis.isNumber)
    return axis.names
      .slice(0, NAMED)
      .map((name) =>
        h(
          'span',
          { class: 'row' },
          h('span', { class: 'swatch', style: { background: colorAt(axis, name) } }),
          name,
        ),
      );
  const [low, high] = axis.domain.map((value) => shortText(Number(value.toPrecision(3))));
  const stops = [0, 0.25, 0.5, 0.75, 1].map(ramp).join(', ');
  return [
    h('span', { text: low }),
    h('span', { class: 'ramp', style: { background: `linear-gradient(to right, ${stops})` } }),
    h('span', { text: high }),
  ];
}

function openColours(anchor) {
  const choices = [{ id: '', label: 'Run' }, ...axisColumns(chosen(view)).map((id) => ({ id, label: id }))];
  openBox(
    anchor,
    'Colour by',
    (close) =>
      searchList(
        'Search columns',
        choices,
        () => [view.by],
        (id) => {
          change({ by: id });
          close();
        },
      ),
    { wide: true },
  );
}
