/**
 * All panels of the chosen runs, in sections: only what is in sight is loaded and drawn.
 */

import { chosen } from './choice.js';
import { forget } from './curves.js';
import { emptyState, fill, h, icon, textButton } from './dom.js';
import { FullPanel } from './full.js';
import { columnsFor, inSections, leastWidth, shownPanels } from './layout.js';
import { onChanged, onPulse } from './live.js';
import { loadMetrics, metrics, onMetrics } from './metrics.js';
import { makePanel } from './mediapanel.js';
import { titleOf } from './names.js';
import { runOf, status } from './runs.js';
import { change, view } from './state.js';
import { panelTools } from './tools.js';

/** So many panels of a section are there at once; more on request. */
const PART = 60;
/** Panels this far outside the window count as in sight. */
const AHEAD = '240px';
/** Other curves are needed when one of these changed. */
const ASKS = ['runs', 'writers', 'x', 'zoom', 'filter', 'sort', 'project', 'group'];

export class Panels {
  /** @param {(panel: import('./metrics.js').Panel) => boolean} [isMine] which panels are there at all */
  constructor(isMine = () => true) {
    this.isMine = isMine;
    this.views = new Map();
    this.parts = new Map();
    this.drawn = '';
    this.tools = panelTools();
    this.sections = h('div', { class: 'sections' });
    this.element = h(
      'section',
      { class: 'panels', 'aria-label': 'Charts' },
      this.tools.element,
      this.sections,
    );
    this.full = new FullPanel();
    this.sizes = new ResizeObserver(() => this.putBeside());
    this.sizes.observe(this.sections);
    this.sight = new IntersectionObserver((entries) => this.see(entries), { rootMargin: AHEAD });
    this.stop = [
      onMetrics(() => this.update()),
      onChanged((uids) => this.renew(uids)),
      onPulse(() => this.retry()),
    ];
  }

  close() {
    for (const stop of this.stop) stop();
    for (const one of this.views.values()) one.close();
    this.sight.disconnect();
    this.sizes.disconnect();
    this.full.close();
  }

  /** Show the view as it is now; `before` is what was shown. */
  update(before = null) {
    loadMetrics(chosen(view).map((run) => run.uid));
    this.tools.update();
    this.arrange();
    const isOther = !before || ASKS.some((name) => before[name] !== view[name]);
    for (const one of this.views.values()) isOther ? one.refresh() : one.redraw();
    this.full.update(isOther);
  }

  /** Runs have new rows: their curves are asked for again where they are in sight. */
  renew(uids) {
    forget(uids);
    const runs = chosen(view).map((run) => run.uid);
    if (!runs.some((uid) => uids.has(uid))) return;
    loadMetrics(runs, true);
    for (const one of this.views.values()) one.refresh();
    this.full.update(true);
  }

  retry() {
    if (metrics.problem || metrics.pending.length)
      loadMetrics(
        chosen(view).map((run) => run.uid),
        true,
      );
  }

  see(entries) {
    for (const { target, isIntersecting } of entries)
      this.views.get(target.dataset.panel)?.setInSight(isIntersecting);
  }

  /** Put sections and panels in place, where others are to be shown than before. */
  arrange() {
    const panels = shownPanels().filter(this.isMine);
    const sections = inSections(panels);
    const plan = JSON.stringify([
      panels.map((panel) => panel.id),
      view.folded,
      [...this.parts],
      view.size,
      this.emptiness(panels)?.[0],
      metrics.problems,
    ]);
    if (plan === this.drawn) return;
    this.drawn = plan;
    const there = new Set(panels.map((panel) => panel.id));
    for (const [id, one] of this.views) if (!there.has(id)) this.drop(id, one);
    const empty = this.emptiness(panels);
    fill(
      this.sections,
      complaints(),
      empty ? emptyState(...empty) : sections.map(([name, inside]) => this.section(name, inside)),
    );
    this.putBeside();
  }

  /** Put so many panels beside each other that rows are full. */
  putBeside() {
    for (const grid of this.sections.querySelectorAll('.grid')) {
      const least = leastWidth(view, grid.classList.contains('media-grid'));
      const columns = columnsFor(grid.children.length, grid.clientWidth, least);
      grid.style.setProperty('--columns', String(columns));
    }
  }

  drop(id, one) {
    this.sight.unobserve(one.element);
    one.close();
    this.views.delete(id);
  }

  /** Why there is nothing to see, and what to do. */
  emptiness(panels) {
    if (panels.length) return null;
    if (metrics.problem) return ['The metrics could not be read', metrics.problem.message];
    if (metrics.isLoading || status.isLoading)
      return ['Loading…', 'The metrics of the chosen runs are on their way.'];
    if (!chosen(view).length)
      return ['No runs are in the charts', 'Choose some with the eyes in the list of runs.'];
    if (view.panels)
      return ['No panel has that name', `Nothing is called “${view.panels}”. Search for another name.`];
    if (metrics.panels.some(this.isMine))
      return ['All panels are hidden', 'Show them again with “Panels”, above.'];
    return ['These runs have no metrics yet', 'Whatever the trainer logs appears here within two seconds.'];
  }

  section(name, panels) {
    const isFolded = view.folded.includes(name);
    const fold = () =>
      change({ folded: isFolded ? view.folded.filter((one) => one !== name) : [...view.folded, name] });
    const head = h(
      'h2',
      {},
      h(
        'button',
        { type: 'button', class: 'fold', 'aria-expanded': String(!isFolded), on: { click: fold } },
        icon(isFolded ? 'right' : 'down'),
        name,
        h('span', { class: 'count', text: String(panels.length) }),
      ),
    );
    if (isFolded) {
      for (const { id } of panels) if (this.views.has(id)) this.drop(id, this.views.get(id));
      return h('section', { class: 'section' }, head);
    }
    const most = this.parts.get(name) ?? PART;
    return h(
      'section',
      { class: 'section' },
      head,
      h(
        'div',
        { class: `grid size-${view.size}${panels.every(isMedia) ? ' media-grid' : ''}` },
        panels.slice(0, most).map((panel) => this.viewOf(panel).element),
      ),
      panels.length > most &&
        textButton(`Show ${Math.min(PART, panels.length - most)} more of ${panels.length - most}`, () =>
          this.showMore(name, most),
        ),
    );
  }

  showMore(name, most) {
    this.parts.set(name, most + PART);
    this.arrange();
  }

  viewOf(panel) {
    const there = this.views.get(panel.id);
    if (there) return there;
    const made = makePanel(panel);
    made.element.dataset.panel = panel.id;
    this.views.set(panel.id, made);
    this.sight.observe(made.element);
    return made;
  }
}

const isMedia = (panel) => panel.kind !== 'number';

/** What is wrong with single runs; the others are shown. */
function complaints() {
  return Object.entries(metrics.problems).map(([uid, problem]) =>
    h(
      'p',
      { class: 'complaint error', role: 'alert' },
      h('strong', { text: runOf(uid) ? titleOf(runOf(uid)) : uid }),
      ` ${problem}`,
    ),
  );
}
