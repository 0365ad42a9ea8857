/**
 * Which panels a view shows, and in which sections.
 */

import { definitionOf, sectionOf } from './definitions.js';
import { metrics } from './metrics.js';
import { view } from './state.js';

/** All panels, hidden or not. */
export const allPanels = () => metrics.panels;

/** Those of numbers. */
export const numberPanels = () => allPanels().filter((panel) => panel.kind === 'number');

const isHiddenAtFirst = (panel) =>
  panel.stream === 'metrics' && Boolean(definitionOf(metrics.definitions, panel.key)?.hidden);

/** Whether a panel is hidden: by somebody, or by the definition of its metric. */
export function isHidden(panel) {
  return view.hide.includes(panel.id) || (isHiddenAtFirst(panel) && !view.show.includes(panel.id));
}

/** What to change so that a panel is hidden, or shown. */
export function toggledPanel(panel) {
  const [hide, show] = [view.hide, view.show].map((ids) => ids.filter((id) => id !== panel.id));
  if (!isHidden(panel)) return { hide: [...hide, panel.id], show };
  return { hide, show: isHiddenAtFirst(panel) ? [...show, panel.id] : show };
}

/** What to change so that all panels are shown. */
export function allShown() {
  return {
    hide: [],
    show: allPanels()
      .filter(isHiddenAtFirst)
      .map((panel) => panel.id),
  };
}

/** The panels that are not hidden and have the names that are searched for. */
export function shownPanels() {
  const words = view.panels.toLowerCase().split(/\s+/);
  return allPanels().filter(
    (panel) => words.every((word) => panel.id.toLowerCase().includes(word)) && !isHidden(panel),
  );
}

const GAP = 10;
/** Pixels below which a panel is too narrow: of a size, and of media, whose runs stand side by side. */
const LEAST = { s: 230, m: 340, l: 560 };
const [LEAST_OF_MEDIA, LEAST_OF_ONE_RUN] = [520, 360];

/** How wide a panel must be. */
export function leastWidth({ size, page }, isMedia) {
  return isMedia ? Math.max(page === 'run' ? LEAST_OF_ONE_RUN : LEAST_OF_MEDIA, LEAST[size]) : LEAST[size];
}

/**
 * How many panels stand beside each other: as many as there is room for, or fewer where the last row would
 * be almost empty.
 */
export function columnsFor(count, width, least) {
  const most = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  const rows = Math.ceil(count / most);
  return rows > 2 ? most : Math.max(1, Math.ceil(count / rows));
}

/** Panels by section: those without one first, the machine's last; what was searched for is one section. */
export function inSections(panels) {
  if (view.panels.trim()) return [['Found', panels]];
  const found = new Map();
  for (const panel of panels) {
    const name = sectionOf(panel);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(panel);
  }
  const rank = (name) => ({ Charts: 0, Media: 2, System: 3 })[name] ?? 1;
  return [...found].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
}
