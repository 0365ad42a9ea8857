/**
 * Elements, made safely: what is data becomes text, never markup.
 */

const SVG = 'http://www.w3.org/2000/svg';
const SAFE_ADDRESS = /^(#|blob:|https?:)/;

const ICONS = {
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Z M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
  hidden:
    'M2 2l12 12 M6.2 3.8A6 6 0 0 1 8 3.5C12 3.5 14.5 8 14.5 8a12 12 0 0 1-2 2.5' +
    ' M10 12.2a6 6 0 0 1-2 .3C4 12.5 1.5 8 1.5 8a12 12 0 0 1 2.4-2.8',
  more: 'M3 8h.01 M8 8h.01 M13 8h.01',
  expand: 'M9.5 2.5h4v4 M6.5 13.5h-4v-4 M13.5 2.5l-5 5 M2.5 13.5l5-5',
  close: 'M3.5 3.5l9 9 M12.5 3.5l-9 9',
  down: 'M4 6l4 4 4-4',
  right: 'M6 4l4 4-4 4',
  columns: 'M2.5 3.5h11v9h-11Z M6.2 3.5v9 M9.8 3.5v9',
  group: 'M2.5 3.5h11 M5.5 8h8 M5.5 12.5h8',
  theme: 'M8 2.5v11a5.5 5.5 0 0 0 0-11Z M8 13.5a5.5 5.5 0 0 1 0-11',
  help: 'M5.8 6a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6 M8 12.2h.01',
  link: 'M6.5 9.5l3-3 M7 4.5l1.2-1.2a3 3 0 0 1 4.3 4.3L11.3 8.8 M9 11.5l-1.2 1.2a3 3 0 0 1-4.3-4.3l1.2-1.2',
  up: 'M4 10l4-4 4 4',
  list: 'M2.5 4h11 M2.5 8h11 M2.5 12h11',
  copy: 'M5.5 5.5h8v8h-8Z M10.5 5.5v-3h-8v8h3',
  pen: 'M3 13l.6-2.8L10.8 3l2.2 2.2-7.2 7.2Z M9.3 4.5l2.2 2.2',
  scales: 'M2.5 5h6 M11.5 5h2 M10 3.5v3 M2.5 11h2 M7.5 11h6 M6 9.5v3',
  axis: 'M2.5 2.5v11h11 M5.5 10.5l2.5-3.5 2 1.5 3-4.5',
};

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; `on` maps events to listeners, `style` CSS properties to
 *   values, `text` is its text; null, undefined and false are left out
 * @param {...(Node|string|number|null|undefined|false)} children text is text
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  element.append(
    ...children
      .flat()
      .filter((child) => child != null && child !== false)
      .map(asNode),
  );
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

function set(element, name, value) {
  if (value == null || value === false) return;
  if (name === 'on') {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === 'style') {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (name === 'text') {
    element.textContent = value;
  } else if (name === 'class') {
    element.className = value;
  } else if (name === 'value') {
    element.value = value;
  } else if (name === 'href' && !SAFE_ADDRESS.test(value)) {
    throw new TypeError(`not an address to link to: ${value}`);
  } else {
    element.setAttribute(name, value === true ? '' : value);
  }
}

/** Give an element other children, without touching the page when they are the same ones. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean).map(asNode));
  return element;
}

/** A line drawing of 16 by 16, hidden from screen readers: the control has the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [key, value] of [
    ['viewBox', '0 0 16 16'],
    ['class', 'icon'],
    ['aria-hidden', 'true'],
  ]) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a drawing, with a name for those who do not see it. */
export function iconButton(name, label, click, props = {}) {
  return h(
    'button',
    { type: 'button', class: 'quiet', 'aria-label': label, title: label, ...props, on: { click } },
    icon(name),
  );
}

/** A button with a word on it. */
export function textButton(text, click, props = {}) {
  return h('button', { type: 'button', class: 'button', text, ...props, on: { click } });
}

/** What is shown where there is nothing, and what to do about it. */
export function emptyState(title, advice, ...actions) {
  return h(
    'div',
    { class: 'empty', role: 'status' },
    h('h2', { text: title }),
    h('p', { text: advice }),
    ...actions,
  );
}

/** What is shown while something is on its way. */
export function loading() {
  return h('p', { class: 'muted pad', role: 'status', text: 'Loading…' });
}

/** A function that runs at most once a frame, with the newest arguments. */
export function oncePerFrame(action) {
  let waiting = null;
  return (...values) => {
    if (!waiting)
      requestAnimationFrame(() => {
        const now = waiting;
        waiting = null;
        action(...now);
      });
    waiting = values;
  };
}
