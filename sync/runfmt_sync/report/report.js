/**
 * What moves in a report: charts are read and zoomed, tables are sorted, overlays come and go. Without it
 * all of the report is there to be read.
 */

import { standOut } from './cursor.js';
import { h } from './dom.js';
import { Plot } from './plot.js';
import { domainOf, linesOf, rangeOf } from './series.js';
import { onTheme } from './theme.js';
import { compareValues } from './values.js';

const charts = JSON.parse(document.getElementById('charts').textContent);

/** A chart in place of the drawing that is seen without a script. */
class Panel {
  constructor(element, { title, axis, axisName, log, smooth, lines }) {
    Object.assign(this, { title, axis, axisName, log, smooth, span: null });
    this.items = lines.map(({ id, name, color, ...curve }) => ({ id, name, color, curve }));
    this.plot = new Plot({ zoom: (span) => { this.span = span; this.draw(); } });
    const toggle = h('input', { type: 'checkbox', on: { change: () => { this.log = toggle.checked; this.draw(); } } });
    toggle.checked = log;
    element.querySelector('figcaption').append(h('label', { class: 'row muted' }, toggle, 'log'));
    element.querySelector('.still').replaceWith(h('div', { class: 'panel-body' }, this.plot.element));
    this.draw();
  }

  draw() {
    const whole = rangeOf(this.items.map(({ curve }) => curve)) ?? [0, 1];
    const xDomain = this.span ?? (whole[0] < whole[1] ? whole : [whole[0] - 0.5, whole[1] + 0.5]);
    const lines = linesOf(this.items, { smooth: this.smooth, log: this.log, range: xDomain });
    const yDomain = domainOf(lines.map((line) => within(line, xDomain)), { log: this.log, clip: false });
    const chart = { lines, axis: this.axis, axisName: this.axisName, xDomain, yDomain, log: this.log };
    this.plot.show(chart, `${this.title} over ${this.axisName}`);
  }
}

/** The part of a line that is seen. */
function within(line, [low, high]) {
  const inside = (values) => values && values.filter((_, i) => line.x[i] >= low && line.x[i] <= high);
  return { ...line, x: inside(line.x), y: inside(line.y), min: inside(line.min), max: inside(line.max) };
}

/** Sort the rows of a table by a column; again: the other way round. */
function sort(head) {
  const column = [...head.parentElement.children].indexOf(head);
  const isRising = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of head.parentElement.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', isRising ? 'ascending' : 'descending');
  const body = head.closest('table').tBodies[0];
  const value = (row) => valueOf(row.cells[column]);
  const compare = (a, b) => compareValues(value(a), value(b)) * (isRising ? 1 : -1);
  body.append(...[...body.rows].sort(compare));
}

function valueOf(cell) {
  const { number } = cell.dataset;
  return number === undefined ? cell.textContent : Number(number);
}

const panels = [...document.querySelectorAll('[data-chart]')].map((element) => new Panel(element, charts[element.dataset.chart]));
onTheme(() => { for (const panel of panels) panel.draw(); });

for (const head of document.querySelectorAll('table.sorted th')) {
  head.tabIndex = 0;
  head.addEventListener('click', () => sort(head));
  head.addEventListener('keydown', (event) => { if (event.key === 'Enter') sort(head); });
}
for (const name of document.querySelectorAll('[data-run]')) {
  name.addEventListener('pointerenter', () => standOut(name.dataset.run));
  name.addEventListener('pointerleave', () => standOut(null));
}
for (const picture of document.querySelectorAll('.overlaid')) {
  picture.addEventListener('click', () => picture.classList.toggle('bare'));
}
document.documentElement.classList.add('alive');
