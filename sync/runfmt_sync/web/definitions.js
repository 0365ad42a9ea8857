/**
 * What metrics were defined as: their x-axis, and whether they are shown. Pure.
 */

/**
 * The definition that counts for a key (R081): of exactly its name, else of the longest glob.
 * @param {{name: string, step_metric?: string, hidden?: boolean}[]} definitions
 * @param {string} key
 */
export function definitionOf(definitions, key) {
  const exact = definitions.findLast((one) => one.name === key);
  if (exact || key.startsWith('_')) return exact;
  const globs = definitions.filter((one) => one.name.endsWith('*') && key.startsWith(one.name.slice(0, -1)));
  return globs.reduce((best, one) => (!best || one.name.length >= best.name.length ? one : best), undefined);
}

/**
 * The x-axis of a panel: the one chosen, else the metric's own, else the step; the machine's
 * samples have no steps and go by time.
 */
export function axisOf(panel, chosen, definitions) {
  if (panel.stream === 'system') return chosen === '_timestamp' ? '_timestamp' : '_runtime';
  return chosen || definitionOf(definitions, panel.key)?.step_metric || '_step';
}

/** The section of a panel: of numbers, as in W&B, what stands before the first slash. */
export function sectionOf(panel) {
  if (panel.stream === 'system') return 'System';
  if (panel.kind !== 'number') return 'Media';
  const cut = panel.key.indexOf('/');
  return cut > 0 ? panel.key.slice(0, cut) : 'Charts';
}
