/**
 * The list of runs with its tools: filter, group, columns. Beside charts it is narrow.
 */

import { chosen, listed } from './choice.js';
import { allColumns, columnOf, shownColumns } from './columns.js';
import { emptyState, fill, h, loading, textButton } from './dom.js';
import { menuButton, openBox, relabel, searchList } from './menu.js';
import { load, onRuns, status } from './runs.js';
import { change, view } from './state.js';
import { RunTable } from './table.js';

export class RunList {
  /** @param {{isNarrow?: boolean}} [options] */
  constructor({ isNarrow = false } = {}) {
    this.isNarrow = isNarrow;
    this.table = new RunTable({ isNarrow });
    this.filter = h('input', {
      type: 'search',
      class: 'field grow',
      placeholder: 'Filter: config.lr > 0.01',
      'aria-label': 'Filter the runs',
      spellcheck: 'false',
      autocomplete: 'off',
      'data-key': '/',
      'aria-describedby': 'filter-said',
      on: { input: () => change({ filter: this.filter.value }, { replace: true }) },
    });
    this.said = h('p', { class: 'said', id: 'filter-said', role: 'status' });
    this.group = menuButton('group', 'Group the runs', 'Group', openGroups);
    this.columns = menuButton('columns', 'Choose columns', 'Columns', openColumns);
    this.count = h('span', { class: 'muted nowrap' });
    this.empty = h('div');
    this.element = h(
      'section',
      { class: isNarrow ? 'runlist narrow' : 'runlist', 'aria-label': 'Runs' },
      h('div', { class: 'tools' }, this.filter, this.group, !isNarrow && this.columns, this.count),
      this.said,
      this.table.element,
      this.empty,
    );
    this.stop = onRuns(() => this.update());
  }

  close() {
    this.stop();
    this.table.close();
  }

  update() {
    const { runs, error } = listed(view);
    if (this.filter !== document.activeElement) this.filter.value = view.filter;
    this.filter.setAttribute('aria-invalid', String(Boolean(error)));
    fill(this.said, error && complaint(view.filter, error));
    relabel(this.group, view.group ? columnOf(view.group).label : 'Group');
    this.group.classList.toggle('on', Boolean(view.group));
    this.count.textContent = status.isLoading
      ? `${runs.length}…`
      : `${chosen(view).length} of ${runs.length}`;
    this.count.title = 'in charts, of the runs that are listed';
    this.table.element.hidden = !runs.length;
    fill(this.empty, !runs.length && nothing());
    this.table.update();
  }
}

/** What is wrong with a filter, and where it is. */
function complaint(text, error) {
  const at = error.position;
  return [
    h('code', {}, text.slice(0, at), h('mark', { text: text.slice(at) || ' ' })),
    h('span', { class: 'error', text: ` ${error.message}` }),
  ];
}

function nothing() {
  if (status.problem) {
    return emptyState(
      'The runs could not be read',
      status.problem.message,
      textButton('Try again', () => load(view.project, true), { class: 'button primary' }),
    );
  }
  if (status.isLoading || status.scope === undefined) return loading();
  if (view.filter)
    return emptyState(
      'No run is like that',
      'The filter leaves nothing over.',
      textButton('Clear the filter', () => change({ filter: '' })),
    );
  return emptyState('No runs yet', 'Call runfmt.init() in the trainer: the run appears here by itself.');
}

function openGroups(anchor) {
  const choices = [
    { id: '', label: 'Not grouped' },
    ...allColumns(listed(view).runs)
      .filter((id) => !id.startsWith('summary.'))
      .map((id) => ({ id, label: id })),
  ];
  openBox(
    anchor,
    'Group the runs',
    (close) =>
      searchList(
        'Group by',
        choices,
        () => [view.group],
        (id) => {
          change({ group: id });
          close();
        },
      ),
    { wide: true },
  );
}

function openColumns(anchor) {
  const { runs } = listed(view);
  const shown = () => shownColumns(view, runs).map((column) => column.id);
  const choices = allColumns(runs).map((id) => ({ id, label: id }));
  const toggle = (id) =>
    change({ columns: shown().includes(id) ? shown().filter((one) => one !== id) : [...shown(), id] });
  openBox(
    anchor,
    'Choose columns',
    (close) => [
      ...searchList('Search columns', choices, shown, toggle, { many: true }),
      h(
        'div',
        { class: 'row pad' },
        textButton('As at first', () => {
          change({ columns: null });
          close();
        }),
      ),
    ],
    { wide: true },
  );
}
