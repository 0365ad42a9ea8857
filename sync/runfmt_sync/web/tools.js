/**
 * The tools above the panels: search, x-axis, smoothing, scales, size, which panels.
 */

import { fill, h, icon } from './dom.js';
import { allShown, isHidden, numberPanels, toggledPanel } from './layout.js';
import { menuButton, openBox, openMenu, searchList } from './menu.js';
import { metrics } from './metrics.js';
import { AXIS_NAMES } from './scales.js';
import { change, view } from './state.js';

const SIZES = { s: 'Small', m: 'Medium', l: 'Large' };
const SPREADS = { minmax: 'Least to greatest', deviation: 'Standard deviation', none: 'Mean only' };

/**
 * @param {{isFull?: boolean}} [options] full: those of one panel that fills the screen
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function panelTools({ isFull = false } = {}) {
  const search = h('input', {
    type: 'search', class: 'field', placeholder: 'Search panels', 'aria-label': 'Search panels',
    on: { input: () => change({ panels: search.value }, { replace: true }) },
  });
  const axis = menuButton('', 'X-axis', openAxes);
  const smooth = h('input', { type: 'range', min: '0', max: '0.999', step: '0.001', 'aria-label': 'Smoothing', on: { input: () => change({ smooth: Number(smooth.value) }, { replace: true }) } });
  const amount = h('input', { type: 'number', class: 'field amount', min: '0', max: '0.999', step: '0.01', 'aria-label': 'Smoothing, as a number', on: { change: () => change({ smooth: Math.min(Math.max(Number(amount.value) || 0, 0), 0.999) }) } });
  const scales = menuButton('View', 'Scales and sizes', openScales, { glyph: 'columns', props: { class: 'button scales' } });
  const panels = menuButton('', 'Which panels are shown', openPanels, { props: { class: 'button which' } });
  const reset = h('button', { type: 'button', class: 'button primary', text: 'Reset zoom', on: { click: () => change({ zoom: null }) } });
  const element = h('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Charts' },
    !isFull && search, axis, h('label', { class: 'row smoothing' }, h('span', { class: 'muted', text: 'Smoothing' }), smooth), amount, scales, !isFull && panels, reset);
  return { element, update: () => {
    if (search !== document.activeElement) search.value = view.panels;
    fill(axis, h('span', { class: 'muted', text: 'X' }), h('span', { class: 'clip', text: view.x ? (AXIS_NAMES[view.x] ?? view.x) : 'Automatic' }));
    smooth.value = String(view.smooth);
    if (amount !== document.activeElement) amount.value = String(view.smooth);
    const hidden = numberPanels().filter(isHidden).length;
    fill(panels, icon('eye'), h('span', { text: hidden ? `${hidden} hidden` : 'Panels' }));
    reset.hidden = !view.zoom;
  } };
}

function openAxes(anchor) {
  const known = [
    { id: '', label: 'Automatic', note: 'as the metric was defined' },
    ...Object.entries(AXIS_NAMES).map(([id, label]) => ({ id, label })),
    ...numberPanels().filter((panel) => panel.stream === 'metrics').map(({ key }) => ({ id: key, label: key })),
  ];
  openBox(anchor, 'X-axis', (close) => searchList('Search x-axes', known, (id) => id === view.x, (id) => { change({ x: id, zoom: null }); close(); }), { wide: true });
}

function openScales(anchor) {
  const isLog = view.log.includes('*');
  openMenu(anchor, 'Scales and sizes', [
    { label: 'Logarithmic y-axes', isOn: isLog, act: () => change({ log: isLog ? view.log.filter((one) => one !== '*') : [...view.log, '*'] }) },
    { label: 'Leave outliers out of the scale', isOn: view.clip, act: () => change({ clip: !view.clip }) },
    ...Object.entries(SIZES).map(([size, name]) => ({ label: `${name} panels`, isOn: view.size === size, act: () => change({ size }) })),
    ...(view.group ? Object.entries(SPREADS).map(([spread, name]) => ({ label: `Groups: ${name.toLowerCase()}`, isOn: view.spread === spread, act: () => change({ spread }) })) : []),
  ]);
}

function openPanels(anchor) {
  const choices = numberPanels().map((panel) => ({ id: panel.id, label: panel.id, note: `${panel.runs} ${panel.runs === 1 ? 'run' : 'runs'}` }));
  const panelOf = (id) => metrics.panels.find((panel) => panel.id === id);
  const toggle = (id) => change(toggledPanel(panelOf(id)));
  openBox(anchor, 'Which panels are shown', () => [
    ...searchList('Search panels', choices, (id) => !isHidden(panelOf(id)), toggle, { many: true }),
    h('div', { class: 'row between pad' },
      h('button', { type: 'button', class: 'button', text: 'Show all', on: { click: () => change(allShown()) } }),
      metrics.left > 0 && h('span', { class: 'muted', text: `${metrics.left} more metrics are not listed` })),
  ], { wide: true });
}
