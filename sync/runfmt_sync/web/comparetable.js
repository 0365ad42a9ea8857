/**
 * Config and summary of the runs beside each other: a row for each path, a column for each run.
 */

import { colorIn } from './choice.js';
import { differences, exactText, pasteable, shortText } from './comparevalues.js';
import { emptyState, fill, h, textButton } from './dom.js';
import { nameParts, titleOf } from './names.js';
import { addressOf, change, view } from './state.js';

/** So many cells at most; who wants others searches. */
const MOST = 20_000;

export class Differences {
  constructor() {
    this.runs = [];
    this.search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search keys',
      'aria-label': 'Search keys',
      on: { input: () => change({ keys: this.search.value }, { replace: true }) },
    });
    this.only = h('input', { type: 'checkbox', on: { change: () => change({ equal: !this.only.checked }) } });
    this.copy = textButton('Copy', () => this.copyAll(), { title: 'Copy the table, to be pasted' });
    this.count = h('span', { class: 'muted nowrap', role: 'status' });
    this.place = h('div', {
      class: 'differences',
      tabindex: '0',
      role: 'region',
      'aria-label': 'Differences',
    });
    this.element = h(
      'section',
      { class: 'compare-part', 'aria-label': 'Config and summary' },
      h(
        'header',
        { class: 'part-head' },
        h('h2', { text: 'Config and summary' }),
        this.search,
        h('label', { class: 'row' }, this.only, 'Only what differs'),
        this.copy,
        this.count,
      ),
      this.place,
    );
  }

  close() {}

  update(_runs, kept) {
    this.runs = kept;
    if (this.search !== document.activeElement) this.search.value = view.keys;
    this.only.checked = !view.equal;
    this.rows = differences(kept, { equal: view.equal, search: view.keys });
    this.count.textContent = `${this.rows.length} ${this.rows.length === 1 ? 'key' : 'keys'}`;
    const plan = JSON.stringify([
      kept.map((run) => [run.tail, titleOf(run), colorIn(view, run)]),
      this.rows.map(({ id, values }) => [id, values.map(exactText)]),
    ]);
    if (plan === this.plan) return;
    this.plan = plan;
    fill(this.place, this.rows.length ? this.table() : this.nothing());
  }

  nothing() {
    const advice = view.keys ? 'Search for another name.' : 'Show all keys, or choose other runs.';
    return emptyState(view.keys ? 'No key is like that' : 'Nothing differs', advice);
  }

  table() {
    const shown = this.rows.slice(0, Math.max(20, Math.floor(MOST / this.runs.length)));
    const left = this.rows.length - shown.length;
    return [
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Key' }), this.runs.map(head))),
        h('tbody', {}, shown.map(tableRow)),
      ),
      left > 0 && h('p', { class: 'muted pad', text: `and ${left} more: search for them` }),
    ];
  }

  async copyAll() {
    await navigator.clipboard.writeText(pasteable(this.runs, this.rows));
    this.copy.textContent = 'Copied';
    setTimeout(() => {
      this.copy.textContent = 'Copy';
    }, 1200);
  }
}

function head(run) {
  return h(
    'th',
    { scope: 'col' },
    h(
      'a',
      { class: 'row', href: addressOf({ ...view, page: 'run', run: run.tail }), title: titleOf(run) },
      h('span', { class: 'swatch', style: { background: colorIn(view, run) } }),
      h('span', { class: 'name-parts' }, nameParts(run)),
    ),
  );
}

function tableRow({ id, values, differs }) {
  const [above, ...path] = id.split('.');
  const hasNumbers = values.some((value) => typeof value === 'number');
  return h(
    'tr',
    { class: differs ? 'differs' : '' },
    h(
      'th',
      { scope: 'row', title: id },
      h('span', { class: `kind ${above}`, title: above, text: above[0].toUpperCase() }),
      h('span', { class: 'clip', text: path.join('.') }),
    ),
    values.map((value) =>
      h('td', {
        class: typeof value === 'number' || (value === undefined && hasNumbers) ? 'number' : 'clip',
        title: exactText(value),
        text: value === undefined ? '–' : shortText(value),
      }),
    ),
  );
}
