/**
 * The page of one run: what it is, its config and its summary.
 */

import { colorIn } from './choice.js';
import { pairsOf } from './columns.js';
import { emptyState, fill, h, loading, textButton } from './dom.js';
import { openEditor } from './editing.js';
import { onRuns, runsOf, status } from './runs.js';
import { change, view } from './state.js';
import { stateDot } from './table.js';
import { formatDuration, formatValue } from './values.js';

export const title = 'Run';

export class Page {
  constructor() {
    this.element = h('div', { class: 'page run-page' });
    this.stop = onRuns(() => this.update());
  }

  close() {
    this.stop();
  }

  update() {
    const run = runsOf(view.project).find((one) => one.tail === view.run);
    if (run?.refused) return fill(this.element, emptyState(`${run.name} cannot be read`, run.refused));
    if (!run && status.isLoading) return fill(this.element, loading());
    if (!run)
      return fill(
        this.element,
        emptyState('There is no such run', 'It may have been deleted, or lie in another project.'),
      );
    return fill(
      this.element,
      head(run),
      about(run),
      pairs('Config', run.row.config),
      pairs('Summary', run.row.summary),
    );
  }
}

function head(run) {
  const rename = textButton('Rename', () => openEditor(rename, run, 'name'));
  return h(
    'header',
    { class: 'row wrap' },
    h('span', { class: 'swatch', style: { background: colorIn(view, run) } }),
    h('h1', { text: run.name }),
    h('span', { class: 'row' }, stateDot(run.state), run.state),
    rename,
    textButton('Only this run in charts', () => change({ page: 'charts', runs: [run.tail] })),
  );
}

function about(run) {
  const rows = [
    ['Id', run.values.get('id')],
    ['Path', run.row.path],
    ['Created', run.values.get('created')],
    ['Duration', formatDuration(run.values.get('duration'))],
    ['Rows', formatValue(run.values.get('rows'))],
    ['Host', run.values.get('host')],
    ['Tags', formatValue((run.values.get('tags') ?? []).join(', '))],
    ['Notes', run.values.get('notes')],
  ];
  return list(
    'About',
    rows.filter(([, value]) => value),
  );
}

const pairs = (name, document) =>
  list(
    name,
    pairsOf(document).map(([path, value]) => [path, formatValue(value)]),
  );

function list(name, rows) {
  return h(
    'section',
    { class: 'pairs' },
    h('h2', { text: name }),
    rows.length
      ? h(
          'dl',
          {},
          rows.flatMap(([key, value]) => [
            h('dt', { class: 'clip', text: key, title: key }),
            h('dd', { text: value }),
          ]),
        )
      : h('p', { class: 'muted', text: 'Nothing was recorded.' }),
  );
}
