/**
 * The keys of the page. They do nothing while somebody types.
 */

import { mayEdit } from './access.js';
import { openEditor } from './editing.js';
import { openHelp } from './help.js';
import { toggled } from './choice.js';
import { change, view } from './state.js';

/**
 * @param {() => {table?: import('./table.js').RunTable, element: HTMLElement}} page the one that is shown
 */
export function startKeys(page) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) return leave(event);
    if (document.querySelector('dialog[open], [popover]:popover-open')) return;
    const act = KEYS[event.key];
    if (!act || (event.key === 'Enter' && event.target.closest?.('button, a, summary'))) return;
    event.preventDefault();
    act(page());
  });
}

const KEYS = {
  '?': openHelp,
  '/': ({ element }) => element.querySelector('[data-key="/"]')?.focus(),
  p: ({ element }) => element.querySelector('.panels input[type=search]')?.focus(),
  j: ({ table }) => table?.move(1),
  k: ({ table }) => table?.move(-1),
  x: ({ table }) => withRun(table, (run) => change({ runs: toggled(view, [run]) })),
  e: ({ table }) => mayEdit() && withRun(table, (run) => openEditor(table.currentRow(), run, 'name')),
  Enter: ({ table }) => withRun(table, (run) => change({ page: 'run', run: run.tail })),
  c: () => view.project !== null && change({ page: 'charts' }),
  t: () => view.project !== null && change({ page: 'table' }),
  Escape: () => view.zoom && change({ zoom: null }),
};

function withRun(table, act) {
  const run = table?.current();
  if (run) act(run);
}

function isTyping(target) {
  return target instanceof HTMLElement && target.matches('input, textarea, select');
}

function leave(event) {
  if (event.key === 'Escape' && !event.target.closest('dialog, [popover]')) event.target.blur();
}
