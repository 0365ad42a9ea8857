/**
 * Part of the page of a run: alerts, and what else happened to it.
 */

import { emptyState, fill, h } from './dom.js';
import { formatAgo, formatValue } from './values.js';

const OWN = ['_timestamp', 'event', 'title', 'text', 'level'];

export class EventsPart {
  constructor() {
    this.element = h('div', { class: 'events' });
    this.said = '';
  }

  close() {}

  update(_run, about) {
    const said = JSON.stringify(about?.events);
    if (!about || said === this.said) return;
    this.said = said;
    const newest = about.events.toReversed();
    const alerts = newest.filter(({ event }) => event === 'alert');
    fill(
      this.element,
      alerts.length
        ? h('ul', { class: 'alerts' }, alerts.map(alert))
        : emptyState('No alerts', 'run.alert(title, text) in the trainer makes one.'),
      h('h2', { text: 'What happened' }),
      h('ul', { class: 'happened' }, newest.map(line)),
    );
  }
}

function alert({ title, text, level = 'INFO', _timestamp: time }) {
  return h(
    'li',
    { class: `alert ${String(level).toLowerCase()}` },
    h('span', { class: 'level', text: level }),
    h('div', {}, h('h3', { text: title ?? 'Alert' }), text && h('p', { text })),
    h('time', { class: 'muted nowrap', text: formatAgo(time), title: dateOf(time) }),
  );
}

function line(event) {
  const others = Object.entries(event).filter(([name]) => !OWN.includes(name));
  const said =
    event.event === 'alert'
      ? event.title
      : others.map(([name, value]) => `${name} ${formatValue(value)}`).join(', ');
  return h(
    'li',
    {},
    h('time', { class: 'muted number', text: dateOf(event._timestamp) }),
    h('strong', { text: formatValue(event.event) }),
    h('span', { class: 'muted', text: said ?? '' }),
  );
}

const dateOf = (time) => (Number.isFinite(time) ? new Date(time * 1000).toLocaleString('en-GB') : '');
