/**
 * The filter of the runs: `config.lr > 0.01 and state = finished`, or words to search for. Pure.
 *
 *     or      = and { "or" and }
 *     and     = not { ["and"] not }
 *     not     = "not" not | "(" or ")" | test
 *     test    = path operator value | path "in" "[" value { "," value } "]" | word
 *
 * A word alone is looked for in name, id, tags and notes; a path of config or summary alone asks whether it
 * is there. `~` is "contains". What has spaces or signs
 * in it stands in quotes. A path without `config.` or `summary.` is looked for in both.
 */

const SIGNS = ['<=', '>=', '!=', '==', '!~', '=', '<', '>', '~', '(', ')', '[', ']', ','];
const OPERATORS = new Set(['<=', '>=', '!=', '==', '!~', '=', '<', '>', '~']);
const WORD = /[^\s()[\],=<>!~"'`]+/y;
const SPACE = /\s*/y;

/** A filter that cannot be read: what was expected, and where. */
export class FilterError extends Error {
  /**
   * @param {string} message
   * @param {number} position the character at which it stands, from 0
   */
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

/**
 * Read a filter.
 * @param {string} text
 * @returns {(look: (path: string) => any) => boolean} whether a run is meant; `look` gives a value of it
 * @throws {FilterError}
 */
export function parseFilter(text) {
  const tokens = tokensOf(text);
  if (tokens.length === 1) return () => true;
  const cursor = { tokens, at: 0 };
  const test = anyOf(cursor);
  if (peek(cursor).kind !== 'end') fail(cursor, 'expected “and” or “or”');
  return test;
}

function tokensOf(text) {
  const tokens = [];
  for (let at = skipSpace(text, 0); at < text.length; at = skipSpace(text, at)) {
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
  return [...tokens, { kind: 'end', text: '', position: text.length, end: text.length }];
}

function skipSpace(text, at) {
  SPACE.lastIndex = at;
  return at + SPACE.exec(text)[0].length;
}

function tokenAt(text, position) {
  const quote = text[position];
  if (quote === '"' || quote === "'" || quote === '`') return quotedAt(text, position, quote);
  const sign = SIGNS.find((one) => text.startsWith(one, position));
  if (sign) return { kind: sign, text: sign, position, end: position + sign.length };
  WORD.lastIndex = position;
  const word = WORD.exec(text)?.[0];
  if (!word) throw new FilterError(`“${text[position]}” means nothing here`, position);
  return { kind: 'word', text: word, position, end: position + word.length };
}

function quotedAt(text, position, quote) {
  const close = text.indexOf(quote, position + 1);
  if (close < 0) throw new FilterError(`the quote that begins here has no end`, position);
  return { kind: 'quoted', text: text.slice(position + 1, close), position, end: close + 1 };
}

const peek = (cursor) => cursor.tokens[cursor.at];
const isWord = (token, word) => token.kind === 'word' && token.text.toLowerCase() === word;
const isReserved = (token) => ['and', 'or', 'not'].some((word) => isWord(token, word));
const isText = (token) => token.kind === 'word' || token.kind === 'quoted';

function next(cursor) {
  cursor.at += 1;
  return cursor.tokens[cursor.at - 1];
}

function fail(cursor, message) {
  throw new FilterError(message, peek(cursor).position);
}

function anyOf(cursor) {
  const tests = [allOf(cursor)];
  while (isWord(peek(cursor), 'or')) {
    next(cursor);
    tests.push(allOf(cursor));
  }
  return (look) => tests.some((test) => test(look));
}

function allOf(cursor) {
  const tests = [negated(cursor)];
  while (isWord(peek(cursor), 'and') || startsTest(peek(cursor))) {
    if (isWord(peek(cursor), 'and')) next(cursor);
    tests.push(negated(cursor));
  }
  return (look) => tests.every((test) => test(look));
}

function startsTest(token) {
  return (isText(token) && !isWord(token, 'or')) || token.kind === '(';
}

function negated(cursor) {
  if (isWord(peek(cursor), 'not')) {
    next(cursor);
    const test = negated(cursor);
    return (look) => !test(look);
  }
  if (peek(cursor).kind !== '(') return single(cursor);
  next(cursor);
  const inside = anyOf(cursor);
  if (next(cursor).kind !== ')') {
    cursor.at -= 1;
    fail(cursor, 'expected “)”');
  }
  return inside;
}

function single(cursor) {
  if (!isText(peek(cursor)) || isReserved(peek(cursor))) {
    fail(cursor, 'expected a name, as config.lr, or a word to search for');
  }
  const name = next(cursor);
  if (OPERATORS.has(peek(cursor).kind)) return comparison(name.text, next(cursor).kind, valueOf(cursor));
  if (isWord(peek(cursor), 'in')) return membership(cursor, name.text);
  return search(name.text);
}

function membership(cursor, path) {
  next(cursor);
  if (next(cursor).kind !== '[') {
    cursor.at -= 1;
    fail(cursor, 'expected “[”, as in: state in [running, finished]');
  }
  const tests = [comparison(path, '=', valueOf(cursor))];
  while (peek(cursor).kind === ',') {
    next(cursor);
    tests.push(comparison(path, '=', valueOf(cursor)));
  }
  if (next(cursor).kind !== ']') {
    cursor.at -= 1;
    fail(cursor, 'expected “,” or “]”');
  }
  return (look) => tests.some((test) => test(look));
}

function valueOf(cursor) {
  if (!isText(peek(cursor)) || isReserved(peek(cursor))) fail(cursor, 'expected a value');
  const token = next(cursor);
  return token.kind === 'quoted' ? token.text : asValue(token.text);
}

function asValue(text) {
  const known = { true: true, false: false, null: null, none: null, nan: NaN };
  const lower = text.toLowerCase();
  if (Object.hasOwn(known, lower)) return known[lower];
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function search(word) {
  if (/^(config|summary)\./.test(word)) return (look) => look(word) !== undefined;
  const tests = ['name', 'id', 'tags', 'notes'].map((path) => comparison(path, '~', word));
  return (look) => tests.some((test) => test(look));
}

/** A list is meant when one of its items is; what is not there is unequal to everything but null. */
function comparison(path, operator, wanted) {
  const is = TESTS[operator];
  return (look) => {
    const there = look(path);
    const found = Array.isArray(there) ? there.some((item) => is(item, wanted)) : is(there ?? null, wanted);
    return NEGATED.has(operator) ? !found : found;
  };
}

const NEGATED = new Set(['!=', '!~']);
const TESTS = {
  '=': isSame,
  '==': isSame,
  '!=': isSame,
  '~': contains,
  '!~': contains,
  '<': (a, b) => inOrder(a, b) && a < b,
  '<=': (a, b) => inOrder(a, b) && a <= b,
  '>': (a, b) => inOrder(a, b) && a > b,
  '>=': (a, b) => inOrder(a, b) && a >= b,
};

function isSame(a, b) {
  if (typeof a === 'string' && b !== null) return a.toLowerCase() === String(b).toLowerCase();
  return Object.is(a, b) || a === b || (typeof b === 'string' && a !== null && String(a) === b);
}

function contains(a, b) {
  return a !== null && String(a).toLowerCase().includes(String(b).toLowerCase());
}

function inOrder(a, b) {
  return a !== null && b !== null && typeof a === typeof b;
}
