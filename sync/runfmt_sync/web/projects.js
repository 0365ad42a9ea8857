/**
 * The page of the projects: how many runs each has, and how they are.
 */

import { emptyState, fill, h, loading, textButton } from './dom.js';
import { load, onRuns, runsOf, status } from './runs.js';
import { addressOf, projectAddress, readView } from './state.js';
import { stateDot } from './table.js';
import { formatAgo } from './values.js';

export const title = 'Projects';

export class Page {
  constructor() {
    this.list = h('div', { class: 'projects' });
    this.element = h('div', { class: 'page' }, this.list);
    this.stop = onRuns(() => this.update());
    load(null);
  }

  close() {
    this.stop();
  }

  update() {
    const projects = inProjects(runsOf(null));
    if (status.problem)
      fill(
        this.list,
        emptyState(
          'The runs could not be read',
          status.problem.message,
          textButton('Try again', () => load(null, true), { class: 'button primary' }),
        ),
      );
    else if (status.scope !== null || (!projects.length && status.isLoading)) fill(this.list, loading());
    else if (!projects.length)
      fill(
        this.list,
        emptyState('No runs yet', 'Call runfmt.init() in the trainer: the run appears here by itself.'),
      );
    else
      fill(
        this.list,
        h(
          'header',
          { class: 'row between' },
          h('h1', { text: 'Projects' }),
          h('a', { class: 'button', href: allRuns(), text: 'All runs in one table' }),
        ),
        h('div', { class: 'cards' }, projects.map(card)),
        unreadable(),
      );
  }
}

function inProjects(runs) {
  const found = new Map();
  for (const run of runs) {
    if (run.project === null) continue;
    if (!found.has(run.project))
      found.set(run.project, { name: run.project, runs: 0, newest: 0, states: new Map() });
    const project = found.get(run.project);
    project.runs += 1;
    project.newest = Math.max(project.newest, run.row.time ?? 0);
    project.states.set(run.state, (project.states.get(run.state) ?? 0) + 1);
  }
  return [...found.values()].sort((a, b) => b.newest - a.newest);
}

function card({ name, runs, newest, states }) {
  const label = name || '(no project)';
  return h(
    'a',
    { class: 'card', href: projectAddress(name) },
    h('h2', { class: 'clip', text: label, title: label }),
    h(
      'p',
      {},
      h('strong', { text: String(runs) }),
      runs === 1 ? ' run' : ' runs',
      h('span', { class: 'muted', text: ` · ${formatAgo(newest)}` }),
    ),
    h(
      'p',
      { class: 'row wrap' },
      [...states].map(([state, count]) =>
        h('span', { class: 'row muted' }, stateDot(state), `${count} ${state}`),
      ),
    ),
  );
}

const allRuns = () => addressOf({ ...readView(''), page: 'table' });

function unreadable() {
  const runs = runsOf(null).filter((run) => run.refused);
  return (
    runs.length > 0 &&
    h(
      'section',
      { class: 'unreadable' },
      h('h2', { text: 'Cannot be read' }),
      h(
        'ul',
        {},
        runs.map((run) =>
          h(
            'li',
            {},
            h('strong', { text: run.name }),
            h('span', { class: 'error', text: ` ${run.refused}` }),
          ),
        ),
      ),
    )
  );
}
