/**
 * The tools above the panels: search, x-axis, smoothing, scales, size, which panels.
 */

import { writersIn } from './choice.js';
import { h, textButton } from './dom.js';
import { allPanels, allShown, isHidden, numberPanels, toggledPanel } from './layout.js';
import { menuButton, openBox, openMenu, relabel, searchList } from './menu.js';
import { MAIN, metrics } from './metrics.js';
import { AXIS_NAMES } from './scales.js';
import { change, view } from './state.js';

const SIZES = { s: 'Small', m: 'Medium', l: 'Large' };
const SPREADS = { minmax: 'Least to greatest', deviation: 'Standard deviation', none: 'Mean only' };

/**
 * A tool: what is on the page, and what brings it up to date.
 * @typedef {{elements: HTMLElement[], update: () => void}} Tool
 */

/**
 * @param {{isFull?: boolean}} [options] full: those of one panel that fills the screen
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function panelTools({ isFull = false } = {}) {
  const ofOne = [writerTool(), axisTool(), smoothTool(), scaleTool()];
  const tools = isFull ? ofOne : [searchTool(), ...ofOne, hideTool()];
  tools.push(outlierTool(), zoomTool());
  return {
    element: h(
      'div',
      { class: 'tools', role: 'toolbar', 'aria-label': 'Charts' },
      tools.flatMap((tool) => tool.elements),
    ),
    update: () => tools.forEach((tool) => tool.update()),
  };
}

/** @returns {Tool} */
function searchTool() {
  const input = h('input', {
    type: 'search',
    class: 'field',
    placeholder: 'Search panels',
    'aria-label': 'Search panels',
    on: { input: () => change({ panels: input.value }, { replace: true }) },
  });
  return { elements: [input], update: () => keep(input, view.panels) };
}

/** @returns {Tool} */
function axisTool() {
  const button = menuButton('axis', 'X-axis', 'Automatic', openAxes);
  const update = () => relabel(button, view.x ? (AXIS_NAMES[view.x] ?? view.x) : 'Automatic');
  return { elements: [button], update };
}

/** Whose streams are shown, where there are several. @returns {Tool} */
function writerTool() {
  const button = menuButton('list', 'Writers', '', openWriters, 'writers');
  const update = () => {
    const now = writersIn(view);
    button.hidden = metrics.writers.length < 2 && !view.writers.length;
    button.classList.toggle('on', view.writers.length > 0);
    relabel(button, now.length > 2 ? `${now.length} writers` : now.join(', '));
  };
  return { elements: [button], update };
}

function openWriters(anchor) {
  const choices = metrics.writers.map((writer) => ({ id: writer, label: writer }));
  const toggle = (writer) => {
    const now = writersIn(view);
    const next = now.includes(writer) ? now.filter((one) => one !== writer) : [...now, writer];
    const writers = metrics.writers.filter((one) => next.includes(one));
    change({ writers: writers.join() === MAIN ? [] : writers });
  };
  openBox(
    anchor,
    'Writers',
    () => searchList('Search writers', choices, () => writersIn(view), toggle, { many: true }),
    { wide: true },
  );
}

/** @returns {Tool} */
function smoothTool() {
  const use = (text) =>
    change({ smooth: Math.min(Math.max(Number(text) || 0, 0), 0.999) }, { replace: true });
  const range = { min: '0', max: '0.999' };
  const slider = h('input', {
    ...range,
    type: 'range',
    step: '0.001',
    'aria-label': 'Smoothing',
    on: { input: () => use(slider.value) },
  });
  const amount = h('input', {
    ...range,
    type: 'number',
    class: 'field amount',
    step: '0.01',
    'aria-label': 'Smoothing, as a number',
    on: { change: () => use(amount.value) },
  });
  const label = h(
    'label',
    { class: 'row smoothing' },
    h('span', { class: 'muted', text: 'Smoothing' }),
    slider,
  );
  const update = () => {
    slider.value = String(view.smooth);
    keep(amount, String(view.smooth));
  };
  return { elements: [label, amount], update };
}

/** @returns {Tool} */
function scaleTool() {
  const button = menuButton('scales', 'View: scales and sizes', 'View', openScales, 'scales');
  return { elements: [button], update: () => {} };
}

/** @returns {Tool} */
function hideTool() {
  const button = menuButton('eye', 'Which panels are shown', 'Panels', openPanels, 'which');
  const update = () => {
    const hidden = allPanels().filter(isHidden).length;
    relabel(button, hidden ? `${hidden} hidden` : 'Panels');
  };
  return { elements: [button], update };
}

/** @returns {Tool} */
function zoomTool() {
  const button = textButton('Reset zoom', () => change({ zoom: null }), { class: 'button primary' });
  return {
    elements: [button],
    update: () => {
      button.hidden = !view.zoom;
    },
  };
}

/** A scale without outliers is never on unnoticed. @returns {Tool} */
function outlierTool() {
  const button = textButton('Outliers are cut off: show all', () => change({ clip: false }), {
    class: 'button warn',
  });
  return {
    elements: [button],
    update: () => {
      button.hidden = !view.clip;
    },
  };
}

/** Put a value into a field, unless somebody writes in it. */
function keep(input, value) {
  if (input !== document.activeElement) input.value = value;
}

function openAxes(anchor) {
  const known = [
    { id: '', label: 'Automatic', note: 'as the metric was defined' },
    ...Object.entries(AXIS_NAMES).map(([id, label]) => ({ id, label })),
    ...numberPanels()
      .filter((panel) => panel.stream === 'metrics')
      .map(({ key }) => ({ id: key, label: key })),
  ];
  openBox(
    anchor,
    'X-axis',
    (close) =>
      searchList(
        'Search x-axes',
        known,
        () => [view.x],
        (id) => {
          change({ x: id, zoom: null });
          close();
        },
      ),
    { wide: true },
  );
}

function openScales(anchor) {
  const isLog = view.log.includes('*');
  openMenu(anchor, 'Scales and sizes', [
    {
      label: 'Logarithmic y-axes',
      isOn: isLog,
      act: () => change({ log: isLog ? view.log.filter((one) => one !== '*') : [...view.log, '*'] }),
    },
    { label: 'Logarithmic x-axes', isOn: view.logx, act: () => change({ logx: !view.logx }) },
    { label: 'Leave outliers out of the scale', isOn: view.clip, act: () => change({ clip: !view.clip }) },
    ...Object.entries(SIZES).map(([size, name]) => ({
      label: `${name} panels`,
      isOn: view.size === size,
      act: () => change({ size }),
    })),
    ...(view.group
      ? Object.entries(SPREADS).map(([spread, name]) => ({
          label: `Groups: ${name.toLowerCase()}`,
          isOn: view.spread === spread,
          act: () => change({ spread }),
        }))
      : []),
  ]);
}

function openPanels(anchor) {
  const choices = allPanels().map((panel) => ({
    id: panel.id,
    label: panel.id,
    note: `${panel.runs} ${panel.runs === 1 ? 'run' : 'runs'}`,
  }));
  const toggle = (id) => change(toggledPanel(allPanels().find((panel) => panel.id === id)));
  const shown = () =>
    allPanels()
      .filter((panel) => !isHidden(panel))
      .map((panel) => panel.id);
  openBox(
    anchor,
    'Which panels are shown',
    () => [
      ...searchList('Search panels', choices, shown, toggle, { many: true }),
      h(
        'div',
        { class: 'row between pad' },
        textButton('Show all', () => change(allShown())),
        metrics.left > 0 &&
          h('span', { class: 'muted', text: `${metrics.left} more metrics are not listed` }),
      ),
    ],
    { wide: true },
  );
}
