/**
 * The page of the charts: the runs at the left, their panels beside them.
 */

import { fill, h, icon } from './dom.js';
import { onRuns } from './runs.js';
import { Panels } from './panels.js';
import { RunList } from './runlist.js';
import { chosen } from './choice.js';
import { view } from './state.js';

export const title = 'Charts';

export class Page {
  constructor() {
    this.runs = new RunList({ isNarrow: true });
    this.panels = new Panels();
    this.fold = h('button', {
      type: 'button',
      class: 'button side-switch',
      'aria-expanded': 'false',
      on: { click: () => this.turn() },
    });
    this.element = h('div', { class: 'page split' }, this.fold, this.runs.element, this.panels.element);
    this.stop = onRuns(() => this.showPanels(null));
  }

  get table() {
    return this.runs.table;
  }

  close() {
    this.stop();
    this.runs.close();
    this.panels.close();
  }

  update(before) {
    this.runs.update();
    this.showPanels(before);
  }

  showPanels(before) {
    fill(this.fold, icon('list'), `Runs · ${chosen(view).length} in charts`);
    this.panels.update(before);
  }

  /** On a phone the runs lie over the charts, until they are put away. */
  turn() {
    const isOpen = this.element.classList.toggle('open');
    this.fold.setAttribute('aria-expanded', String(isOpen));
    this.runs.table.showRows();
  }
}
