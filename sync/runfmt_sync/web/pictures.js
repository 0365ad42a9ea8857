/**
 * Pictures with what was drawn over them: boxes, and masks whose pixels are the numbers of classes (R078).
 */

import { h } from './dom.js';
import { hold } from './media.js';
import { PALETTE } from './colors.js';
import { openZoom } from './zoom.js';
import { formatNumber } from './values.js';

/** Pictures of fewer pixels across are shown with their pixels. */
const COARSE = 128;
/** Of more boxes on one picture nothing can be seen. */
const MOST_BOXES = 500;

/**
 * The classes over a picture, as they are switched: by the name of the set, then of the class.
 * @returns {Map<string, {name: string, color: string}>}
 */
export function classesOf(value) {
  const found = new Map();
  for (const [set, boxes] of Object.entries(value.boxes ?? {}))
    for (const box of boxesOf(boxes)) add(found, set, box.class_id, boxes.class_labels, value.classes);
  for (const [set, mask] of Object.entries(value.masks ?? {}))
    for (const id of Object.keys(labelsOf(mask.class_labels, value.classes)))
      add(found, set, id, mask.class_labels, value.classes);
  return found;
}

function add(found, set, id, labels, classes) {
  const name = labelsOf(labels, classes)[id] ?? `class ${id ?? '?'}`;
  found.set(classKey(set, id), { name: `${set}: ${name}`, color: colorOfClass(id) });
}

const classKey = (set, id) => `${set}/${id}`;
const boxesOf = (boxes) =>
  (Array.isArray(boxes?.box_data) ? boxes.box_data : []).filter((box) => box && typeof box === 'object');

/** Names by number: those of the set, else those of the picture, a list of objects with `id` and `name`. */
function labelsOf(labels, classes) {
  if (labels && typeof labels === 'object') return labels;
  return Object.fromEntries((Array.isArray(classes) ? classes : []).map(({ id, name }) => [id, name]));
}

const colorOfClass = (id) => PALETTE[Math.abs(Number(id) || 0) % PALETTE.length];

/**
 * A picture in a frame of its shape.
 * @param {import('./viewer.js').File} file
 * @param {any} value an `image-file`
 * @param {import('./viewer.js').Context} context
 * @returns {Promise<import('./viewer.js').Shown>}
 */
export async function showPicture({ url, blob }, value, context, { isZoomed = false } = {}) {
  const image = h('img', { alt: value.caption ?? value.path, draggable: 'false' });
  image.src = url;
  await image.decode().catch(() => {
    throw new Error('it is no picture that this browser knows');
  });
  const [width, height] = sizeOf(image, value);
  const layer = new Layer(value, context, width, height);
  const frame = h(
    isZoomed ? 'div' : 'button',
    {
      class: image.naturalWidth < COARSE ? 'picture coarse' : 'picture',
      style: { '--ratio': String(width / height) },
      ...(!isZoomed && {
        type: 'button',
        'aria-label': `Zoom: ${value.caption ?? 'picture'}`,
        on: { click: () => openZoom({ url, blob, value, context, width, height }) },
      }),
    },
    image,
    layer.element,
  );
  await layer.redraw();
  return { element: frame, redraw: () => layer.redraw(), close: () => layer.close() };
}

/** An SVG may have no size of its own. */
function sizeOf(image, value) {
  if (image.naturalWidth && image.naturalHeight) return [image.naturalWidth, image.naturalHeight];
  return [value.width || 300, value.height || 150];
}

/** What lies over a picture. */
class Layer {
  constructor(value, context, width, height) {
    Object.assign(this, { value, context, width, height });
    this.masks = Object.entries(value.masks ?? {})
      .filter(([, mask]) => typeof mask?.path === 'string')
      .map(([set, mask]) => ({
        set,
        mask,
        held: hold(context.uid, mask),
        canvas: h('canvas', { class: 'mask' }),
      }));
    this.boxes = h('div', { class: 'boxes' });
    this.note = h('p', { class: 'layer-note error' });
    this.element = h(
      'div',
      { class: 'layer' },
      this.masks.map(({ canvas }) => canvas),
      this.boxes,
      this.note,
    );
  }

  async redraw() {
    this.boxes.replaceChildren(...this.boxElements());
    await Promise.all(this.masks.map((mask) => this.drawMask(mask)));
  }

  close() {
    for (const { held } of this.masks) held.release();
  }

  boxElements() {
    return Object.entries(this.value.boxes ?? {})
      .flatMap(([set, boxes]) => boxesOf(boxes).map((box) => ({ set, box, labels: boxes.class_labels })))
      .filter(({ set, box }) => !this.context.hidden.has(classKey(set, box.class_id)))
      .slice(0, MOST_BOXES)
      .map(({ box, labels }) => this.boxElement(box, labels));
  }

  boxElement(box, labels) {
    const [left, top, width, height] = placeOf(box, this.width, this.height);
    const name = box.box_caption ?? labelsOf(labels, this.value.classes)[box.class_id] ?? '';
    const scores = Object.entries(box.scores ?? {}).map(
      ([score, n]) => `${score} ${formatNumber(Number(n))}`,
    );
    return h(
      'div',
      {
        class: 'drawn-box',
        title: [name, ...scores].join(', '),
        style: {
          '--color': colorOfClass(box.class_id),
          left: `${100 * left}%`,
          top: `${100 * top}%`,
          width: `${100 * width}%`,
          height: `${100 * height}%`,
        },
      },
      name && h('span', { text: name }),
    );
  }

  async drawMask({ set, mask, held, canvas }) {
    try {
      const picture = await createImageBitmap((await held.file).blob, { colorSpaceConversion: 'none' });
      paint(canvas, picture, (id) => !this.context.hidden.has(classKey(set, id)) && this.isClass(mask, id));
    } catch (error) {
      if (error.name !== 'AbortError') this.note.textContent = `Mask ${set}: ${error.message}`;
    }
  }

  /** Zero without a name is what belongs to no class. */
  isClass(mask, id) {
    return id !== 0 || Object.hasOwn(labelsOf(mask.class_labels, this.value.classes), id);
  }
}

/** Left, top, width and height of a box as shares of the picture. */
function placeOf({ position = {}, domain }, width, height) {
  const [across, down] = domain === 'pixel' ? [1 / width, 1 / height] : [1, 1];
  const box = Array.isArray(position.middle)
    ? [
        position.middle[0] - position.width / 2,
        position.middle[1] - position.height / 2,
        position.width,
        position.height,
      ]
    : [position.minX, position.minY, position.maxX - position.minX, position.maxY - position.minY];
  return box.map((part, i) => (Number(part) || 0) * (i % 2 ? down : across));
}

/** Put a colour a class where a mask has it. */
function paint(canvas, picture, isShown) {
  Object.assign(canvas, { width: picture.width, height: picture.height });
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(picture, 0, 0);
  const pixels = pen.getImageData(0, 0, picture.width, picture.height);
  const colors = Array.from({ length: 256 }, (_, id) =>
    isShown(id) ? channels(colorOfClass(id)) : [0, 0, 0, 0],
  );
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set(colors[pixels.data[at]], at);
  pen.putImageData(pixels, 0, 0);
}

/** The numbers of `#rrggbb`. */
const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)).concat(255);
