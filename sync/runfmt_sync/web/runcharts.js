/**
 * Parts of the page of a run: its charts and media, and those of the machine.
 */

import { Panels } from './panels.js';

class PanelsPart {
  constructor(stream) {
    this.panels = new Panels((panel) => panel.stream === stream);
    this.element = this.panels.element;
  }

  update(_run, _about, before) {
    this.panels.update(before);
  }

  close() {
    this.panels.close();
  }
}

export class ChartsPart extends PanelsPart {
  constructor() {
    super('metrics');
  }
}

export class SystemPart extends PanelsPart {
  constructor() {
    super('system');
  }
}
