/**
 * Part of the page of a run: its files, with their sizes, to be saved.
 */

import { askFile, Problem } from './api.js';
import { fill, h, loading, textButton } from './dom.js';
import { save } from './download.js';
import { formatBytes } from './values.js';

const PART = 300;

export class FilesPart {
  constructor() {
    Object.assign(this, { uid: '', about: null, said: '', most: PART });
    this.search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search files',
      'aria-label': 'Search files',
      on: { input: () => this.draw() },
    });
    this.count = h('span', { class: 'muted nowrap', role: 'status' });
    this.list = h('ul', { class: 'files' }, loading());
    this.note = h('p', { class: 'error', role: 'alert' });
    this.element = h(
      'div',
      { class: 'files-part' },
      h('div', { class: 'tools' }, this.search, this.count),
      this.note,
      this.list,
    );
  }

  close() {}

  update(run, about) {
    const said = JSON.stringify(about?.files);
    Object.assign(this, { uid: run.uid, about });
    if (!about || said === this.said) return;
    this.said = said;
    this.draw();
  }

  draw() {
    const { files, files_left: left } = this.about;
    const words = this.search.value.toLowerCase().split(/\s+/);
    const found = files.filter(({ path }) => words.every((word) => path.toLowerCase().includes(word)));
    const size = found.reduce((sum, file) => sum + file.size, 0);
    this.count.textContent = `${found.length.toLocaleString('en-US')} files, ${formatBytes(size)}`;
    fill(
      this.list,
      found.slice(0, this.most).map((file) => this.item(file)),
      found.length > this.most &&
        h(
          'li',
          {},
          textButton(`Show ${PART} more`, () => this.more()),
        ),
      left > 0 &&
        h('li', { class: 'muted', text: `and ${left.toLocaleString('en-US')} more, which are not listed` }),
      !found.length && h('li', { class: 'muted', text: 'No file has that name.' }),
    );
  }

  more() {
    this.most += PART;
    this.draw();
  }

  item({ path, size }) {
    const cut = path.lastIndexOf('/') + 1;
    const button = textButton('Save', () => this.fetch(path, button), { 'aria-label': `Save ${path}` });
    return h(
      'li',
      {},
      h(
        'span',
        { class: 'grow path-name', title: path },
        h('span', { class: 'muted', text: path.slice(0, cut) }),
        path.slice(cut),
      ),
      h('span', { class: 'number muted', text: formatBytes(size) }),
      button,
    );
  }

  async fetch(path, button) {
    button.disabled = true;
    this.note.textContent = '';
    try {
      save(path.split('/').at(-1), await (await askFile(this.uid, path)).blob());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.note.textContent = `${path} was not saved: ${error.message}`;
    } finally {
      button.disabled = false;
    }
  }
}
