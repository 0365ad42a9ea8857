/**
 * Which runs a view shows: filtered, sorted, grouped; and which of them are in the charts.
 */

import { colorsOf } from './colors.js';
import { FilterError, parseFilter } from './filter.js';
import { MAIN } from './metrics.js';
import { colorOf, lookIn, onRuns, runsOf } from './runs.js';
import { compareValues, formatValue } from './values.js';

/** So many runs, or groups, are in the charts until somebody chooses. */
export const FIRST = 10;
/** Of more runs no chart can be read. */
export const MOST = 300;

let kept = { view: null, runs: null, error: null };
onRuns(() => {
  kept = { view: null, runs: null, error: null };
});

/**
 * The runs of a view in order, and what is wrong with its filter; while it cannot be read, all are shown.
 * @param {import('./state.js').View} view
 * @returns {{runs: import('./runs.js').Run[], error: FilterError|null}}
 */
export function listed(view) {
  const same =
    kept.view && ['project', 'filter', 'sort', 'group'].every((name) => kept.view[name] === view[name]);
  if (same) return kept;
  let [test, error] = [() => true, null];
  try {
    test = parseFilter(view.filter);
  } catch (failure) {
    if (!(failure instanceof FilterError)) throw failure;
    error = failure;
  }
  const runs = runsOf(view.project).filter((run) => test(lookIn(run)));
  kept = { view, error, runs: sorted(runs, view.sort) };
  return kept;
}

function sorted(runs, sort) {
  if (!sort) return runs;
  const [column, sign] = sort.startsWith('-') ? [sort.slice(1), -1] : [sort, 1];
  const isMissing = (run) => compareValues(run.values.get(column), undefined) === 0;
  const [there, missing] = [runs.filter((run) => !isMissing(run)), runs.filter(isMissing)];
  return [
    ...there.sort((a, b) => sign * compareValues(a.values.get(column), b.values.get(column))),
    ...missing,
  ];
}

/**
 * Runs by the value of the view's group column, in the order in which the values come.
 * @typedef {{id: string, name: string, color: string, runs: import('./runs.js').Run[]}} Group
 * @returns {Group[]}
 */
export function grouped(view, runs) {
  const groups = new Map();
  for (const run of runs) {
    const name = formatValue(run.values.get(view.group)) || '(none)';
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(run);
  }
  const colors = colorsOf([...groups.keys()].sort());
  return [...groups].map(([name, inside]) => ({
    id: `group:${name}`,
    name,
    color: colors.get(name),
    runs: inside,
  }));
}

/** The runs in the charts, in the order of the table; on the page of a run that one. */
export function chosen(view) {
  if (view.page === 'run') return runsOf(view.project).filter((run) => run.tail === view.run && !run.refused);
  const readable = listed(view).runs.filter((run) => !run.refused);
  if (view.runs !== null) {
    const wanted = new Set(view.runs);
    return (wanted.has('all') ? readable : readable.filter((run) => wanted.has(run.tail))).slice(0, MOST);
  }
  if (!view.group) return readable.slice(0, FIRST);
  return grouped(view, readable)
    .slice(0, FIRST)
    .flatMap((group) => group.runs)
    .slice(0, MOST);
}

/** The writers whose streams are shown. */
export const writersIn = (view) => (view.writers.length ? view.writers : [MAIN]);

/**
 * A run as one of its writers has it: those of others say whose they are.
 * @param {import('./runs.js').Run} run
 */
export function asWriter(run, writer) {
  const suffix = [run.suffix, writer !== MAIN && writer].filter(Boolean).join(' ');
  return { name: run.name, suffix: suffix || undefined };
}

/** The choice after a run was put into the charts, or taken out. */
export function toggled(view, runs) {
  const isExplicit = view.runs !== null && !view.runs.includes('all');
  const now = new Set(isExplicit ? view.runs : chosen(view).map((run) => run.tail));
  const isIn = runs.every((run) => now.has(run.tail));
  for (const run of runs) {
    if (isIn) now.delete(run.tail);
    else now.add(run.tail);
  }
  return [...now];
}

/** The colour of a run in a view. */
export function colorIn(view, run) {
  return view.colors[run.tail] ?? colorOf(run.uid);
}
