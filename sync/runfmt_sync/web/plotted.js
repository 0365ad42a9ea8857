/**
 * Tables that say how they are drawn (R077): what is in their rows, as a drawing takes it. Pure.
 */

import { compareValues, formatValue } from './values.js';

/**
 * @typedef {object} Plotted
 * @property {string} kind `lines`, `points`, `bars`, `histogram`, `matrix`
 * @property {string} title
 * @property {string} xName
 * @property {string} yName
 * @property {{name: string, points: [number, number][]}[]} [series] of lines and points
 * @property {{label: string, value: number}[]} [bars]
 * @property {{bins: number[], values: number[]}} [histogram]
 * @property {{names: string[], counts: number[][]}} [matrix] counts by row, then by column
 * @property {number} left rows that are not drawn
 */

/** Of each chart by name: its kind, and the words of `fields` by what they are in it. */
const CHARTS = {
  'wandb/line/v0': ['lines', { x: 'x', y: 'y', name: 'stroke' }],
  'wandb/lineseries/v0': ['lines', { x: 'step', y: 'lineVal', name: 'lineKey' }],
  'wandb/area-under-curve/v0': ['lines', { x: 'x', y: 'y', name: 'class' }],
  'wandb/scatter/v0': ['points', { x: 'x', y: 'y', name: 'name' }],
  'wandb/bar/v0': ['bars', { y: 'label', x: 'value' }],
  'wandb/histogram/v0': ['histogram', { x: 'value' }],
  'wandb/confusion_matrix/v1': ['matrix', { y: 'Actual', x: 'Predicted', count: 'nPredictions' }],
};
/** More points, lines, bars or classes are not drawn; nor are more bins made of values. */
const [MOST_POINTS, MOST_LINES, MOST_BARS, MOST_CLASSES, MOST_BINS] = [50_000, 40, 200, 100, 50];
const KINDS = { lines, points: lines, bars, histogram, matrix };

/**
 * What a table is drawn as; null if it does not say, or says something that is not known here.
 * @param {any} plot
 * @param {any[]} columns
 * @param {any[]} rows
 * @returns {Plotted|null}
 */
export function plotOf(plot, columns, rows) {
  if (!Object.hasOwn(CHARTS, plot?.spec) || !plot.fields || typeof plot.fields !== 'object') return null;
  const [kind, words] = CHARTS[plot.spec];
  const places = Object.entries(words).map(([part, word]) => [part, columns.indexOf(plot.fields[word])]);
  if (places.some(([part, place]) => place < 0 && part !== 'name')) return null;
  const cells = rows
    .filter(Array.isArray)
    .map((row) => Object.fromEntries(places.map(([part, place]) => [part, row[place]])));
  const texts = plot.strings && typeof plot.strings === 'object' ? plot.strings : {};
  const said = (word, part) => String(texts[word] || plot.fields[words[part]] || '');
  const found = KINDS[kind](cells);
  if (!found) return null;
  return {
    kind,
    title: String(texts.title || ''),
    xName: String(texts.xname || said('x-axis-title', 'x')),
    yName: kind === 'histogram' ? '' : said('y-axis-title', 'y'),
    ...found,
  };
}

function lines(cells) {
  const good = cells.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  const named = new Map();
  for (const { x, y, name } of good.slice(0, MOST_POINTS)) {
    const text = formatValue(name);
    if (!named.has(text)) named.set(text, []);
    named.get(text).push([x, y]);
  }
  const series = [...named].map(([name, points]) => ({ name, points: points.sort(([a], [b]) => a - b) }));
  const shown = series.slice(0, MOST_LINES);
  const drawn = shown.reduce((sum, { points }) => sum + points.length, 0);
  return drawn ? { series: shown, left: cells.length - drawn } : null;
}

function bars(cells) {
  const good = cells.filter(({ x }) => Number.isFinite(x));
  const shown = good.slice(0, MOST_BARS).map(({ x, y }) => ({ label: formatValue(y), value: x }));
  return shown.length ? { bars: shown, left: cells.length - shown.length } : null;
}

function histogram(cells) {
  const values = cells.map(({ x }) => x).filter(Number.isFinite);
  if (!values.length) return null;
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [
    Infinity,
    -Infinity,
  ]);
  const count = low < high ? Math.min(Math.max(Math.ceil(Math.sqrt(values.length)), 5), MOST_BINS) : 1;
  const [from, width] = low < high ? [low, (high - low) / count] : [low - 0.5, 1];
  const bins = Array.from({ length: count + 1 }, (_, i) => from + i * width);
  const counts = new Array(count).fill(0);
  for (const value of values) counts[Math.min(Math.floor((value - from) / width), count - 1)] += 1;
  return { histogram: { bins, values: counts }, left: cells.length - values.length };
}

function matrix(cells) {
  const good = cells.filter(({ count }) => Number.isFinite(count) && count >= 0);
  const found = [...new Set(good.flatMap(({ y, x }) => [y, x]))];
  const isOrdered = found.every((name) => typeof name === 'number');
  const names = isOrdered ? found.sort(compareValues) : found;
  if (!names.length || names.length > MOST_CLASSES) return null;
  const counts = names.map(() => names.map(() => 0));
  for (const { y, x, count } of good) counts[names.indexOf(y)][names.indexOf(x)] += count;
  return { matrix: { names: names.map(formatValue), counts }, left: cells.length - good.length };
}
