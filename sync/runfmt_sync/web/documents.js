/**
 * Part of the page of a run: config and summary as trees, searched, copied, edited.
 */

import { mayEdit } from './access.js';
import { fill, h, iconButton, textButton } from './dom.js';
import { openValueEditor } from './editing.js';
import { formatValue } from './values.js';

/** Of an object with more, the others are found by searching. */
const MOST = 1000;

export class DocumentsPart {
  constructor() {
    Object.assign(this, { run: null, said: '', folded: new Set() });
    this.search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search names and values',
      'aria-label': 'Search names and values',
      on: { input: () => this.draw() },
    });
    this.trees = h('div', { class: 'trees' });
    this.element = h('div', { class: 'documents' }, this.search, this.trees);
  }

  close() {}

  update(run) {
    this.run = run;
    const said = JSON.stringify([run.uid, run.row.config, run.row.summary], plainly);
    if (said === this.said) return;
    this.said = said;
    this.draw();
  }

  draw() {
    const { config = {}, summary = {} } = this.run.row;
    fill(this.trees, this.tree('Config', 'config', config), this.tree('Summary', 'summary', summary));
  }

  tree(title, name, document) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const copy = textButton('Copy as JSON', () => copyText(copy, JSON.stringify(document, plainly, 2)));
    const rows = this.rows([name], document, words);
    return h(
      'section',
      { class: 'pairs tree', 'aria-label': title },
      h('header', { class: 'row between' }, h('h2', { text: title }), copy),
      rows.length
        ? h('ul', {}, rows)
        : h('p', { class: 'muted', text: words.length ? 'Nothing is like that.' : 'Nothing was recorded.' }),
    );
  }

  rows(above, document, words) {
    return Object.entries(document)
      .map(([key, value]) => this.item([...above, key], value, words))
      .filter(Boolean)
      .slice(0, MOST);
  }

  item(keys, value, words) {
    if (isBranch(value)) return this.branch(keys, value, words);
    const text = `${keys.slice(1).join('.')} ${formatValue(value)}`.toLowerCase();
    return words.every((word) => text.includes(word)) && this.leaf(keys, value);
  }

  branch(keys, value, words) {
    const rows = this.rows(keys, value, words);
    if (!rows.length) return null;
    const place = JSON.stringify(keys);
    const isOpen = words.length > 0 || !this.folded.has(place);
    const toggle = ({ target }) => this.folded[target.open ? 'delete' : 'add'](place);
    return h(
      'li',
      {},
      h(
        'details',
        { open: isOpen, on: words.length ? {} : { toggle } },
        h(
          'summary',
          {},
          h('span', { class: 'key', text: keys.at(-1) }),
          h('span', { class: 'count', text: ` ${rows.length}` }),
        ),
        h('ul', {}, rows),
      ),
    );
  }

  leaf(keys, value) {
    const name = keys.slice(1).join('.');
    const text = typeof value === 'string' ? value : JSON.stringify(value, plainly);
    const change = iconButton('pen', `Edit ${name}`, () => openValueEditor(change, this.run, keys, value));
    const copy = iconButton('copy', `Copy ${name}`, () => copyText(copy, text));
    return h(
      'li',
      { class: 'leaf' },
      h('span', { class: 'key clip', text: keys.at(-1), title: name }),
      h('span', { class: `value ${typeof value}`, text: formatValue(value), title: text.slice(0, 1000) }),
      h('span', { class: 'acts' }, copy, mayEdit() && change),
    );
  }
}

const isBranch = (value) =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !('_type' in value) &&
  Object.keys(value).length > 0;

/** JSON has no words for these numbers. */
const plainly = (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

async function copyText(button, text) {
  await navigator.clipboard.writeText(text);
  button.classList.add('done');
}
