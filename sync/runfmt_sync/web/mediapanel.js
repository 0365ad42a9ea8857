/**
 * A panel of values with a `_type`: those of the chosen runs side by side, at a step that a slider chooses.
 */

import { ask, Problem } from './api.js';
import { asWriter, chosen, colorIn, writersIn } from './choice.js';
import { fill, h, iconButton, loading, oncePerFrame } from './dom.js';
import { HeatMap } from './heat.js';
import { toggledPanel } from './layout.js';
import { openMenu } from './menu.js';
import { nameParts, titleOf } from './names.js';
import { PanelView } from './panel.js';
import { classesOf } from './pictures.js';
import { runOf } from './runs.js';
import { change, view } from './state.js';
import { onTheme } from './theme.js';
import { formatNumber, restore } from './values.js';
import { show } from './viewer.js';

/** So many histograms of a run make a heat map; of more, evenly chosen ones do. */
const COLUMNS = 100;
/** More classes than these have no switch. */
const MOST_CLASSES = 60;

/**
 * What was chosen in a panel, also where it fills the screen; `step` null: the last.
 * @type {Map<string, {step: number|null, hidden: Set<string>}>}
 */
const choices = new Map();

/** The view of any panel: of numbers, or of media. */
export function makePanel(panel, options) {
  return panel.kind === 'number' ? new PanelView(panel, options) : new MediaPanel(panel, options);
}

class MediaPanel {
  constructor(panel, { isFull = false } = {}) {
    Object.assign(this, { panel, isFull, isInSight: isFull, asking: 0, steps: [] });
    if (!choices.has(panel.id)) choices.set(panel.id, { step: null, hidden: new Set() });
    this.choice = choices.get(panel.id);
    this.isHeat = panel.kind === 'histogram';
    /** @type {Map<string, Column>} by uid and writer */
    this.columns = new Map();
    this.ask = oncePerFrame(() => this.refresh());
    this.redraw = oncePerFrame(() => this.relabel());
    this.stop = onTheme(() => this.renew());
    this.note = h('p', { class: 'panel-note', role: 'status' });
    this.place = h('div', { class: 'media-columns' });
    this.foot = h('span', { class: 'axis-name' });
    this.classes = h('div', { class: 'classes', role: 'group', 'aria-label': 'Classes' });
    this.slider = h('input', {
      type: 'range',
      min: '0',
      'aria-label': `Step of ${panel.key}`,
      on: { input: () => this.slide() },
    });
    this.element = h(
      'article',
      { class: `panel media-panel${isFull ? ' full' : ''}`, 'aria-label': panel.key },
      this.header(),
      this.classes,
      h('div', { class: 'panel-body' }, this.note, this.place),
      this.slider,
    );
    this.slider.hidden = true;
  }

  header() {
    const { key } = this.panel;
    const hide = { label: 'Hide panel', act: () => change({ ...toggledPanel(this.panel), full: '' }) };
    const more = iconButton('more', `More about ${key}`, () => openMenu(more, key, [hide]), {
      'aria-haspopup': 'dialog',
    });
    return h(
      'header',
      { class: 'panel-head' },
      h('h3', { class: 'clip', title: key, text: key }),
      this.foot,
      h(
        'div',
        { class: 'panel-acts' },
        !this.isFull &&
          iconButton('expand', `Fill the screen with ${key}`, () => change({ full: this.panel.id })),
        more,
      ),
    );
  }

  /** Come into sight, or go out of it: out of sight nothing is asked for, nor held. */
  setInSight(isInSight) {
    if (isInSight === this.isInSight) return;
    this.isInSight = isInSight;
    if (isInSight) this.refresh();
    else this.clear();
  }

  /** Colours and names of runs may be others. */
  relabel() {
    for (const [id, column] of this.columns) column.label(runOf(id.split(' ')[0]), id.split(' ')[1]);
  }

  /** What was drawn has the page's colours, which are others now. */
  renew() {
    this.clear();
    this.refresh();
  }

  /** Ask for the values at the step that is chosen. */
  async refresh() {
    if (!this.isInSight) return;
    this.asking += 1;
    const mine = this.asking;
    const runs = chosen(view);
    if (!this.columns.size) fill(this.note, loading());
    try {
      const { step } = this.choice;
      const many = this.isHeat ? { many: COLUMNS } : {};
      const uids = runs.map((run) => run.uid);
      const question = { uids, key: this.panel.key, step, ...many };
      const writers = writersIn(view);
      const answers = await Promise.all(
        writers.map((writer) => ask('objects', { body: { ...question, writer } })),
      );
      if (mine === this.asking) this.accept(runs, writers, answers);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (mine === this.asking) this.note.textContent = `Cannot be shown: ${error.message}`;
    }
  }

  accept(runs, writers, answers) {
    const there = writers
      .flatMap((writer, i) => runs.map((run) => ({ run, writer, said: answers[i].runs[run.uid] })))
      .filter(({ said }) => said?.steps.length || said?.problem)
      .map((one) => ({ ...one, id: `${one.run.uid} ${one.writer}` }));
    for (const [id, column] of this.columns) if (!there.some((one) => one.id === id)) this.drop(id, column);
    for (const one of there) this.columnOf(one).take(restore(one.said));
    const elements = there.map(({ id }) => this.columns.get(id).element);
    if (elements.some((element, i) => element !== this.place.children[i])) fill(this.place, elements);
    this.note.textContent = there.length ? '' : 'The chosen runs have no values here.';
    this.steps = [...new Set(there.flatMap(({ said }) => said.steps))].sort((a, b) => a - b);
    this.showStep();
    this.showClasses();
  }

  columnOf({ run, writer, id }) {
    if (!this.columns.has(id)) {
      const context = { uid: run.uid, hidden: this.choice.hidden };
      this.columns.set(id, this.isHeat ? new HeatColumn() : new ValueColumn(context));
    }
    const column = this.columns.get(id);
    column.label(run, writer);
    return column;
  }

  drop(id, column) {
    column.close();
    this.columns.delete(id);
  }

  slide() {
    const at = Number(this.slider.value);
    this.choice.step = at === this.steps.length - 1 ? null : this.steps[at];
    this.showStep();
    this.ask();
  }

  showStep() {
    const { steps, slider } = this;
    const step = this.choice.step ?? steps.at(-1);
    const at = steps.findLastIndex((one) => one <= step);
    slider.hidden = this.isHeat || steps.length < 2;
    slider.max = String(Math.max(steps.length - 1, 0));
    slider.value = String(Math.max(at, 0));
    slider.setAttribute('aria-valuetext', `step ${steps[at]}`);
    this.foot.textContent = this.isHeat ? 'Step' : step === undefined ? '' : `Step ${formatNumber(step)}`;
  }

  showClasses() {
    const found = new Map();
    for (const { value } of this.columns.values())
      for (const image of picturesIn(value)) for (const [key, one] of classesOf(image)) found.set(key, one);
    const names = [...found.keys()].join('\n');
    if (names === this.classNames) return;
    this.classNames = names;
    fill(
      this.classes,
      [...found].slice(0, MOST_CLASSES).map(([key, { name, color }]) => this.classSwitch(key, name, color)),
      found.size > 1 &&
        h('button', {
          type: 'button',
          class: 'chip all',
          text: 'All or none',
          on: { click: () => this.switchAll(found) },
        }),
    );
  }

  classSwitch(key, name, color) {
    const { hidden } = this.choice;
    return h(
      'button',
      {
        type: 'button',
        class: 'chip',
        'data-class': key,
        'aria-pressed': String(!hidden.has(key)),
        on: { click: () => this.switchClasses([key], !hidden.has(key)) },
      },
      h('span', { class: 'swatch', style: { background: color } }),
      name,
    );
  }

  switchAll(found) {
    this.switchClasses([...found.keys()], !this.choice.hidden.size);
  }

  switchClasses(keys, isHidden) {
    for (const key of keys) this.choice.hidden[isHidden ? 'add' : 'delete'](key);
    for (const chip of this.classes.querySelectorAll('[data-class]'))
      chip.setAttribute('aria-pressed', String(!this.choice.hidden.has(chip.dataset.class)));
    for (const column of this.columns.values()) column.shown.redraw?.();
  }

  clear() {
    for (const [id, column] of this.columns) this.drop(id, column);
    fill(this.place);
  }

  close() {
    this.asking += 1;
    this.stop();
    this.clear();
  }
}

/** The pictures of a value: itself, or those of a batch. */
function picturesIn(value) {
  if (value?._type === 'image-file') return [value];
  return value?._type === 'images/separated' && Array.isArray(value.images) ? value.images : [];
}

const NOTHING = { element: h('span'), close() {} };

/** What a run has. */
class Column {
  constructor() {
    this.shown = NOTHING;
    this.value = null;
    this.name = h('span', { class: 'row' });
    this.step = h('span', { class: 'muted number' });
    this.body = h('div', { class: 'column-body', tabindex: '0', role: 'group' });
    this.element = h('section', { class: 'column' }, h('h4', {}, this.name, this.step), this.body);
  }

  label(run, writer) {
    if (!run) return;
    const named = asWriter(run, writer);
    fill(
      this.name,
      h('span', { class: 'swatch', style: { background: colorIn(view, run) } }),
      h('span', { class: 'name-parts' }, nameParts(named)),
    );
    this.body.setAttribute('aria-label', titleOf(named));
  }

  close() {
    this.shown.close();
    this.shown = NOTHING;
  }

  put(shown) {
    this.close();
    this.shown = shown;
    fill(this.body, shown.element);
  }

  say(text) {
    this.put({ element: h('p', { class: 'muted said-of-media', text }), close() {} });
  }
}

class ValueColumn extends Column {
  constructor(context) {
    super();
    this.context = context;
    this.said = '';
  }

  take({ step, value, problem }) {
    this.step.textContent = step === null ? '' : formatNumber(step);
    const said = JSON.stringify([value, problem, step === null]);
    if (said === this.said) return;
    Object.assign(this, { said, value });
    if (problem) this.say(problem);
    else if (step === null) this.say('Nothing was logged up to this step.');
    else this.put(show(value, this.context));
  }
}

class HeatColumn extends Column {
  take({ values = [], problem }) {
    if (problem) return this.say(problem);
    if (!(this.shown instanceof HeatMap)) this.put(new HeatMap());
    this.shown.show(values);
  }
}
