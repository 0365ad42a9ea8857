/**
 * A picture as large as one wants, with what lies over it.
 */

import { fill, h, iconButton, textButton } from './dom.js';
import { save } from './download.js';
import { showPicture } from './pictures.js';

const [LEAST, MOST, STEP] = [0.1, 32, 1.25];

/**
 * @param {import('./viewer.js').File & {value: any, context: import('./viewer.js').Context, width: number,
 *   height: number}} picture
 */
export async function openZoom({ url, blob, value, context, width, height }) {
  const shown = await showPicture({ url, blob }, value, context, { isZoomed: true });
  const place = h('div', {
    class: 'zoom-place',
    tabindex: '0',
    'aria-label': 'Picture; plus and minus zoom',
  });
  const said = h('span', { class: 'muted number' });
  let scale = 1;
  const zoom = (next) => {
    scale = Math.min(Math.max(next, LEAST), MOST);
    shown.element.style.setProperty('width', `${width * scale}px`);
    said.textContent = `${Math.round(scale * 100)} % of ${width} × ${height}`;
  };
  const fit = () => zoom(Math.min(place.clientWidth / width, place.clientHeight / height) * 0.98);
  const dialog = h(
    'dialog',
    { class: 'zoom', 'aria-label': value.caption || 'Picture' },
    h(
      'header',
      { class: 'tools' },
      h('strong', { class: 'clip grow', text: value.caption || value.path }),
      said,
      textButton('−', () => zoom(scale / STEP), { 'aria-label': 'Smaller' }),
      textButton('+', () => zoom(scale * STEP), { 'aria-label': 'Larger' }),
      textButton('Fit', fit),
      textButton('1:1', () => zoom(1)),
      textButton('Save', () => save(value.path.split('/').at(-1), blob)),
      iconButton('close', 'Close (Esc)', () => dialog.close()),
    ),
    fill(place, shown.element),
  );
  dialog.addEventListener('close', () => {
    shown.close();
    dialog.remove();
  });
  dialog.addEventListener('keydown', ({ key }) => {
    if (key === '+' || key === '=') zoom(scale * STEP);
    if (key === '-') zoom(scale / STEP);
    if (key === '0') fit();
  });
  place.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      zoom(scale * (event.deltaY < 0 ? STEP : 1 / STEP));
    },
    { passive: false },
  );
  document.body.append(dialog);
  dialog.showModal();
  fit();
  place.focus();
}
