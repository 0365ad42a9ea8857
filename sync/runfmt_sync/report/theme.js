/**
 * Dark or light: as the system says. A report keeps nothing, so there is no switch.
 */

/** The page's colours, for charts. @returns {import('../web/chart.js').Theme} */
export function chartTheme() {
  const style = getComputedStyle(document.documentElement);
  const named = ['ink', 'muted', 'grid', 'paper'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
  return { ...Object.fromEntries(named), font: `11px ${style.getPropertyValue('--sans').trim()}` };
}

/** @param {() => void} listener called when the colours changed; and once now, to put them on the page */
export function onTheme(listener) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    document.documentElement.dataset.theme = system.matches ? 'dark' : 'light';
    listener();
  };
  system.addEventListener('change', apply);
  apply();
}
