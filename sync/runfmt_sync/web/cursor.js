/**
 * Where the pointer is, for all charts at once; which run stands out; and the values beside the pointer.
 */

import { fill, h, oncePerFrame } from './dom.js';
import { nameParts } from './names.js';

const MOST = 16;
const GAP = 14;
const listeners = new Set();

/** @type {{axis: string|null, at: number|null, source: object|null, strong: string|null}} */
export const cursor = { axis: null, at: null, source: null, strong: null };

/** @param {() => void} listener called when the cursor moved, at most once a frame */
export function onCursor(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = oncePerFrame(() => {
  for (const listener of listeners) listener();
});

/** Put the cursor at a value of an axis; null: nowhere. */
export function moveCursor(axis, at, source) {
  Object.assign(cursor, { axis, at, source });
  if (at === null) hideReadout();
  tell();
}

/** Let a run stand out in all charts; null: none. */
export function standOut(id) {
  if (cursor.strong === id) return;
  cursor.strong = id;
  tell();
}

let readout = null;

/**
 * Show values beside the pointer, the greatest first.
 * @param {{x: number, y: number}} pointer
 * @param {string} title
 * @param {{name: string, suffix?: string, color: string, text: string, raw: string,
 *   isNearest: boolean}[]} values
 * @param {boolean} [isSpoken] the keys moved it: screen readers say it
 */
export function showReadout(pointer, title, values, isSpoken = false) {
  readout ??= document.body.appendChild(h('div', { class: 'readout' }));
  readout.setAttribute('aria-live', isSpoken ? 'polite' : 'off');
  (document.querySelector('dialog[open]') ?? document.body).append(readout);
  const nearest = values.findIndex((value) => value.isNearest);
  const first = Math.max(0, Math.min(nearest - MOST / 2, values.length - MOST));
  const some = values.slice(first, first + MOST);
  const left = values.length - some.length;
  fill(
    readout,
    h('div', { class: 'readout-title', text: title }),
    some.map(valueRow),
    left > 0 && h('div', { class: 'muted', text: `and ${left} more` }),
  );
  readout.hidden = false;
  place(pointer);
}

function valueRow({ color, text, raw, isNearest, ...named }) {
  return h(
    'div',
    { class: isNearest ? 'readout-row nearest' : 'readout-row' },
    h('span', { class: 'swatch', style: { background: color } }),
    h('span', { class: 'readout-name name-parts' }, nameParts(named)),
    h('span', { class: 'readout-value', text }),
    raw && h('span', { class: 'readout-raw', text: raw }),
  );
}

function place({ x, y }) {
  const { width, height } = readout.getBoundingClientRect();
  const left = x + GAP + width > innerWidth ? Math.max(x - GAP - width, 4) : x + GAP;
  readout.style.left = `${left}px`;
  readout.style.top = `${Math.max(4, Math.min(y - height / 2, innerHeight - height - 4))}px`;
}

export function hideReadout() {
  if (readout) readout.hidden = true;
}
