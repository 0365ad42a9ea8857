/**
 * Changing what people may change of a run: name, notes, tags; and its colour in this view.
 */

import { colorIn } from './choice.js';
import { PALETTE } from './colors.js';
import { h } from './dom.js';
import { openBox } from './menu.js';
import { titleOf } from './names.js';
import { edit } from './runs.js';
import { change, view } from './state.js';

const FIELDS = {
  name: {
    label: 'Name',
    hint: 'What people call the run',
    read: (text) => text.trim(),
    write: (value) => value ?? '',
  },
  notes: {
    label: 'Notes',
    hint: 'What this run is about, in Markdown',
    read: (text) => text.trim(),
    write: (value) => value ?? '',
    isLong: true,
  },
  tags: {
    label: 'Tags',
    hint: 'Words between commas',
    read: (text) => [
      ...new Set(
        text
          .split(',')
          .map((tag) => tag.trim())
          .filter(Boolean),
      ),
    ],
    write: (value) => (value ?? []).join(', '),
  },
};

/**
 * Open a small form beside an element.
 * @param {HTMLElement} anchor
 * @param {import('./runs.js').Run} run
 * @param {'name'|'notes'|'tags'} field
 */
export function openEditor(anchor, run, field) {
  openForm(anchor, run, `/${field}`, FIELDS[field], run.values.get(field));
}

/**
 * The same for a value of config or summary.
 * @param {HTMLElement} anchor
 * @param {import('./runs.js').Run} run
 * @param {string[]} keys where it is, as `config`, `optimizer`, `lr`
 * @param {any} value
 */
export function openValueEditor(anchor, run, keys, value) {
  const pointer = keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  const isText = typeof value === 'string';
  const field = {
    label: keys.slice(1).join(' › '),
    hint: isText ? 'Text' : 'JSON: 0.1, true, [1, 2], "text"',
    read: isText ? (text) => text : JSON.parse,
    write: isText ? (text) => text : (other) => JSON.stringify(other),
  };
  openForm(anchor, run, pointer, field, value);
}

function openForm(anchor, run, pointer, { label, hint, read, write, isLong }, value) {
  openBox(
    anchor,
    `${label} of ${titleOf(run)}`,
    (close) => {
      const input = h(isLong ? 'textarea' : 'input', {
        class: 'field',
        value: write(value),
        'aria-label': label,
        placeholder: hint,
        autofocus: true,
        rows: isLong && 5,
      });
      const said = h('p', { class: 'error', role: 'alert', hidden: true });
      const save = async (event) => {
        event.preventDefault();
        try {
          await edit(run, pointer, read(input.value));
          close();
        } catch (failure) {
          said.textContent = `Not saved: ${failure.message}`;
          said.hidden = false;
        }
      };
      input.addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && (!isLong || event.ctrlKey || event.metaKey)) save(event);
      });
      return [
        h(
          'form',
          { class: 'form', on: { submit: save } },
          h('label', { class: 'muted', text: isLong ? `${label} · Ctrl+Enter saves` : label }),
          input,
          said,
          h(
            'div',
            { class: 'row end' },
            h('button', { type: 'button', class: 'button', on: { click: close }, text: 'Cancel' }),
            h('button', { type: 'submit', class: 'button primary', text: 'Save' }),
          ),
        ),
      ];
    },
    { wide: true },
  );
}

/** Let somebody choose the colour of a run. */
export function openColors(anchor, run) {
  const use = (color) => {
    const { [run.tail]: _, ...others } = view.colors;
    change({ colors: color ? { ...others, [run.tail]: color } : others }, { replace: true });
  };
  openBox(anchor, `Colour of ${titleOf(run)}`, (close) => [
    h(
      'div',
      { class: 'palette' },
      PALETTE.map((color) =>
        h('button', {
          type: 'button',
          class: 'swatch large',
          'aria-label': color,
          style: { background: color },
          on: {
            click: () => {
              use(color);
              close();
            },
          },
        }),
      ),
    ),
    h(
      'div',
      { class: 'row between' },
      h(
        'label',
        { class: 'row' },
        h('input', {
          type: 'color',
          class: 'swatch large',
          value: colorIn(view, run),
          'aria-label': 'Another colour',
          on: { change: (event) => use(event.target.value) },
        }),
        'Another',
      ),
      h('button', {
        type: 'button',
        class: 'button',
        text: 'As it was',
        on: {
          click: () => {
            use(null);
            close();
          },
        },
      }),
    ),
  ]);
}
