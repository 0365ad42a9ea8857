/**
 * The colour of a run: the same one wherever and whenever it is shown, unless it is changed. Pure.
 */

/** Told apart on light and on dark paper. */
export const PALETTE = [
  '#3b82c4',
  '#e07b39',
  '#3fa45b',
  '#d0496b',
  '#8b6bd6',
  '#a87b3e',
  '#25a2a2',
  '#c759b0',
  '#7f9a26',
  '#5b6fd8',
  '#d9534a',
  '#2f9e86',
  '#b48b00',
  '#9a5fb0',
  '#4aa3df',
  '#c4652f',
  '#6b8f71',
  '#e0609a',
  '#6d83a3',
  '#a0522d',
];

/** So many runs beside each other in time never share a colour. */
const APART = 9;

/**
 * @param {string[]} uids in rising order
 * @returns {Map<string, string>}
 */
export function colorsOf(uids) {
  const chosen = [];
  for (const uid of uids) {
    const near = chosen.slice(-APART);
    let place = hash(uid) % PALETTE.length;
    while (near.includes(place)) place = (place + 1) % PALETTE.length;
    chosen.push(place);
  }
  return new Map(uids.map((uid, i) => [uid, PALETTE[chosen[i]]]));
}

/** FNV-1a. */
function hash(text) {
  let sum = 2166136261;
  for (let i = 0; i < text.length; i += 1) sum = Math.imul(sum ^ text.charCodeAt(i), 16777619) >>> 0;
  return sum;
}
