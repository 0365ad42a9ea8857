/**
 * A table that was logged: sorted by a column, searched, page by page; media stand in its cells.
 */

import { fill, h, icon, iconButton } from './dom.js';
import { compareValues, formatValue, restore } from './values.js';

const PAGE = 25;

export class DataTable {
  /**
   * @param {any} document `columns` and `data` (R076)
   * @param {import('./viewer.js').Context} context
   * @param {typeof import('./viewer.js').show} show for cells of media
   */
  constructor(document, context, show) {
    const { columns, data } = restore(document);
    if (!Array.isArray(columns) || !Array.isArray(data))
      throw new Error('it is no table: columns or data are missing');
    Object.assign(this, { columns, data, context, show, sort: -1, sign: 1, page: 0, shown: [] });
    this.search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search in all cells',
      'aria-label': 'Search in all cells',
      on: {
        input: () => {
          this.page = 0;
          this.draw();
        },
      },
    });
    this.count = h('span', { class: 'muted number nowrap', role: 'status' });
    this.grid = h('table', { class: 'data' });
    this.element = h(
      'div',
      { class: 'data-table' },
      h(
        'div',
        { class: 'tools' },
        this.search,
        this.count,
        iconButton('up', 'The rows before', () => this.turn(-1)),
        iconButton('down', 'The next rows', () => this.turn(1)),
      ),
      h('div', { class: 'data-scroller', tabindex: '0', 'aria-label': 'Table' }, this.grid),
    );
    this.draw();
  }

  close() {
    for (const one of this.shown) one.close();
    this.shown = [];
  }

  redraw() {
    for (const one of this.shown) one.redraw?.();
  }

  /** The rows that are searched for, in order. */
  rows() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = words.length ? this.data.filter((row) => matches(row, words)) : [...this.data];
    if (this.sort < 0) return rows;
    return rows.sort((a, b) => this.sign * compareValues(a?.[this.sort], b?.[this.sort]));
  }

  turn(by) {
    this.page += by;
    this.draw();
  }

  sortBy(column) {
    [this.sort, this.sign] = [column, this.sort === column ? -this.sign : 1];
    this.page = 0;
    this.draw();
  }

  draw() {
    this.close();
    const rows = this.rows();
    this.page = Math.max(0, Math.min(this.page, Math.ceil(rows.length / PAGE) - 1));
    const first = this.page * PAGE;
    const some = rows.slice(first, first + PAGE);
    const all = rows.length.toLocaleString('en-US');
    this.count.textContent = some.length ? `${first + 1}–${first + some.length} of ${all}` : 'No rows';
    fill(
      this.grid,
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          this.columns.map((name, column) => this.head(name, column)),
        ),
      ),
      h(
        'tbody',
        {},
        some.map((row) => this.row(row)),
      ),
    );
  }

  head(name, column) {
    const isSorted = this.sort === column;
    return h(
      'th',
      { scope: 'col', 'aria-sort': isSorted ? (this.sign > 0 ? 'ascending' : 'descending') : null },
      h(
        'button',
        { type: 'button', class: 'head', title: String(name), on: { click: () => this.sortBy(column) } },
        h('span', { class: 'clip', text: String(name) }),
        isSorted && icon(this.sign > 0 ? 'up' : 'down'),
      ),
    );
  }

  row(row) {
    return h(
      'tr',
      {},
      this.columns.map((_, column) => this.cell(Array.isArray(row) ? row[column] : undefined)),
    );
  }

  cell(value) {
    if (typeof value === 'object' && value?._type) {
      const shown = this.show(value, { ...this.context, isSmall: true });
      this.shown.push(shown);
      return h('td', {}, shown.element);
    }
    const text = value === null ? '' : formatValue(value);
    return h('td', { class: typeof value === 'number' ? 'number' : null, title: text, text });
  }
}

function matches(row, words) {
  const text = (Array.isArray(row) ? row : []).map(formatValue).join('\n').toLowerCase();
  return words.every((word) => text.includes(word));
}
