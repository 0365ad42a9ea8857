/**
 * The page of the table: all runs with their config and summary.
 */

import { h } from './dom.js';
import { RunList } from './runlist.js';

export const title = 'Table';

export class Page {
  constructor() {
    this.runs = new RunList();
    this.element = h('div', { class: 'page' }, this.runs.element);
  }

  get table() {
    return this.runs.table;
  }

  close() {
    this.runs.close();
  }

  update() {
    this.runs.update();
  }
}
