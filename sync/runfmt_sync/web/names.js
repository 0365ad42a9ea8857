/**
 * Names of runs, and what tells those of one name apart.
 */

import { h } from './dom.js';

/**
 * The last part of the id of each run whose name others have too; the whole id, where that is the same. Pure.
 * @param {{uid: string, name: string, project: string|null, id: string}[]} runs
 * @returns {Map<string, string>} by uid
 */
export function suffixesOf(runs) {
  const found = new Map();
  for (const named of groupsBy(runs, ({ project, name }) => JSON.stringify([project, name]))) {
    if (named.length < 2) continue;
    for (const alike of groupsBy(named, ({ id }) => lastPart(id)))
      for (const { uid, id } of alike) found.set(uid, alike.length > 1 ? id : lastPart(id));
  }
  return found;
}

const lastPart = (id) => id.split('-').at(-1) || id;

function groupsBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups.values();
}

/** A name in one text. */
export const titleOf = ({ name, suffix }) => (suffix ? `${name} · ${suffix}` : name);

/** A name that is cut where there is no room, and what tells it apart, which is not. */
export function nameParts(named) {
  return [
    h('span', { class: 'clip', text: named.name, title: titleOf(named) }),
    named.suffix && h('span', { class: 'suffix', text: named.suffix }),
  ];
}
