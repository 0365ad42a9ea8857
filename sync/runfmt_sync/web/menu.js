/**
 * What opens beside a button and closes by itself: menus, choosers, small forms.
 */

import { fill, h, icon } from './dom.js';

/** So many choices are listed; who wants another one searches. */
const MOST = 200;
let count = 0;

/**
 * Open a box beside an element.
 * @param {HTMLElement} anchor
 * @param {string} label its name
 * @param {(close: () => void) => Node[]} contents
 */
export function openBox(anchor, label, contents, { wide = false } = {}) {
  count += 1;
  const box = h('div', {
    class: wide ? 'box wide' : 'box',
    popover: 'auto',
    role: 'dialog',
    'aria-label': label,
    id: `box-${count}`,
  });
  const close = () => box.hidePopover();
  box.append(...contents(close));
  box.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    box.remove();
    anchor.removeAttribute('aria-expanded');
    if (!document.activeElement || document.activeElement === document.body) anchor.focus();
  });
  (anchor.closest('dialog') ?? document.body).append(box);
  anchor.setAttribute('aria-expanded', 'true');
  box.showPopover();
  put(box, anchor);
  (box.querySelector('[autofocus]') ?? box.querySelector('input, button'))?.focus();
  return close;
}

/** Below the anchor, or above it where there is no room, and within the window. */
function put(box, anchor) {
  const [at, size] = [anchor.getBoundingClientRect(), box.getBoundingClientRect()];
  const below = at.bottom + 4 + size.height <= innerHeight - 4;
  box.style.left = `${Math.max(4, Math.min(at.left, innerWidth - size.width - 8))}px`;
  box.style.top = `${below ? at.bottom + 4 : Math.max(4, at.top - size.height - 4)}px`;
}

/**
 * A menu of things to do.
 * @param {HTMLElement} anchor
 * @param {string} label
 * @param {{label: string, act: () => void, isOn?: boolean}[]} items `isOn`: it is a switch
 */
export function openMenu(anchor, label, items) {
  openBox(anchor, label, (close) =>
    items.map(({ label: text, act, isOn }) => {
      const role = isOn === undefined ? 'menuitem' : 'menuitemcheckbox';
      return h(
        'button',
        {
          type: 'button',
          class: 'item',
          role,
          ...(isOn !== undefined && { 'aria-checked': String(isOn) }),
          on: {
            click: () => {
              close();
              act();
            },
            keydown: moveFocus,
          },
        },
        isOn !== undefined && h('span', { class: 'tick', 'aria-hidden': 'true', text: isOn ? '✓' : '' }),
        text,
      );
    }),
  );
}

function moveFocus(event) {
  const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
  if (!step) return;
  event.preventDefault();
  event.currentTarget[step]?.focus();
}

/**
 * A button that opens a box or a menu.
 * @param {string} glyph
 * @param {string} title what it is for
 * @param {string} text what stands on it
 * @param {(anchor: HTMLElement) => void} open
 */
export function menuButton(glyph, title, text, open, more = '') {
  const button = h(
    'button',
    {
      type: 'button',
      class: `button ${more}`,
      title,
      'aria-haspopup': 'dialog',
      on: { click: () => open(button) },
    },
    icon(glyph),
    h('span', { class: 'clip' }),
  );
  relabel(button, text);
  return button;
}

/** Change what stands on such a button; its name says what it is for, too. */
export function relabel(button, text) {
  button.lastChild.textContent = text;
  const isSaid = button.title.toLowerCase().includes(text.toLowerCase());
  button.setAttribute('aria-label', isSaid ? button.title : `${button.title}: ${text}`);
}

/**
 * A list of choices to search in.
 * @param {{id: string, label: string, note?: string}[]} choices
 * @param {() => string[]} chosen the ids of those that are chosen now
 * @param {(id: string) => void} pick
 */
export function searchList(placeholder, choices, chosen, pick, { many = false } = {}) {
  const list = h('div', { class: 'choices', role: many ? 'group' : 'listbox', 'aria-label': placeholder });
  const show = () => {
    const now = new Set(chosen());
    const words = input.value.toLowerCase().split(/\s+/);
    const found = choices.filter(({ label }) => words.every((word) => label.toLowerCase().includes(word)));
    const said = found.length ? `and ${found.length - MOST} more: search for them` : 'Nothing has that name.';
    fill(
      list,
      found.slice(0, MOST).map((choice) => choiceButton(choice, now.has(choice.id), many, picked)),
      (!found.length || found.length > MOST) && h('p', { class: 'muted pad', text: said }),
    );
  };
  const picked = (id, button) => {
    const place = [...list.children].indexOf(button);
    pick(id);
    show();
    list.children[place]?.focus();
  };
  const input = h('input', {
    type: 'search',
    class: 'field',
    placeholder,
    'aria-label': placeholder,
    autofocus: true,
    on: { input: show },
  });
  show();
  return [input, list];
}

function choiceButton({ id, label, note }, isOn, many, picked) {
  const button = h(
    'button',
    {
      type: 'button',
      class: 'item',
      role: many ? 'checkbox' : 'option',
      [many ? 'aria-checked' : 'aria-selected']: String(isOn),
      on: { click: () => picked(id, button), keydown: moveFocus },
    },
    h('span', { class: 'tick', 'aria-hidden': 'true', text: isOn ? '✓' : '' }),
    h('span', { class: 'grow', text: label }),
    note && h('span', { class: 'muted', text: note }),
  );
  return button;
}
