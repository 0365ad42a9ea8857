/**
 * The panel that fills the screen, with the names of its lines beside it.
 */

import { cursor, onCursor, standOut } from './cursor.js';
import { fill, h, iconButton } from './dom.js';
import { metrics } from './metrics.js';
import { makePanel } from './mediapanel.js';
import { nameParts } from './names.js';
import { panelTools } from './tools.js';
import { change, view } from './state.js';
import { formatNumber } from './values.js';

export class FullPanel {
  constructor() {
    this.panel = null;
    this.legend = h('ul', { class: 'legend' });
    this.stage = h('div', { class: 'stage' });
    this.tools = panelTools({ isFull: true });
    this.dialog = h(
      'dialog',
      { class: 'full-screen', 'aria-label': 'Panel', tabindex: '-1' },
      this.stage,
      this.legend,
    );
    this.dialog.addEventListener('close', () => {
      if (!this.dialog.open) change({ full: '' });
    });
    this.stop = onCursor(() => this.mark());
  }

  close() {
    this.stop();
    this.leave();
    this.dialog.remove();
  }

  /** Show the panel that the view names, if it does; `isOther`: other curves are needed. */
  update(isOther) {
    this.tools.update();
    if (view.full !== (this.panel?.panel.id ?? ''))
      this.turnTo(metrics.panels.find((panel) => panel.id === view.full));
    else if (isOther) this.panel?.refresh();
    else this.panel?.redraw();
  }

  turnTo(panel) {
    this.leave();
    if (!panel) return;
    this.panel = makePanel(panel, { isFull: true });
    const draw = this.panel.redraw;
    this.panel.redraw = () => {
      draw();
      requestAnimationFrame(() => this.drawLegend());
    };
    fill(
      this.stage,
      this.panel.element,
      panel.kind === 'number' && this.tools.element,
      iconButton('close', 'Close (Esc)', () => this.dialog.close(), { class: 'quiet corner' }),
    );
    if (!this.dialog.isConnected) document.body.append(this.dialog);
    this.dialog.showModal();
    this.dialog.focus();
    this.panel.refresh();
  }

  leave() {
    this.panel?.close();
    this.panel = null;
    if (this.dialog.open) this.dialog.close();
  }

  drawLegend() {
    const lines = this.panel?.chart?.lines ?? [];
    fill(
      this.legend,
      lines.map((line) =>
        h(
          'li',
          {
            'data-line': line.id,
            on: { pointerenter: () => standOut(line.id), pointerleave: () => standOut(null) },
          },
          h('span', { class: 'swatch', style: { background: line.color } }),
          h('span', { class: 'name-parts grow' }, nameParts(line)),
          h('span', {
            class: 'number',
            text: formatNumber(line.y.findLast((value) => value !== null) ?? NaN),
          }),
        ),
      ),
    );
  }

  mark() {
    for (const item of this.legend.children)
      item.classList.toggle('strong', item.dataset.line === cursor.strong);
  }
}
