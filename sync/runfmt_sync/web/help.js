/**
 * The help, and the keys.
 */

import { mayEdit } from './access.js';
import { h, textButton } from './dom.js';

const KEYS = [
  ['/', 'Filter the runs'],
  ['j  k', 'Next, previous run'],
  ['Enter', 'Open the run'],
  ['x', 'Put the run into the charts, or take it out'],
  ['e', 'Edit the name of the run'],
  ['c  t', 'Charts, table'],
  ['p', 'Search panels'],
  ['Esc', 'Close; reset the zoom'],
  ['?', 'This help'],
];
const FILTERS = [
  ['resnet', 'name, id, tags or notes have the word'],
  ['config.lr > 0.01 and state = finished', 'both'],
  ['summary.loss < 0.5 or tags = baseline', 'one of both'],
  ['not (optimizer.name in [sgd, adam])', 'config and summary may be left out'],
  ['"summary.val/best loss" >= 1', 'quotes around names with spaces'],
];
const CHARTS = [
  ['Drag', 'zoom in, to finer points'],
  ['Double-click', 'see all again'],
  ['×  ▲  ▼', 'NaN, infinity, minus infinity; one for all that are close'],
  ['◂ ┊', 'training went back to this step'],
  ['Band', 'least to greatest, where points were reduced or runs grouped'],
];

let dialog = null;

export function openHelp() {
  dialog ??= document.body.appendChild(
    h(
      'dialog',
      { class: 'help', 'aria-label': 'Help' },
      h(
        'header',
        { class: 'row between' },
        h('h2', { text: 'Help' }),
        textButton('Close', () => dialog.close()),
      ),
      part('Keys', mayEdit() ? KEYS : KEYS.filter(([key]) => key !== 'e'), 'kbd'),
      part('Filters', FILTERS, 'code'),
      part('Charts', CHARTS, 'span'),
      h('p', { class: 'muted', text: 'The address holds the whole view: send it to a colleague.' }),
    ),
  );
  if (!dialog.open) dialog.showModal();
}

function part(name, rows, tag) {
  return h(
    'section',
    { class: 'pairs' },
    h('h3', { text: name }),
    h(
      'dl',
      {},
      rows.flatMap(([what, means]) => [h('dt', {}, h(tag, { text: what })), h('dd', { text: means })]),
    ),
  );
}
