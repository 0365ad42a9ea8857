/**
 * Part of the page of a run: what it printed, the end first; earlier parts come when they are scrolled to.
 */

import { bare, styled, PLAIN } from './ansi.js';
import { Problem } from './api.js';
import { fill, h, iconButton, textButton } from './dom.js';
import { Printed, PART } from './printed.js';
import { formatBytes } from './values.js';

/** So many bytes are on the page at once. */
const MOST = 2 ** 22;
const LINE = 18;
/** Nearer to an end than this (pixels), the next part is loaded. */
const NEAR = 300;

export class ConsolePart {
  constructor() {
    Object.assign(this, {
      uid: '',
      writer: 'main',
      parts: [],
      total: 0,
      printed: null,
      isBusy: false,
      hits: [],
      hit: -1,
    });
    this.writers = h('select', {
      class: 'field',
      'aria-label': 'Whose',
      on: { change: () => this.choose() },
    });
    this.search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search',
      'aria-label': 'Search what was printed',
      on: {
        input: () => this.find(),
        keydown: (event) => event.key === 'Enter' && this.go(event.shiftKey ? -1 : 1),
      },
    });
    this.found = h('span', { class: 'muted nowrap number', role: 'status' });
    this.earlier = textButton('Search earlier', () => this.findEarlier(), { hidden: true });
    this.place = h('span', { class: 'muted nowrap' });
    this.lines = h('div', { class: 'lines' });
    this.screen = h(
      'div',
      { class: 'screen', tabindex: '0', role: 'log', 'aria-label': 'Console' },
      this.lines,
    );
    this.screen.addEventListener('scroll', () => this.scrolled());
    this.note = h('p', { class: 'muted pad', role: 'status', text: 'Loading…' });
    this.element = h(
      'div',
      { class: 'console' },
      h(
        'div',
        { class: 'tools' },
        this.writers,
        this.search,
        iconButton('up', 'The match before', () => this.go(-1)),
        iconButton('down', 'The next match', () => this.go(1)),
        this.found,
        this.earlier,
        h('span', { class: 'grow' }),
        this.place,
        textButton('Beginning', () => this.show(0)),
        textButton('End', () => this.showEnd()),
      ),
      this.note,
      this.screen,
    );
  }

  close() {
    this.stop?.abort();
    this.uid = '';
  }

  update(run, about) {
    if (!about) return;
    const writers = about.writers.console;
    if (writers.join() !== this.known) {
      this.known = writers.join();
      fill(
        this.writers,
        writers.map((name) => h('option', { value: name, text: name })),
      );
      this.writers.hidden = writers.length < 2;
    }
    if (!writers.length) this.say('Nothing was printed.');
    else if (run.uid !== this.uid) {
      this.uid = run.uid;
      this.writer = writers.includes('main') ? 'main' : writers[0];
      this.choose(this.writer);
    } else this.follow();
  }

  choose(writer = this.writers.value) {
    this.writers.value = writer;
    this.printed = new Printed(this.uid, writer === 'main' ? 'console.log' : `console.${writer}.log`);
    return this.showEnd();
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** One thing at a time; what is wrong is said. */
  async busy(action) {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      await action();
      this.say(this.parts.length ? '' : 'Nothing was printed.');
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.say(`Cannot be shown: ${error.message}`);
    } finally {
      this.isBusy = false;
    }
    this.showPlace();
  }

  showEnd() {
    return this.busy(async () => {
      this.put([await this.printed.last()]);
      this.screen.scrollTop = this.screen.scrollHeight;
    });
  }

  /** Show the part around a place in the file. */
  show(at) {
    return this.busy(async () => {
      const start = Math.max(0, at - PART / 2);
      this.put([await this.printed.between(start, start + PART)]);
      this.screen.scrollTop = 0;
    });
  }

  put(parts) {
    this.parts = parts.filter(Boolean).map((part) => draw(part));
    this.total = this.parts.at(-1)?.total ?? 0;
    fill(
      this.lines,
      this.parts.map(({ element }) => element),
    );
    this.find(false);
  }

  get start() {
    return this.parts[0]?.start ?? 0;
  }

  get end() {
    return this.parts.at(-1)?.end ?? 0;
  }

  /** New lines stand behind the others; who looks at the end goes on to do so. */
  follow() {
    if (this.end < this.total) return null;
    return this.busy(async () => {
      const { screen } = this;
      const isAtEnd = screen.scrollTop + screen.clientHeight > screen.scrollHeight - NEAR;
      const part = await this.printed.behind(this.end);
      if (!part) return;
      this.append(part);
      if (isAtEnd) screen.scrollTop = screen.scrollHeight;
    });
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.screen;
    if (scrollTop < NEAR && this.start > 0) this.busy(() => this.loadBefore());
    else if (scrollTop + clientHeight > scrollHeight - NEAR && this.end < this.total)
      this.busy(() => this.loadBehind());
  }

  async loadBefore() {
    const part = await this.printed.between(Math.max(this.start - PART, 0), this.start);
    if (!part) return;
    const drawn = draw(part);
    this.parts.unshift(drawn);
    this.lines.prepend(drawn.element);
    this.screen.scrollTop += drawn.height;
    while (this.end - this.start > MOST) this.parts.pop().element.remove();
    this.find(false);
  }

  async loadBehind() {
    const part = await this.printed.read(`bytes=${this.end}-${this.end + PART - 1}`, true);
    if (part) this.append(part);
  }

  append(part) {
    const drawn = draw(part, this.parts.at(-1)?.style);
    this.parts.push(drawn);
    this.lines.append(drawn.element);
    this.total = part.total;
    while (this.end - this.start > MOST && this.parts.length > 1) {
      const { element, height } = this.parts.shift();
      element.remove();
      this.screen.scrollTop -= height;
    }
    this.find(false);
  }

  showPlace() {
    const isAll = this.start === 0 && this.end >= this.total;
    this.place.textContent = isAll
      ? formatBytes(this.total)
      : `${formatBytes(this.start)} to ${formatBytes(this.end)} of ${formatBytes(this.total)}`;
    this.earlier.hidden = !this.search.value || this.start === 0;
  }

  /** Mark the lines with what is searched for; `isNew`: go to the last of them. */
  find(isNew = true) {
    const wanted = this.search.value.toLowerCase();
    for (const line of this.hits) line.classList.remove('hit', 'here');
    this.hits = wanted ? this.parts.flatMap((part) => hitsIn(part, wanted)) : [];
    for (const line of this.hits) line.classList.add('hit');
    if (isNew) this.hit = this.hits.length;
    if (isNew && this.hits.length) this.go(-1);
    else this.showFound();
    this.showPlace();
  }

  go(by) {
    if (!this.hits.length) return;
    this.hits[this.hit]?.classList.remove('here');
    this.hit = (this.hit + by + this.hits.length) % this.hits.length;
    this.hits[this.hit].classList.add('here');
    this.hits[this.hit].scrollIntoView({ block: 'center' });
    this.showFound();
  }

  showFound() {
    const { length } = this.hits;
    this.found.textContent = !this.search.value
      ? ''
      : length
        ? `${this.hit + 1} of ${length}`
        : 'Not in this part';
  }

  /** Search backwards through what is not on the page, and show where it is. */
  async findEarlier() {
    this.stop?.abort();
    this.stop = new AbortController();
    const tell = (at) => {
      this.found.textContent = `Searching before ${formatBytes(at)}…`;
    };
    try {
      const at = await this.printed.findBefore(
        this.search.value.toLowerCase(),
        this.start,
        tell,
        this.stop.signal,
      );
      if (at === null) this.found.textContent = 'Nowhere earlier';
      else {
        await this.show(at);
        this.find();
      }
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!(error instanceof Problem)) throw error;
      this.found.textContent = error.message;
    }
  }
}

/** A part as lines, of a height that is known before they are laid out. */
function draw(part, style = PLAIN) {
  const lines = part.text.replace(/\n$/, '').split('\n');
  let now = style;
  const element = h('div', { class: 'part', style: { height: `${lines.length * LINE}px` } });
  for (const line of lines) {
    const { pieces, style: next } = styled(line, now);
    element.append(h('div', {}, pieces.map(piece)));
    now = next;
  }
  return { ...part, lines, element, style: now, height: lines.length * LINE };
}

function piece({ text, style }) {
  if (style === PLAIN) return text;
  const [ink, ground] = style.marks.includes('inverse')
    ? [style.ground ?? 'paper', style.ink ?? 'ink']
    : [style.ink, style.ground];
  const colors = { color: colorOf(ink), background: colorOf(ground) };
  const set = Object.fromEntries(Object.entries(colors).filter(([, color]) => color));
  return h('span', { class: style.marks.join(' ') || null, style: set, text });
}

/** The page has its own 16 colours, in each theme. */
function colorOf(color) {
  if (color === null) return null;
  if (typeof color === 'number') return `var(--ansi-${color})`;
  return color.startsWith('#') ? color : `var(--${color})`;
}

function hitsIn({ lines, element }, wanted) {
  return lines.flatMap((line, i) => (bare(line).toLowerCase().includes(wanted) ? [element.children[i]] : []));
}
