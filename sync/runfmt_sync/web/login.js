/**
 * Asks for the token of a server that wants one.
 */

import { keepToken } from './api.js';
import { h } from './dom.js';

/** @returns {Promise<void>} kept when a token was given */
export function askForToken() {
  return new Promise((done) => {
    const input = h('input', { type: 'password', class: 'field', 'aria-label': 'Token', autocomplete: 'off', autofocus: true, required: true });
    const dialog = h('dialog', { class: 'login', 'aria-label': 'Sign in' }, h('form', { class: 'form' },
      h('h2', { text: 'A token is needed' }),
      h('p', { class: 'muted', text: 'Open the address that runfmt view printed, or paste a token. A server’s tokens are made with: runfmt token create' }),
      input, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'button primary', text: 'Sign in' }))));
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    dialog.addEventListener('submit', (event) => {
      event.preventDefault();
      keepToken(input.value.trim());
      dialog.close();
      dialog.remove();
      done();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
