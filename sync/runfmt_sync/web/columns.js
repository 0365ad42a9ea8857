/**
 * The columns of the table of runs: which there are, which are shown, how they look.
 */

import { plainText } from './markdown.js';
import { formatAgo, formatDuration, formatNumber, formatValue } from './values.js';

/**
 * @typedef {object} Column
 * @property {string} id `name`, `config.lr`, `summary.loss`
 * @property {string} label
 * @property {string} kind `text`, `number`, `time`, `duration`, `tags`, `notes`, `state`, `name`
 * @property {number} width in pixels
 */

const OWN = {
  name: ['Name', 'name', 230],
  state: ['State', 'state', 104],
  created: ['Created', 'time', 96],
  updated: ['Updated', 'time', 96],
  duration: ['Duration', 'duration', 88],
  rows: ['Rows', 'number', 76],
  tags: ['Tags', 'tags', 160],
  notes: ['Notes', 'notes', 200],
  group: ['Group', 'text', 110],
  job_type: ['Job type', 'text', 100],
  host: ['Host', 'text', 100],
  id: ['Id', 'text', 200],
  project: ['Project', 'text', 120],
  entity: ['Entity', 'text', 110],
  path: ['Path', 'text', 220],
};
/** Those of a run itself that are shown until somebody chooses, where a run has them. */
const FIRST = ['state', 'created', 'duration', 'tags', 'notes'];
/** So many of config and of summary are shown until somebody chooses. */
const TELLING = 6;

/** @returns {Column} */
export function columnOf(id) {
  if (OWN[id]) return { id, label: OWN[id][0], kind: OWN[id][1], width: OWN[id][2] };
  return {
    id,
    label: id.replace(/^(config|summary)\./, ''),
    kind: 'value',
    width: 116,
    above: id.split('.', 1)[0],
  };
}

/** All columns that runs have: their own, then config, then summary. */
export function allColumns(runs) {
  const found = new Set();
  for (const run of runs) for (const id of run.values.keys()) if (!OWN[id]) found.add(id);
  return [...Object.keys(OWN).filter((id) => id !== 'name'), ...[...found].sort()];
}

/** The columns that are shown: those chosen, else those that tell the runs apart. The name comes first. */
export function shownColumns(view, runs) {
  if (view.columns !== null) return view.columns.map(columnOf);
  const project = view.project === null ? ['project'] : [];
  const own = FIRST.filter((id) =>
    runs.some((run) => run.values.get(id)?.length !== 0 && run.values.get(id) !== undefined),
  );
  return [...project, ...own, ...telling(runs, 'config.'), ...telling(runs, 'summary.')].map(columnOf);
}

/** Plain values that differ between runs; if none do, the first ones. */
function telling(runs, beginning) {
  const values = new Map();
  for (const run of runs) {
    for (const [id, value] of run.values) {
      if (!id.startsWith(beginning) || (typeof value === 'object' && value !== null)) continue;
      if (!values.has(id)) values.set(id, new Set());
      if (values.get(id).size < 2) values.get(id).add(value);
    }
  }
  const differing = [...values].filter(([, there]) => there.size > 1).map(([id]) => id);
  return (differing.length ? differing : [...values.keys()]).sort(byDepth).slice(0, TELLING);
}

/** Short names first: `loss` before `train/loss` before `layers.1.norm`. */
function byDepth(a, b) {
  const depth = (id) => id.split(/[./]/).length;
  return depth(a) - depth(b) || (a < b ? -1 : 1);
}

/** The text of a cell. */
export function cellText(column, run) {
  const value = run.values.get(column.id);
  if (value === undefined || value === null) return '';
  if (column.kind === 'time') return formatAgo(typeof value === 'number' ? value : Date.parse(value) / 1000);
  if (column.kind === 'duration') return formatDuration(value);
  if (column.kind === 'tags') return value.join(', ');
  if (column.kind === 'notes') return plainText(value);
  return typeof value === 'number' ? formatNumber(value) : formatValue(value);
}

/** A longer text of a cell, for those who point at it. */
export function cellTitle(column, run) {
  const value = run.values.get(column.id);
  if (column.kind === 'time' && typeof value === 'string') return new Date(value).toLocaleString('en-GB');
  if (column.kind === 'notes') return value ?? '';
  return typeof value === 'number' ? String(value) : cellText(column, run);
}

/** Whether a cell stands at the right. */
export const isNumeric = (column, run) =>
  typeof run.values.get(column.id) === 'number' && column.kind !== 'time';
