/**
 * Marks of values that are no finite numbers: so few of them that none lies over another. Pure.
 */

import { formatNumber } from './values.js';

/**
 * @typedef {[number, string, number]} Mark where it is, `NaN`, `Infinity` or `-Infinity`, and how often
 * @typedef {{line: import('./series.js').Line, at: number, x: number}} Placed a mark's line, its place on
 *   the axis, and where it is drawn
 */

/** Pixels from one mark to the next. */
export const APART = 11;

/**
 * Marks of lines along one edge; where several lines have one, they take turns.
 * @param {import('./series.js').Line[]} lines
 * @param {string} what
 * @param {(at: number) => number} place
 * @returns {Placed[]}
 */
export function spaced(lines, what, place) {
  const all = lines
    .flatMap((line) =>
      line.marks.filter(([, word]) => word === what).map(([at]) => ({ line, x: place(at), at })),
    )
    .sort((a, b) => a.x - b.x);
  const turns = new Map(lines.map((line) => [line, 0]));
  const found = [];
  for (let i = 0; i < all.length;) {
    const end = nextFrom(all, i, all[i].x + APART);
    const mark = all.slice(i, end).reduce((a, b) => (turns.get(b.line) < turns.get(a.line) ? b : a));
    turns.set(mark.line, turns.get(mark.line) + 1);
    found.push(mark);
    i = nextFrom(all, i, mark.x + APART);
  }
  return found;
}

function nextFrom(all, from, x) {
  let i = from;
  while (i < all.length && all[i].x < x) i += 1;
  return i;
}

/** Of places on a plane those that do not lie over an earlier one. */
export function uncovered(places) {
  const found = [];
  for (const one of places)
    if (!found.some((other) => Math.hypot(one.x - other.x, one.y - other.y) < APART)) found.push(one);
  return found;
}

/**
 * The mark of a line that is nearest to a value of the axis, in words, with all that it stands for.
 * @param {Mark[]} marks
 * @param {number} at
 * @param {(at: number) => number} place
 * @returns {{x: number, text: string}|null}
 */
export function markNear(marks, at, place) {
  if (!marks.length) return null;
  const near = marks.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
  const count = marks
    .filter(([x, word]) => word === near[1] && Math.abs(place(x) - place(near[0])) < APART / 2)
    .reduce((sum, mark) => sum + mark[2], 0);
  return { x: near[0], text: `${formatNumber(Number(near[1]))}${count > 1 ? ` × ${count}` : ''}` };
}
