/**
 * Shows a value with a `_type` (specification, section 7): which module does, when its file is loaded,
 * and what is said where it cannot be shown.
 */

import { Problem } from './api.js';
import { showCloud } from './cloud.js';
import { DataTable } from './datatable.js';
import { fill, h, loading, textButton } from './dom.js';
import { showFigure, showPage } from './frames.js';
import { drawBars } from './heat.js';
import { endingOf, hold } from './media.js';
import { showPicture } from './pictures.js';
import { plotOf } from './plotted.js';
import { inSight } from './sight.js';
import { TablePlot } from './tableplot.js';
import { formatBytes } from './values.js';

/**
 * @typedef {object} Context
 * @property {string} uid of the run that has the value
 * @property {Set<string>} hidden classes that are not shown over pictures
 * @property {boolean} [isSmall] it stands in a cell
 *
 * @typedef {object} Shown
 * @property {HTMLElement} element
 * @property {() => void} close frees what it holds
 * @property {() => void} [redraw] other classes are hidden
 *
 * @typedef {{url: string, blob: Blob}} File
 */

/** What is larger is loaded when somebody says so. */
const LARGE = 25e6;
const BATCHES = {
  'images/separated': 'images',
  audio: 'audio',
  videos: 'videos',
  html: 'html',
  object3D: 'objects',
};

/** How a file becomes an element: `(file, value, context)` to an element, or to a Shown. */
const DRAW = {
  'image-file': showPicture,
  mask: showPicture,
  'audio-file': ({ url }) => h('audio', { controls: true, src: url }),
  'video-file': ({ url }, { path, caption }) =>
    endingOf(path) === 'gif'
      ? h('img', { class: 'fit', src: url, alt: caption ?? 'Video' })
      : h('video', { class: 'fit', controls: true, loop: true, playsinline: true, src: url }),
  'html-file': showPage,
  'plotly-file': showFigure,
  'object3D-file': showCloud,
  'table-file': showTable,
};

/**
 * @param {any} value with a `_type`
 * @param {Context} context
 * @returns {Shown}
 */
export function show(value, context) {
  const type = value?._type;
  if (Object.hasOwn(BATCHES, type)) return showBatch(value[BATCHES[type]], value, context);
  if (type === 'histogram') return { element: drawBars(value), close() {} };
  if (Object.hasOwn(DRAW, type) && typeof value.path === 'string')
    return new FromFile(value, context, DRAW[type]);
  return { element: unknown(value), close() {} };
}

/** A table, below what it says that it is drawn as (R077). */
async function showTable({ blob }, { plot }, context) {
  const table = new DataTable(JSON.parse(await blob.text()), context, show);
  const plotted = context.isSmall ? null : plotOf(plot, table.columns, table.data);
  if (!plotted) return table;
  const drawn = new TablePlot(plotted);
  const close = () => [drawn, table].forEach((one) => one.close());
  return {
    element: h('div', { class: 'plotted', tabindex: '0' }, drawn.element, table.element),
    redraw: () => table.redraw(),
    close,
  };
}

/** A value of a kind that this page does not know, in its own words. */
function unknown(value) {
  return h(
    'div',
    { class: 'said-of-media' },
    h('p', { text: `This page cannot show values of type ${JSON.stringify(value?._type)}.` }),
    h('pre', { class: 'json', text: JSON.stringify(value, null, 1).slice(0, 2000) }),
  );
}

function showBatch(items, { captions }, context) {
  if (!Array.isArray(items))
    return { element: h('p', { class: 'error', text: 'Its values are missing.' }), close() {} };
  const shown = items.map((item, i) => show({ caption: captions?.[i], ...item }, context));
  return {
    element: h(
      'div',
      { class: 'batch' },
      shown.map(({ element }) => element),
    ),
    redraw: () => shown.forEach((one) => one.redraw?.()),
    close: () => shown.forEach((one) => one.close()),
  };
}

/** What is in a file: loaded while it is in sight. */
class FromFile {
  constructor(value, context, draw) {
    Object.assign(this, { value, context, draw, held: null, shown: null, isWanted: false });
    this.place = h('div', { class: 'media-place' });
    this.element = h(
      'figure',
      { class: `media ${String(value._type).replace(/-file$/, '')}${context.isSmall ? ' small' : ''}` },
      this.place,
      value.caption && h('figcaption', { text: value.caption, title: value.caption }),
    );
    this.stop = inSight(this.element, (isInSight) => (isInSight ? this.load() : this.free()));
  }

  close() {
    this.stop();
  }

  redraw() {
    this.shown?.redraw?.();
  }

  async load() {
    if (this.held) return;
    if (this.value.size > LARGE && !this.isWanted) return this.offer();
    const mine = (this.held = hold(this.context.uid, this.value));
    fill(this.place, loading());
    try {
      const shown = await this.draw(await mine.file, this.value, this.context);
      if (mine !== this.held) return shown.close?.();
      this.shown = shown;
      fill(this.place, shown.element ?? shown);
    } catch (error) {
      if (mine === this.held) this.say(error);
    }
  }

  offer() {
    const want = () => {
      this.isWanted = true;
      this.load();
    };
    fill(this.place, textButton(`Show ${formatBytes(this.value.size)}`, want));
  }

  say(error) {
    const why =
      error instanceof Problem ? error.message : `${this.value.path} cannot be shown: ${error.message}`;
    fill(this.place, h('p', { class: 'error said-of-media', role: 'alert', text: why }));
  }

  /** Out of sight it holds nothing; its place keeps its size, so that what is below stays where it is. */
  free() {
    this.held?.release();
    this.held = null;
    this.shown?.close?.();
    this.shown = null;
    fill(this.place);
  }
}
