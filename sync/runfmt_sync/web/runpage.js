/**
 * The page of one run: a head, and the part of it that the view names.
 */

import { mayEdit } from './access.js';
import { ask, Problem } from './api.js';
import { ChartsPart, SystemPart } from './runcharts.js';
import { colorIn } from './choice.js';
import { ConsolePart } from './console.js';
import { emptyState, fill, h, loading, textButton } from './dom.js';
import { DocumentsPart } from './documents.js';
import { openEditor } from './editing.js';
import { EventsPart } from './events.js';
import { FilesPart } from './runfiles.js';
import { onChanged } from './live.js';
import { titleOf } from './names.js';
import { OverviewPart } from './overview.js';
import { onRuns, runsOf, status } from './runs.js';
import { addressOf, change, view } from './state.js';
import { stateDot } from './table.js';

export const title = 'Run';

/** Each has `element`, `update(run, about, before)` and `close()`; about is null until it is there. */
const PARTS = {
  overview: ['Overview', OverviewPart],
  charts: ['Charts', ChartsPart],
  documents: ['Config and summary', DocumentsPart],
  console: ['Console', ConsolePart],
  system: ['System', SystemPart],
  files: ['Files', FilesPart],
  events: ['Alerts', EventsPart],
};

export class Page {
  constructor() {
    Object.assign(this, { uid: '', about: null, shown: '', part: null });
    this.head = h('header', { class: 'run-head row wrap' });
    this.tabs = h('nav', { class: 'tabs parts', 'aria-label': 'Parts of the run' });
    this.place = h('div', { class: 'run-part' });
    this.problem = h('p', { class: 'complaint error', role: 'alert', hidden: true });
    this.element = h('div', { class: 'page run-page' });
    this.stop = [
      onRuns(() => this.update()),
      onChanged((uids) => {
        if (uids.has(this.uid)) this.load(this.uid);
      }),
    ];
  }

  close() {
    for (const stop of this.stop) stop();
    this.part?.close();
  }

  update(before = null) {
    const run = runsOf(view.project).find((one) => one.tail === view.run);
    if (!run || run.refused) return this.sayNothing(run);
    if (run.uid !== this.uid) this.turnTo(run);
    if (!this.tabs.isConnected) fill(this.element, this.head, this.tabs, this.problem, this.place);
    this.showHead(run);
    this.showTabs();
    const name = PARTS[view.part] ? view.part : 'overview';
    if (name !== this.shown) this.open(name);
    this.part.update(run, this.about, before);
  }

  sayNothing(run) {
    if (run) return fill(this.element, emptyState(`${run.name} cannot be read`, run.refused));
    if (status.isLoading || status.scope === undefined) return fill(this.element, loading());
    const advice = 'It may have been deleted, or lie in another project.';
    return fill(this.element, emptyState('There is no such run', advice));
  }

  turnTo(run) {
    Object.assign(this, { uid: run.uid, about: null });
    this.part?.close();
    this.shown = '';
    this.load(run.uid);
  }

  open(name) {
    this.part?.close();
    this.part = new PARTS[name][1]();
    this.shown = name;
    fill(this.place, this.part.element);
  }

  async load(uid) {
    try {
      const about = await ask(`runs/${encodeURIComponent(uid)}/about`);
      if (uid !== this.uid) return;
      this.about = about;
      this.problem.hidden = true;
      this.update();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.problem.textContent = `More about this run cannot be shown: ${error.message}`;
      this.problem.hidden = false;
    }
  }

  showHead(run) {
    const said = JSON.stringify([titleOf(run), run.state, colorIn(view, run)]);
    if (said === this.said) return;
    this.said = said;
    const rename = textButton('Rename', () => openEditor(rename, run, 'name'));
    fill(
      this.head,
      h('span', { class: 'swatch', style: { background: colorIn(view, run) } }),
      h('h1', { text: run.name }),
      run.suffix && h('span', { class: 'suffix', text: run.suffix }),
      h('span', { class: 'row' }, stateDot(run.state), run.state),
      h('span', { class: 'grow' }),
      mayEdit() && rename,
      textButton('Compare in charts', () => change({ page: 'charts' })),
    );
  }

  showTabs() {
    const hadFocus = this.tabs.contains(document.activeElement);
    const alerts = this.about?.events.filter(({ event }) => event === 'alert').length;
    const counts = { events: alerts, files: this.about && this.about.files.length + this.about.files_left };
    fill(
      this.tabs,
      Object.entries(PARTS).map(([name, [label]]) =>
        h(
          'a',
          {
            href: addressOf({ ...view, part: name, full: '' }),
            'aria-current': name === view.part ? 'page' : null,
          },
          label,
          counts[name] > 0 && h('span', { class: 'count', text: counts[name].toLocaleString('en-US') }),
        ),
      ),
    );
    if (hadFocus) this.tabs.querySelector('[aria-current]')?.focus();
  }
}
