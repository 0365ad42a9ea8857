/**
 * Dark or light: as the system says, until it is switched.
 */

import { iconButton } from './dom.js';

const KEPT = 'runfmt.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();
let colors = null;

const isDark = () => (localStorage.getItem(KEPT) ?? (system.matches ? 'dark' : 'light')) === 'dark';

/** @param {() => void} listener called when the colours of the page changed */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Put it on the page, and follow the system. */
export function startTheme() {
  system.addEventListener('change', apply);
  apply();
}

function apply() {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  colors = null;
  for (const listener of listeners) listener();
}

/** The switch. */
export function themeButton() {
  return iconButton('theme', 'Switch between dark and light', () => {
    localStorage.setItem(KEPT, isDark() ? 'light' : 'dark');
    apply();
  });
}

/** The page's colours, for charts. @returns {import('./chart.js').Theme} */
export function chartTheme() {
  if (colors) return colors;
  const style = getComputedStyle(document.documentElement);
  const named = ['ink', 'muted', 'grid', 'paper'].map((name) => [
    name,
    style.getPropertyValue(`--${name}`).trim(),
  ]);
  colors = { ...Object.fromEntries(named), font: `11px ${style.getPropertyValue('--sans').trim()}` };
  return colors;
}
