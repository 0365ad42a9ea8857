/**
 * Asks for the token of a server that wants one.
 */

import { keepToken } from './api.js';
import { h } from './dom.js';

/**
 * @param {boolean} wasRefused there was a token, and it is not good
 * @returns {Promise<void>} kept when a token was given
 */
export function askForToken(wasRefused) {
  return new Promise((done) => {
    const input = h('input', {
      type: 'password',
      class: 'field',
      'aria-label': 'Token',
      autocomplete: 'off',
      autofocus: true,
      required: true,
    });
    const dialog = h(
      'dialog',
      { class: 'login', 'aria-label': 'Sign in' },
      h(
        'form',
        { class: 'form' },
        h('h2', { text: wasRefused ? 'The token is not accepted' : 'A token is needed' }),
        h(
          'p',
          { class: 'muted' },
          'Open the address that ',
          h('code', { text: 'runfmt view' }),
          ' printed: a token is good for as long as it runs. A server’s tokens are made with ',
          h('code', { text: 'runfmt token add' }),
          '.',
        ),
        input,
        h(
          'div',
          { class: 'row end' },
          h('button', { type: 'submit', class: 'button primary', text: 'Sign in' }),
        ),
      ),
    );
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
