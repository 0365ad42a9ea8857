/**
 * The table of runs. Of thousands of rows only those in sight are on the page.
 */

import { mayEdit } from './access.js';
import { chosen, colorIn, grouped, listed, toggled } from './choice.js';
import { cellText, cellTitle, columnOf, isNumeric, shownColumns } from './columns.js';
import { standOut } from './cursor.js';
import { fill, h, icon, iconButton, oncePerFrame } from './dom.js';
import { openColors, openEditor } from './editing.js';
import { openMenu } from './menu.js';
import { nameParts, titleOf } from './names.js';
import { addressOf, change, view } from './state.js';

const ROW = 32;
/** What people may change, as the menu of a run names it. */
const EDITED = [
  ['Rename…', 'name'],
  ['Notes…', 'notes'],
  ['Tags…', 'tags'],
];
/** Rows beyond the edges, so that scrolling shows no holes. */
const MORE = 12;

export class RunTable {
  /** @param {{isNarrow?: boolean}} options narrow: names only, beside charts */
  constructor({ isNarrow = false } = {}) {
    this.isNarrow = isNarrow;
    this.items = [];
    this.at = -1;
    this.folded = new Set();
    this.head = h('thead');
    this.body = h('tbody');
    this.columns = h('colgroup');
    this.table = h(
      'table',
      { class: isNarrow ? 'runs narrow' : 'runs', 'aria-label': 'Runs' },
      this.columns,
      this.head,
      this.body,
    );
    this.element = h('div', { class: 'scroller', tabindex: '-1' }, this.table);
    this.showRows = oncePerFrame(() => this.drawRows());
    this.element.addEventListener('scroll', this.showRows, { passive: true });
    this.sizes = new ResizeObserver(this.showRows);
    this.sizes.observe(this.element);
    this.body.addEventListener('pointerleave', () => standOut(null));
  }

  close() {
    this.sizes.disconnect();
    standOut(null);
  }

  /** Show the view and the rows as they are now. */
  update() {
    const { runs } = listed(view);
    this.chosen = new Set(chosen(view));
    this.shown = [columnOf('name'), ...(this.isNarrow ? [] : shownColumns(view, runs))].map((column) => ({
      ...column,
      isNumeric: runs.some((run) => isNumeric(column, run)),
    }));
    this.items = view.group ? this.inGroups(runs) : runs.map((run) => ({ run, color: colorIn(view, run) }));
    this.at = Math.min(this.at, this.items.length - 1);
    this.table.setAttribute('aria-rowcount', String(this.items.length + 1));
    this.drawHead();
    this.showRows();
  }

  inGroups(runs) {
    return grouped(view, runs).flatMap((group) => [
      { group },
      ...(this.folded.has(group.id) ? [] : group.runs.map((run) => ({ run, color: group.color }))),
    ]);
  }

  drawHead() {
    const now = JSON.stringify([this.shown, view.sort, this.chosen.size]);
    if (now === this.drawnHead) return;
    this.drawnHead = now;
    const widths = [this.isNarrow ? 34 : 38, ...this.shown.map((column) => column.width)];
    fill(
      this.columns,
      widths.map((width, i) => h('col', { style: { width: this.isNarrow && i ? 'auto' : `${width}px` } })),
    );
    if (!this.isNarrow) this.table.style.width = `${widths.reduce((sum, width) => sum + width, 0)}px`;
    fill(
      this.head,
      h(
        'tr',
        {},
        h('th', { class: 'eye', scope: 'col' }, this.allButton()),
        this.shown.map((column) => this.headCell(column)),
      ),
    );
  }

  allButton() {
    const label = `${this.chosen.size} in charts: choose which`;
    const button = iconButton(
      'eye',
      label,
      () =>
        openMenu(button, 'Runs in charts', [
          { label: 'The first ten', act: () => change({ runs: null }) },
          { label: 'All that are listed', act: () => change({ runs: ['all'] }) },
          { label: 'None', act: () => change({ runs: [] }) },
        ]),
      { 'aria-haspopup': 'dialog' },
    );
    return button;
  }

  headCell(column) {
    const [id, isFalling] = view.sort.startsWith('-') ? [view.sort.slice(1), true] : [view.sort, false];
    const isSorted = id === column.id;
    const next = isSorted && isFalling ? '' : `${isSorted ? '-' : ''}${column.id}`;
    return h(
      'th',
      {
        scope: 'col',
        'aria-sort': isSorted ? (isFalling ? 'descending' : 'ascending') : null,
        title: column.id,
      },
      h(
        'button',
        {
          type: 'button',
          class: column.isNumeric ? 'head number' : 'head',
          on: { click: () => change({ sort: next }) },
        },
        column.above &&
          h('span', {
            class: `kind ${column.above}`,
            text: column.above === 'config' ? 'c' : 's',
            'aria-hidden': 'true',
          }),
        h('span', { class: 'clip', text: column.label }),
        isSorted && icon(isFalling ? 'down' : 'up'),
      ),
    );
  }

  drawRows() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - MORE);
    const end = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / ROW) + MORE);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    fill(
      this.body,
      gap(first, this.shown.length),
      this.items.slice(first, end).map((item, i) => this.drawItem(item, first + i)),
      gap(this.items.length - end, this.shown.length),
    );
    if (focused)
      this.body.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  drawItem(item, index) {
    const row = item.group ? this.groupRow(item.group) : this.runRow(item);
    row.setAttribute('aria-rowindex', String(index + 2));
    row.classList.toggle('current', index === this.at);
    return row;
  }

  groupRow(group) {
    const isFolded = this.folded.has(group.id);
    const fold = () => {
      if (!this.folded.delete(group.id)) this.folded.add(group.id);
      this.update();
    };
    return h(
      'tr',
      { class: 'group', on: { pointerenter: () => standOut(group.id) } },
      h('td', { class: 'eye' }, this.eye(group.runs, `group ${group.name}`, group.id)),
      h(
        'td',
        { colspan: String(this.shown.length) },
        h(
          'button',
          {
            type: 'button',
            class: 'fold',
            'aria-expanded': String(!isFolded),
            'data-focus': group.id,
            on: { click: fold },
          },
          icon(isFolded ? 'right' : 'down'),
          h('span', { class: 'swatch', style: { background: group.color } }),
          h('span', { class: 'muted', text: `${columnOf(view.group).label}:` }),
          h('strong', { text: group.name }),
          h('span', { class: 'count', text: String(group.runs.length) }),
        ),
      ),
    );
  }

  runRow({ run, color }) {
    if (run.refused) return refusedRow(run, this.shown.length);
    const row = h(
      'tr',
      {
        class: this.chosen.has(run) ? 'in' : 'out',
        on: { pointerenter: () => standOut(this.chosen.has(run) ? run.uid : null) },
      },
      h('td', { class: 'eye' }, this.eye([run], titleOf(run), run.uid)),
      this.nameCell(run, color),
      this.shown.slice(1).map((column) => this.cell(column, run)),
    );
    return row;
  }

  eye(runs, name, id) {
    const isIn = runs.some((run) => this.chosen.has(run));
    return iconButton(
      isIn ? 'eye' : 'hidden',
      `${isIn ? 'Take out of' : 'Put into'} the charts: ${name}`,
      () => change({ runs: toggled(view, runs) }),
      { 'aria-pressed': String(isIn), 'data-focus': `eye ${id}` },
    );
  }

  nameCell(run, color) {
    const swatch = h('button', {
      type: 'button',
      class: 'swatch',
      'aria-label': `Colour of ${titleOf(run)}`,
      title: 'Colour',
      style: { background: color },
      on: { click: () => openColors(swatch, run) },
    });
    const more = iconButton('more', `More about ${titleOf(run)}`, () => this.openRunMenu(more, run), {
      'aria-haspopup': 'dialog',
      class: 'quiet more',
      'data-focus': `more ${run.uid}`,
    });
    return h(
      'th',
      { class: 'name', scope: 'row' },
      h(
        'div',
        { class: 'name-cell' },
        swatch,
        h(
          'a',
          { class: 'name-parts', href: addressOf({ ...view, page: 'run', run: run.tail }) },
          nameParts(run),
        ),
        more,
        this.isNarrow && stateDot(run.state),
      ),
    );
  }

  openRunMenu(anchor, run) {
    openMenu(anchor, titleOf(run), [
      { label: 'Open', act: () => change({ page: 'run', run: run.tail }) },
      { label: 'Only this run in charts', act: () => change({ runs: [run.tail] }) },
      ...(mayEdit() ? EDITED : []).map(([label, field]) => ({
        label,
        act: () => openEditor(anchor, run, field),
      })),
      { label: 'Colour…', act: () => openColors(anchor, run) },
      { label: 'Copy id', act: () => navigator.clipboard?.writeText(run.row.attributes?.id ?? run.uid) },
    ]);
  }

  cell(column, run) {
    const title = cellTitle(column, run);
    if (column.kind === 'state')
      return h('td', {}, h('span', { class: 'row' }, stateDot(run.state), run.state));
    if (column.kind === 'tags' || column.kind === 'notes') return this.editable(column, run, title);
    return h('td', {
      class: isNumeric(column, run) ? 'number clip' : 'clip',
      title,
      text: cellText(column, run),
    });
  }

  editable(column, run, title) {
    const text = cellText(column, run);
    const inside =
      column.kind === 'tags' && text
        ? run.values.get('tags').map((tag) => h('span', { class: 'tag', text: tag }))
        : [text];
    if (!mayEdit()) return h('td', { class: 'clip', title }, inside);
    const button = h(
      'button',
      {
        type: 'button',
        class: 'edit clip',
        'aria-label': `${column.label} of ${titleOf(run)}: ${text || 'none'}. Edit`,
        title,
        on: { click: () => openEditor(button, run, column.id) },
      },
      inside,
    );
    return h('td', {}, button);
  }

  /** Move the current row; -1 up, 1 down. */
  move(step) {
    if (!this.items.length) return;
    this.at = Math.max(0, Math.min(this.at + step, this.items.length - 1));
    const top = this.at * ROW;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + 2 * ROW > scrollTop + clientHeight) this.element.scrollTop = top + 2 * ROW - clientHeight;
    const { run, group } = this.items[this.at];
    standOut(group ? group.id : run.uid);
    this.showRows();
  }

  currentRow() {
    return this.body.querySelector('.current');
  }

  /** The current row's run, if it is one. */
  current() {
    return this.items[this.at]?.run;
  }
}

function gap(rows, columns) {
  return (
    rows > 0 &&
    h(
      'tr',
      { class: 'gap', 'aria-hidden': 'true', style: { height: `${rows * ROW}px` } },
      h('td', { colspan: String(columns + 1) }),
    )
  );
}

function refusedRow(run, columns) {
  return h(
    'tr',
    { class: 'refused' },
    h('td', { class: 'eye', 'aria-hidden': 'true', text: '!' }),
    h(
      'td',
      { colspan: String(columns), class: 'clip', title: `${run.name}: ${run.refused}` },
      h('strong', { text: run.name }),
      h('span', { class: 'error', text: ` ${run.refused}` }),
    ),
  );
}

/** The state of a run: a colour, and a word for those who do not see it. */
export function stateDot(state) {
  return h('span', { class: `state ${state}`, title: state, role: 'img', 'aria-label': state });
}
