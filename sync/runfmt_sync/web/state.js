/**
 * What is looked at, as the address says it: whoever opens the address sees the same view.
 *
 * `#/charts?project=p&filter=...`: the page, then what differs from the defaults. The last view of each
 * project is kept in this browser, and opened again with the project.
 */

/**
 * @typedef {object} View
 * @property {string} page
 * @property {string|null} project null: all of them
 * @property {string} filter
 * @property {string} sort a column; `-` before it: falling
 * @property {string} group a column whose equal values make a group
 * @property {string[]|null} columns null: those that tell the runs apart
 * @property {string[]|null} runs ends of uids of the runs in charts; null: the first ten
 * @property {string[]} writers whose streams are shown; none: the main one's
 * @property {string} x axis; empty: each metric's own
 * @property {number} smooth 0 to 0.999
 * @property {string[]} log panels with a logarithmic scale; `*`: all
 * @property {boolean} logx the x-axes are logarithmic
 * @property {boolean} clip outliers are left out of the scale
 * @property {string} spread of groups: `minmax`, `deviation`, `none`
 * @property {[string, number, number]|null} zoom axis, from, to
 * @property {string[]} hide panels
 * @property {string[]} show panels that are hidden by definition
 * @property {string[]} folded sections
 * @property {string} panels what is searched for in names of panels
 * @property {string} size of panels: `s`, `m`, `l`
 * @property {string} full the panel that fills the screen
 * @property {Record<string, string>} colors of runs, by end of uid
 * @property {string[]|null} axes of the page that compares; null: those that tell the runs apart
 * @property {string} by the column that colours runs there
 * @property {Record<string, string>} ranges of columns within which runs are kept there
 * @property {string[]} logs columns with a logarithmic scale there
 * @property {string[]} scatter its two columns; none: the first ones
 * @property {string} bar the column of its bars
 * @property {boolean} equal its table shows also what is equal
 * @property {string} keys what is searched for in its table
 * @property {string} run the run of the run page
 * @property {string} part of the run page
 */

const text = { empty: '', read: (said) => said, write: (value) => value || null };
const flag = { empty: false, read: (said) => said === '1', write: (value) => (value ? '1' : null) };
const list = { empty: [], read: unpacked, write: (value) => (value.length ? packed(value) : null) };
/** A list that differs from none: an empty one is `-`. */
const listOrNull = {
  empty: null,
  read: (said) => (said === '-' ? [] : unpacked(said)),
  write: (value) => value && (value.length ? packed(value) : '-'),
};
const pairs = { empty: {}, read: readPairs, write: (value) => packed(Object.entries(value).flat()) || null };
const word = (empty) => ({ ...text, empty, write: (value) => (value === empty ? null : value) });

/** Of each word of the address: what it is when it is absent, how it is read, how written (null: absent). */
const WORDS = {
  project: word(null),
  filter: text,
  sort: text,
  group: text,
  columns: listOrNull,
  runs: listOrNull,
  writers: list,
  x: text,
  smooth: {
    empty: 0,
    read: (said) => Math.min(Math.max(Number(said) || 0, 0), 0.999),
    write: (value) => (value ? String(value) : null),
  },
  log: list,
  logx: flag,
  clip: flag,
  spread: word('minmax'),
  zoom: { empty: null, read: readZoom, write: (value) => value && packed(value.map(String)) },
  hide: list,
  show: list,
  folded: list,
  panels: text,
  size: word('m'),
  full: text,
  colors: pairs,
  axes: listOrNull,
  by: text,
  ranges: pairs,
  logs: list,
  scatter: list,
  bar: text,
  equal: flag,
  keys: text,
  run: text,
  part: word('overview'),
};

const KEPT = 'runfmt.view.';
const listeners = new Set();

/** @type {View} */
export let view = readView('');

/** Items in one word; a comma within an item is preceded by a backslash, as is a backslash. */
function packed(items) {
  return items.map((item) => item.replace(/[\\,]/g, '\\$&')).join(',');
}

function unpacked(said) {
  return said ? (said.match(/(?:\\.|[^,\\])+/gs) ?? []).map((item) => item.replace(/\\(.)/gs, '$1')) : [];
}

function readZoom(said) {
  const [axis, from, to] = unpacked(said);
  return Number(from) < Number(to) ? [axis, Number(from), Number(to)] : null;
}

function readPairs(said) {
  const items = unpacked(said);
  return Object.fromEntries(
    items.map((key, i) => [key, items[i + 1]]).filter((_, i) => i % 2 === 0 && i + 1 < items.length),
  );
}

/**
 * The view of an address. Pure.
 * @param {string} hash
 * @returns {View}
 */
export function readView(hash) {
  const [, page = '', query = ''] = /^#?\/?([a-z]*)\??(.*)$/s.exec(hash) ?? [];
  const said = new URLSearchParams(query);
  const found = Object.entries(WORDS).map(([name, { read, empty }]) => [
    name,
    said.has(name) ? read(said.get(name)) : empty,
  ]);
  return { page: page || 'projects', ...Object.fromEntries(found) };
}

/** The address of a view, the inverse of readView. Pure. */
export function addressOf(one) {
  const said = new URLSearchParams();
  for (const [name, { write }] of Object.entries(WORDS)) {
    const value = write(one[name]);
    if (value !== null) said.set(name, value);
  }
  const query = said.toString().replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%3A', ':');
  return `#/${one.page}${query ? `?${query}` : ''}`;
}

/**
 * Look at something else.
 * @param {Partial<View>} changes
 * @param {{replace?: boolean}} [options] replace: the way back skips what was looked at
 */
export function change(changes, { replace = false } = {}) {
  const next = { ...view, ...changes };
  const address = addressOf(next);
  if (address === addressOf(view)) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  accept(next);
}

/** The address of a project's runs, as they were looked at last. */
export function projectAddress(project) {
  return localStorage.getItem(KEPT + project) ?? addressOf({ ...readView(''), page: 'charts', project });
}

/** @param {(now: View, before: View) => void} listener called after every change */
export function onChange(listener) {
  listeners.add(listener);
}

/** Follow the address from now on. */
export function followAddress() {
  const read = () => accept(readView(location.hash));
  addEventListener('popstate', read);
  addEventListener('hashchange', read);
  read();
}

function accept(next) {
  const before = view;
  if (addressOf(before) === addressOf(next) && before !== EMPTY) return;
  view = next;
  remember();
  for (const listener of listeners) listener(view, before);
}

const EMPTY = view;

function remember() {
  if (view.project === null || !['charts', 'table', 'compare'].includes(view.page)) return;
  try {
    localStorage.setItem(
      KEPT + view.project,
      addressOf({ ...view, full: '', run: '', part: WORDS.part.empty }),
    );
  } catch {
    // A full or forbidden storage costs only the memory of the view.
  }
}
