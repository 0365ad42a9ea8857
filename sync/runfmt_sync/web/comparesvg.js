/**
 * What the drawings of the compare page share: SVG elements, links to runs, redrawing at another size.
 */

import { colorIn } from './choice.js';
import { hideReadout, showReadout } from './cursor.js';
import { h, oncePerFrame } from './dom.js';
import { titleOf } from './names.js';
import { addressOf, change, view } from './state.js';
import { colorAt, makeAxis, shortText } from './comparevalues.js';

const SVG = 'http://www.w3.org/2000/svg';

/** Make an element of a drawing; `on` maps events to listeners, `text` is its text. */
export function s(tag, { on = {}, text, ...attributes } = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== false) element.setAttribute(name, value);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  if (text !== undefined) element.textContent = text;
  element.append(...children.flat().filter(Boolean));
  return element;
}

/** A drawing in a box: `draw(width, height)` gives its elements, and is called again for another size. */
export class Drawing {
  constructor(label, draw) {
    this.svg = s('svg', { role: 'group', 'aria-label': label });
    this.element = h('div', { class: 'drawing' });
    this.element.append(this.svg);
    this.redraw = oncePerFrame(() => {
      const { clientWidth: width, clientHeight: height } = this.element;
      if (!width || !height) return;
      this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
      const held = this.svg.contains(document.activeElement) && document.activeElement.dataset.run;
      this.svg.replaceChildren(...draw(width, height).flat(2).filter(Boolean));
      if (held) this.svg.querySelector(`[data-run="${held}"]`)?.focus();
    });
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.element);
  }

  close() {
    this.sizes.disconnect();
    hideReadout();
  }
}

/** The colours of runs: by the column that the view says, else their own. */
export function colorsFor(runs) {
  if (!view.by) return (run) => colorIn(view, run);
  const axis = makeAxis(view.by, runs, view.logs.includes(view.by));
  return (run) => colorAt(axis, run.values.get(view.by));
}

/** A link to a run in a drawing, which says its values beside the pointer. */
export function runLink(run, color, ids, ...shapes) {
  const said = ids.map((id) => `${id} ${shortText(run.values.get(id)) || 'missing'}`).join(', ');
  const show = ({ clientX: x, clientY: y }) => showReadout({ x, y }, titleOf(run), valuesOf(run, ids, color));
  const focus = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    show({ clientX: box.right, clientY: box.top });
  };
  const open = (event) => {
    event.preventDefault();
    hideReadout();
    change({ page: 'run', run: run.tail });
  };
  return s(
    'a',
    {
      href: addressOf({ ...view, page: 'run', run: run.tail }),
      class: 'run',
      'data-run': run.tail,
      'aria-label': `${titleOf(run)}: ${said}`,
      on: { click: open, pointermove: show, pointerleave: hideReadout, focus, blur: hideReadout },
    },
    shapes,
  );
}

function valuesOf(run, ids, color) {
  return [...new Set(ids)].map((id) => ({
    name: id,
    color,
    text: shortText(run.values.get(id)) || '–',
    raw: '',
    isNearest: false,
  }));
}

/** Switch the scale of a column. */
export function turnLog(id) {
  change({ logs: view.logs.includes(id) ? view.logs.filter((one) => one !== id) : [...view.logs, id] });
}
