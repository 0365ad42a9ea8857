/**
 * Notes as people write them: a small part of Markdown, as elements. What is HTML in it stays text.
 *
 * Paragraphs whose lines stay lines, headings, lists, fenced code; bold, italic, code, and links to the web.
 */

import { h } from './dom.js';

/** Longer notes, and lists that are nested deeper, are shown as they were written. */
const [LONGEST, DEEPEST] = [50_000, 6];
const FENCE = /^ {0,3}(`{3,}|~{3,})[^`]*$/;
const HEADING = /^ {0,3}#{1,6}[ \t]+(.*?)[ \t#]*$/;
const ITEM = /^ {0,3}(?:([-*+])|(\d{1,9})[.)])[ \t]+(\S.*)$/;
const ADDRESS = /https?:\/\/[^\s<>"'`()[\]]*[^\s<>"'`()[\].,;:!?*_]/iy;
const TO_THE_WEB = /^https?:\/\/[^\s<>"]+$/i;
const ESCAPED = /[\\`*_[\]()#+.!~<>-]/;

/**
 * @typedef {string|[string, ...any]} Node text, or the name of an element with what is in it:
 *   `['strong', Node[]]`, `['em', Node[]]`, `['code', string]`, `['a', Node[], string]`
 * @typedef {[string, any]} Block `['p', Node[]]`, `['heading', Node[]]`, `['pre', string]`,
 *   `['ul', Block[][]]`, `['ol', Block[][]]`
 */

/** Notes as an element. */
export function markdown(text) {
  const isLong = text.length > LONGEST;
  return h('div', { class: 'prose' }, ...(isLong ? [h('p', { text })] : blocksOf(text).map(blockElement)));
}

/** Notes in one line, without what only says how they look. */
export const plainText = (text) =>
  text.length > LONGEST ? text.slice(0, LONGEST) : blocksOf(text).map(textOfBlock).join(' · ');

function blockElement([name, inside]) {
  if (name === 'pre') return h('pre', {}, h('code', { text: inside }));
  if (name === 'ul' || name === 'ol') return h(name, {}, ...inside.map(itemElement));
  return h('p', { class: name === 'heading' ? 'heading' : null }, ...inside.map(nodeElement));
}

/** An item of one paragraph has no room around it. */
function itemElement([first, ...rest]) {
  const lead = first?.[0] === 'p' ? first[1].map(nodeElement) : first ? [blockElement(first)] : [];
  return h('li', {}, ...lead, ...rest.map(blockElement));
}

function nodeElement(node) {
  if (typeof node === 'string') return node;
  const [name, inside, href] = node;
  if (name === 'code') return h('code', { text: inside });
  const props = name === 'a' ? { class: 'link', href, target: '_blank', rel: 'noopener noreferrer' } : {};
  return h(name, props, ...inside.map(nodeElement));
}

function textOfBlock([name, inside]) {
  if (name === 'pre') return inside.trim();
  if (name === 'ul' || name === 'ol')
    return inside.map((item) => item.map(textOfBlock).join(' ')).join(' · ');
  return inside.map(textOfNode).join('').replace(/\s+/g, ' ');
}

const textOfNode = (node) =>
  typeof node === 'string' ? node : typeof node[1] === 'string' ? node[1] : node[1].map(textOfNode).join('');

/**
 * The blocks of a text. Pure.
 * @param {string} text
 * @returns {Block[]}
 */
export function blocksOf(text, depth = 0) {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const found = [];
  for (let i = 0; i < lines.length;) {
    const [block, next] = blockAt(lines, i, depth);
    if (block) found.push(block);
    i = next;
  }
  return found;
}

function blockAt(lines, at, depth) {
  if (!lines[at].trim()) return [null, at + 1];
  if (FENCE.test(lines[at])) return fencedAt(lines, at);
  const heading = HEADING.exec(lines[at]);
  if (heading) return [['heading', nodesOf(heading[1])], at + 1];
  if (ITEM.test(lines[at]) && depth < DEEPEST) return listAt(lines, at, depth);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !begins(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.trim());
  return [['p', nodesOf(inside.join('\n'))], end];
}

const begins = (line) => FENCE.test(line) || HEADING.test(line) || ITEM.test(line);

function fencedAt(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  const isEnd = (line) => line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], '');
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  return [['pre', lines.slice(at + 1, end).join('\n')], end + 1];
}

/** A list: items of one kind; what is indented belongs to the item above it. */
function listAt(lines, at, depth) {
  const isNumbered = (item) => item[2] !== undefined;
  const kind = isNumbered(ITEM.exec(lines[at]));
  const items = [];
  let i = at;
  for (; i < lines.length; i += 1) {
    const item = ITEM.exec(lines[i]);
    const isInside = /^( {2,}|\t)/.test(lines[i]);
    if (items.length && isInside) items.at(-1).push(lines[i].replace(/^( {2,4}|\t)/, ''));
    else if (item && isNumbered(item) === kind) items.push([item[3]]);
    else if (item || lines[i].trim() || !/^( {2,}|\t)\S/.test(lines[i + 1] ?? '')) break;
    else items.at(-1).push('');
  }
  return [[kind ? 'ol' : 'ul', items.map((one) => blocksOf(one.join('\n'), depth + 1))], i];
}

/**
 * What is within a paragraph.
 * @param {string} text
 * @param {string} open the marks that are open around it, which cannot be opened again
 * @returns {Node[]}
 */
function nodesOf(text, open = '') {
  const [found, missing] = [[], new Set()];
  let plain = '';
  for (let i = 0; i < text.length;) {
    const [node, end] = nodeAt(text, i, open, missing) ?? [text[i], i + 1];
    if (typeof node === 'string') {
      plain += node;
    } else {
      if (plain) found.push(plain);
      plain = '';
      found.push(node);
    }
    i = end;
  }
  return plain ? [...found, plain] : found;
}

function nodeAt(text, at, open, missing) {
  const mark = text[at];
  if (mark === '\\' && ESCAPED.test(text[at + 1] ?? '')) return [text[at + 1], at + 2];
  if (mark === '`') return codeAt(text, at, missing);
  if (mark === '*' || mark === '_') return emphasisAt(text, at, open, missing);
  if (mark === '[' && !open.includes('[')) return linkAt(text, at, open, missing);
  if ((mark === 'h' || mark === 'H') && !open.includes('[') && !/\w/.test(text[at - 1] ?? ''))
    return addressAt(text, at);
  return null;
}

/** Where a mark comes next; one that was missed once is not looked for again. */
function find(text, mark, from, missing, isGood = () => true) {
  if (missing.has(mark)) return -1;
  let at = text.indexOf(mark, from);
  while (at >= 0 && !isGood(at)) at = text.indexOf(mark, at + 1);
  if (at < 0) missing.add(mark);
  return at;
}

function codeAt(text, at, missing) {
  const ticks = /`+/y;
  ticks.lastIndex = at;
  const mark = ticks.exec(text)[0];
  const isAlone = (place) => text[place - 1] !== '`' && text[place + mark.length] !== '`';
  const end = find(text, mark, at + mark.length, missing, isAlone);
  if (end < 0) return [mark, at + mark.length];
  return [['code', text.slice(at + mark.length, end).trim()], end + mark.length];
}

function emphasisAt(text, at, open, missing) {
  const one = text[at];
  const mark = text[at + 1] === one ? one + one : one;
  const name = mark.length === 2 ? 'strong' : 'em';
  const inside = at + mark.length;
  const isWithinWord = one === '_' && /\w/.test(text[at - 1] ?? '');
  if (open.includes(name) || isWithinWord || /[\s*_]|^$/.test(text[inside] ?? '')) return [mark, inside];
  const isEnd = (place) =>
    /\S/.test(text[place - 1]) &&
    (mark.length === 2 || (text[place - 1] !== one && text[place + 1] !== one)) &&
    !(one === '_' && /\w/.test(text[place + mark.length] ?? ''));
  const end = find(text, mark, inside + 1, missing, isEnd);
  if (end < 0) return [mark, inside];
  return [[name, nodesOf(text.slice(inside, end), `${open} ${name}`)], end + mark.length];
}

function linkAt(text, at, open, missing) {
  const middle = find(text, '](', at, missing);
  const end = middle < 0 ? -1 : find(text, ')', middle, missing);
  const address = text.slice(middle + 2, end);
  if (end < 0 || !TO_THE_WEB.test(address)) return null;
  return [['a', nodesOf(text.slice(at + 1, middle), `${open} [`), address], end + 1];
}

function addressAt(text, at) {
  ADDRESS.lastIndex = at;
  const found = ADDRESS.exec(text)?.[0];
  return found ? [['a', [found], found], at + found.length] : null;
}
