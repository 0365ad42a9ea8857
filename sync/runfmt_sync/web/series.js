/**
 * From the curves of the server to the lines of a chart: smoothed, grouped, within a domain. Pure.
 */

import { smooth } from './smooth.js';

/**
 * @typedef {object} Curve as the server gave it
 * @property {number[]} x rising
 * @property {(number|null)[]} y
 * @property {number[]} [min] where points were reduced
 * @property {number[]} [max]
 * @property {import('./marks.js').Mark[]} [marks]
 * @property {number[]} [rewinds]
 *
 * @typedef {object} Line as it is drawn
 * @property {string} id
 * @property {string} name
 * @property {string} [suffix] what tells it from others of its name
 * @property {string} color
 * @property {number[]} [dash]
 * @property {number[]} x
 * @property {(number|null)[]} y
 * @property {(number|null)[]|null} raw what y was before it was smoothed
 * @property {(number|null)[]|null} min
 * @property {(number|null)[]|null} max
 * @property {import('./marks.js').Mark[]} marks values that are no finite numbers
 * @property {number[]} rewinds
 */

const GRID = 400;
const TAILS = 0.02;
const MARGIN = 0.06;

/** The least and greatest x of curves, of their marks too; null where there are none. */
export function rangeOf(curves) {
  const [low, high] = ends(
    curves.flatMap(({ x, marks = [] }) => [...x.slice(0, 1), ...x.slice(-1), ...marks.map(([at]) => at)]),
  );
  return low <= high ? [low, high] : null;
}

/** The least x above 0 of lines: where a logarithmic axis begins. */
export function firstAbove(lines) {
  return Math.min(...lines.map(({ x }) => x.find((at) => at > 0) ?? Infinity));
}

/** A line without what has no place on a logarithmic x-axis. */
export function cutAtZero(line) {
  const from = line.x.findIndex((at) => at > 0);
  const cut = (side) => side && (from < 0 ? [] : side.slice(from));
  const { x, y, raw, min, max } = line;
  const marks = line.marks.filter(([at]) => at > 0);
  return {
    ...line,
    x: cut(x),
    y: cut(y),
    raw: cut(raw),
    min: cut(min),
    max: cut(max),
    marks,
    rewinds: line.rewinds.filter((at) => at > 0),
  };
}

/**
 * @param {{id: string, name: string, suffix?: string, color: string, dash?: number[],
 *   curve: Curve}[]} items
 * @param {{smooth: number, log: boolean, range: [number, number]}} options
 * @returns {Line[]}
 */
export function linesOf(items, options) {
  return items.map(({ curve, ...about }) =>
    lineOf(
      {
        ...about,
        x: curve.x,
        y: curve.y,
        raw: null,
        min: curve.min ?? null,
        max: curve.max ?? null,
        marks: curve.marks ?? [],
        rewinds: curve.rewinds ?? [],
      },
      options,
    ),
  );
}

function lineOf(line, { smooth: weight, log, range }) {
  const shown = log
    ? { ...line, y: line.y.map(above), min: line.min?.map(above) ?? null, max: line.max?.map(above) ?? null }
    : line;
  if (!(weight > 0)) return shown;
  return { ...shown, raw: shown.y, y: smooth(shown.x, shown.y, weight, range[1] - range[0]) };
}

/** On a logarithmic scale there is no place for what is not above 0. */
function above(value) {
  return value > 0 ? value : null;
}

/**
 * A line for each group of runs: the mean of its runs, and how far they spread.
 * @param {{id: string, name: string, color: string, curves: Curve[]}[]} groups
 * @param {{smooth: number, log: boolean, range: [number, number], spread: string}} options
 * @returns {Line[]}
 */
export function groupLines(groups, options) {
  return groups.map(({ id, name, color, curves }) => {
    const mean = meanOf(curves, options.range, options.spread);
    const marks = curves.flatMap((curve) => curve.marks ?? []);
    const rewinds = curves.flatMap((curve) => curve.rewinds ?? []);
    return lineOf({ id, name, color, ...mean, raw: null, marks, rewinds, isSpread: true }, options);
  });
}

/**
 * Mean and spread of curves whose x differ: wherever one of them has a point, in cells of equal width.
 * A curve that has none there is read between its neighbours; before its first and behind its last point it
 * does not count.
 */
function meanOf(curves, [low, high], spread) {
  const cellOf = (x) => (high > low ? Math.floor(((x - low) / (high - low)) * GRID) : 0);
  const read = curves.map((curve) => cellsOf(curve, cellOf));
  const places = new Map();
  for (const cells of read)
    for (const [cell, { x }] of cells) places.set(cell, Math.min(x, places.get(cell) ?? x));
  const x = [...places.values()].sort((a, b) => a - b);
  const stats = x.map((at) =>
    statistics(
      curves.map((curve, i) => read[i].get(cellOf(at))?.mean ?? between(curve, at)),
      spread,
    ),
  );
  const side = (name) => (spread === 'none' ? null : stats.map((one) => one[name]));
  return { x, y: stats.map((one) => one.mean), min: side('low'), max: side('high') };
}

/** The mean of a curve in each cell in which it has points, and where the first of them is. */
function cellsOf({ x, y }, cellOf) {
  const found = new Map();
  for (let i = 0; i < x.length; i += 1) {
    if (y[i] === null) continue;
    const there = found.get(cellOf(x[i])) ?? { x: x[i], mean: 0, count: 0 };
    there.count += 1;
    there.mean += (y[i] - there.mean) / there.count;
    found.set(cellOf(x[i]), there);
  }
  return found;
}

/** The value of a curve on the straight line between its points beside a place; null beyond its ends. */
function between({ x, y }, at) {
  if (!(at >= x[0] && at <= x[x.length - 1])) return null;
  let after = nearest(x, at);
  if (x[after] < at) after += 1;
  const before = Math.max(after - 1, 0);
  if (y[before] === null || y[after] === null) return null;
  const part = x[after] > x[before] ? (at - x[before]) / (x[after] - x[before]) : 0;
  return y[before] + part * (y[after] - y[before]);
}

function statistics(all, spread) {
  const values = all.filter((value) => value !== null);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (spread === 'minmax') return { mean, low: Math.min(...values), high: Math.max(...values) };
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return { mean, low: mean - deviation, high: mean + deviation };
}

/**
 * The y-values that a chart shows, with some room around them.
 * @param {Line[]} lines
 * @param {{log: boolean, clip: boolean}} options clip: the outermost 2 % at both ends do not count
 * @returns {[number, number]}
 */
export function domainOf(lines, { log, clip }) {
  const values = valuesOf(lines, clip ? ['y', 'raw'] : ALL);
  if (!values.length) return log ? [0.1, 1] : [0, 1];
  return roomy(clip ? inner(values) : ends(values), log);
}

/** Whether a domain leaves out values of lines. */
export function leavesOut(lines, [low, high]) {
  return valuesOf(lines, ALL).some((value) => value < low || value > high);
}

const ALL = ['y', 'raw', 'min', 'max'];

function valuesOf(lines, sides) {
  return lines.flatMap((line) => sides.flatMap((side) => line[side] ?? []).filter(Number.isFinite));
}

function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function inner(values) {
  const sorted = Float64Array.from(values).sort();
  const cut = Math.floor(sorted.length * TAILS);
  return [sorted[cut], sorted[sorted.length - 1 - cut]];
}

function roomy([low, high], log) {
  if (log) {
    const room = (high / low) ** MARGIN;
    return high > low ? [low / room, high * room] : [low / 2, low * 2];
  }
  const room = (high / 2 - low / 2) * 2 * MARGIN || Math.abs(high) * 0.1 || 1;
  return [Math.max(low - room, -Number.MAX_VALUE), Math.min(high + room, Number.MAX_VALUE)];
}

/** The place in `x`, rising, that is nearest to a value; -1 if there is none. */
export function nearest(x, value) {
  let [low, high] = [0, x.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] < value) low = middle;
    else high = middle;
  }
  return high < 0 || Math.abs(x[low] - value) <= Math.abs(x[high] - value) ? Math.min(low, high) : high;
}
