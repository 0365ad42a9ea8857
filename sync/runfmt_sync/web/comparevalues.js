/**
 * Runs beside each other: columns as axes, ranges that keep runs, colours by a column, what differs. Pure.
 */

import { PALETTE } from './colors.js';
import { allColumns, shownColumns } from './columns.js';
import { titleOf } from './names.js';
import { labelsOf, linearTicks, logTicks, makeScale, wholeTicks } from './scales.js';
import { compareValues, formatNumber, formatValue } from './values.js';

/**
 * @typedef {object} Axis
 * @property {string} id of the column
 * @property {boolean} isNumber else its values are categories
 * @property {boolean} isLog
 * @property {(value: any) => number|null} place 0 to 1; null: there is none
 * @property {(count: number) => {at: number, text: string}[]} ticks about so many
 * @property {(from: number, to: number) => [any, any]|null} range the values between two places
 *
 * @typedef {Record<string, string>} Ranges by column: `[lowest, highest]` as JSON
 */

/** Columns of a run itself that can be an axis; the others are of config and summary. */
const OWN = ['duration', 'rows', 'state', 'group', 'job_type', 'host'];
const MISSING = '#8a9396';
/** Blue, plum, red, amber: told apart on light and on dark paper, and by those who see few colours. */
const RAMP = ['#3b6fd4', '#a3539f', '#df5f46', '#e0942a'];

/** The columns that can be an axis. */
export function axisColumns(runs) {
  return allColumns(runs).filter(
    (id) => (id.includes('.') || OWN.includes(id)) && runs.some((run) => isPlain(run.values.get(id))),
  );
}

const isPlain = (value) => ['number', 'string', 'boolean'].includes(typeof value);

/** The axes that are shown until somebody chooses: of config, then of summary, what tells the runs apart. */
export function firstAxes(runs) {
  const ids = shownColumns({ columns: null, project: '' }, runs).map(({ id }) => id);
  const [config, summary] = ['config.', 'summary.'].map((above) => ids.filter((id) => id.startsWith(above)));
  return [...config.slice(0, 4), ...summary.slice(0, 3)].filter((id) =>
    runs.some((run) => isPlain(run.values.get(id))),
  );
}

/** @returns {Axis} */
export function makeAxis(id, runs, isLog = false) {
  const values = runs
    .map((run) => run.values.get(id))
    .filter((value) => value !== undefined && value !== null);
  return values.every((value) => typeof value === 'number')
    ? numberAxis(id, values.filter(Number.isFinite), isLog)
    : categoryAxis(id, values);
}

function numberAxis(id, numbers, wantsLog) {
  const above = numbers.filter((number) => number > 0);
  const isLog = wantsLog && above.length > 0;
  const domain = wide(isLog ? above : numbers, isLog);
  const scale = makeScale(domain, [0, 1], isLog);
  const place = (value) => (Number.isFinite(value) && (!isLog || value > 0) ? scale.place(value) : null);
  const onGrid = isLog ? logTicks : numbers.every(Number.isInteger) ? wholeTicks : linearTicks;
  const ticks = (count) => {
    const places = onGrid(domain, count);
    const texts = labelsOf(places);
    return places.map((tick, i) => ({ at: scale.place(tick), text: texts[i] }));
  };
  const range = (from, to) => [from, to].map((at) => Number(scale.value(at).toPrecision(4)));
  return { id, isNumber: true, isLog, place, ticks, range, domain };
}

/** From the least to the greatest; of one value some room around it. */
function wide(numbers, isLog) {
  if (!numbers.length) return [0, 1];
  const [low, high] = numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);
  if (low < high) return [low, high];
  return isLog ? [low / 2, low * 2] : [low - (Math.abs(low) / 10 || 1), low + (Math.abs(low) / 10 || 1)];
}

function categoryAxis(id, values) {
  const byText = new Map(values.map((value) => [formatValue(value), value]));
  const names = [...byText].sort(([, a], [, b]) => compareValues(a, b)).map(([text]) => text);
  const placeOf = (index) => (index + 0.5) / names.length;
  const place = (value) => {
    const index = names.indexOf(formatValue(value ?? undefined));
    return index < 0 ? null : placeOf(index);
  };
  const ticks = (count) => {
    const every = Math.ceil(names.length / Math.max(count, 1));
    return names.map((text, i) => ({ at: placeOf(i), text })).filter((_, i) => i % every === 0);
  };
  const range = (from, to) => {
    const inside = names.filter((_, i) => placeOf(i) >= from && placeOf(i) <= to);
    return inside.length ? [inside[0], inside.at(-1)] : null;
  };
  return { id, isNumber: false, isLog: false, place, ticks, range, names };
}

/** The places of a range on its axis, or null: it has none. */
export function placesOf(axis, ranges) {
  const said = ranges[axis.id];
  if (!said) return null;
  const ends = readRange(said).map(axis.place);
  return ends[0] === null || ends[1] === null ? null : ends;
}

function readRange(said) {
  try {
    const ends = JSON.parse(said);
    return Array.isArray(ends) && ends.length === 2 ? ends : [undefined, undefined];
  } catch {
    return [undefined, undefined]; // an address that somebody wrote keeps all runs
  }
}

/** The runs within all ranges; the axes are those of all runs. */
export function within(runs, ranges, logs) {
  const tests = Object.keys(ranges).map((id) => {
    const axis = makeAxis(id, runs, logs.includes(id));
    const ends = placesOf(axis, ranges);
    return (run) => ends === null || isBetween(axis.place(run.values.get(id)), ends);
  });
  return runs.filter((run) => tests.every((test) => test(run)));
}

const isBetween = (place, [from, to]) => place !== null && place >= from - 1e-6 && place <= to + 1e-6;

/** The colour of a value that stands at a place of an axis. */
export function colorAt(axis, value) {
  const at = axis.place(value);
  if (at === null) return MISSING;
  return axis.isNumber ? ramp(at) : PALETTE[axis.names.indexOf(formatValue(value)) % PALETTE.length];
}

/** A colour between those of the ramp, 0 to 1. */
export function ramp(at) {
  const scaled = Math.min(Math.max(at, 0), 1) * (RAMP.length - 1);
  const first = Math.min(Math.floor(scaled), RAMP.length - 2);
  const [low, high] = [RAMP[first], RAMP[first + 1]].map(channels);
  const mixed = low.map((channel, i) => Math.round(channel + (high[i] - channel) * (scaled - first)));
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

/**
 * Config and summary, a row for each path.
 * @param {{equal: boolean, search: string}} which equal: rows also where all runs have the same
 * @returns {{id: string, differs: boolean, values: any[]}[]}
 */
export function differences(runs, { equal, search }) {
  const words = search.toLowerCase().split(/\s+/);
  const ids = allColumns(runs).filter((id) => /^(config|summary)\./.test(id));
  return ids
    .filter((id) => words.every((word) => id.toLowerCase().includes(word)))
    .map((id) => {
      const values = runs.map((run) => run.values.get(id));
      return { id, values, differs: new Set(values.map(exactText)).size > 1 };
    })
    .filter(({ differs }) => equal || differs);
}

/** A value with all its digits. */
export function exactText(value) {
  return typeof value === 'number' ? String(value) : formatValue(value);
}

/** A value as people read it. */
export const shortText = (value) => (typeof value === 'number' ? formatNumber(value) : formatValue(value));

/** The differences as a table to paste: tabs between cells. */
export function pasteable(runs, rows) {
  const cell = (text) => text.replace(/[\t\n\r]+/g, ' ');
  const lines = [
    ['key', ...runs.map(titleOf)],
    ...rows.map(({ id, values }) => [id, ...values.map(exactText)]),
  ];
  return lines.map((line) => line.map(cell).join('\t')).join('\n');
}
