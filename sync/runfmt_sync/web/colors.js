/**
 * The colour of a run: the same one wherever and whenever it is shown, unless it is changed. Pure.
 */

/** The first of them are told apart on light and on dark paper, also by people who see fewer colours. */
export const PALETTE = [
  '#4458dd',
  '#e29b00',
  '#219800',
  '#c8035c',
  '#21aba2',
  '#8776f1',
  '#cd7457',
  '#5e636a',
  '#ad55b0',
  '#01bbfa',
  '#87bc69',
  '#914620',
  '#907981',
  '#8831b3',
  '#c18ed1',
  '#ff64ad',
  '#116f42',
  '#7c700a',
  '#3b82c4',
  '#d9534a',
];

/** Runs have one of the first so many, and so many of them beside each other in time never share one. */
const [TOLD_APART, APART] = [18, 9];
/** The first of these have a better chance. */
const BEST = 12;
const PLACES = [...PALETTE.keys()].slice(0, TOLD_APART);

/**
 * @param {string[]} uids in rising order
 * @returns {Map<string, string>}
 */
export function colorsOf(uids) {
  const chosen = [];
  for (const uid of uids) {
    const near = chosen.slice(-APART);
    const free = PLACES.filter((place) => !near.includes(place));
    const lot = (place) => hash(`${place} ${uid}`) * (place < BEST ? 0.35 : 1);
    const place = free.reduce((a, b) => (lot(a) < lot(b) ? a : b));
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
