/**
 * Values of runs: paths into them, the notation of NaN and infinities, and words for people. Pure.
 */

const NONFINITE = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity };

/**
 * The keys of a path; a dot or a backslash within a key is preceded by a backslash (R038).
 * @param {string} path
 * @returns {string[]}
 */
export function pathKeys(path) {
  return (path.match(/(?:\\.|[^.\\])+/gs) ?? []).map((key) => key.replace(/\\(.)/gs, '$1'));
}

/** The inverse of pathKeys. */
export function pathOf(keys) {
  return keys.map((key) => key.replace(/[.\\]/g, '\\$&')).join('.');
}

/** What stands at a path, or undefined. */
export function valueAt(document, path) {
  return pathKeys(path).reduce(
    (place, key) => (isTree(place) && Object.hasOwn(place, key) ? place[key] : undefined),
    document,
  );
}

/** The leaves of a document: path and value. */
export function* leaves(document, above = []) {
  for (const [key, value] of Object.entries(document)) {
    if (isTree(value) && !('_type' in value) && Object.keys(value).length)
      yield* leaves(value, [...above, key]);
    else yield [pathOf([...above, key]), value];
  }
}

function isTree(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Put NaN and infinities back into a document (R035).
 * @param {Record<string, any>} document changed in place
 */
export function restore(document) {
  for (const [pointer, name] of Object.entries(document._nonfinite ?? {})) {
    const keys = pointer
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop();
    const place = keys.reduce((at, key) => at?.[key], document);
    if (place?.[last] === null) place[last] = NONFINITE[name];
  }
  delete document._nonfinite;
  return document;
}

/** A number for people: five digits that matter, never longer than a column. */
export function formatNumber(number) {
  if (Number.isNaN(number)) return 'NaN';
  if (!Number.isFinite(number)) return number > 0 ? '∞' : '−∞';
  const size = Math.abs(number);
  if (size < 1e9 && (Number.isInteger(number) || size >= 1e5))
    return Math.round(number).toLocaleString('en-US').replace('-', '−');
  const text =
    size >= 1e9 || size < 1e-4
      ? number.toExponential(3).replace(/\.?0+e/, 'e')
      : trimmed(number.toPrecision(5));
  return text.replace('e+', 'e').replace(/-/g, '−');
}

function trimmed(text) {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** A value of a config or a summary, in one line. */
export function formatValue(value) {
  if (value === undefined) return '';
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value === 'string') return value;
  if (isTree(value) && value._type) return value._type;
  return JSON.stringify(value, (_, item) =>
    typeof item === 'number' && !Number.isFinite(item) ? String(item) : item,
  );
}

/** Seconds as the two largest units. */
export function formatDuration(seconds) {
  if (!Number.isFinite(seconds)) return '';
  const sign = seconds < 0 ? '−' : '';
  const whole = Math.abs(seconds);
  if (whole > 0 && whole < 0.1) return `${sign}${Number((whole * 1000).toPrecision(3))}ms`;
  if (whole < 10) return `${sign}${trimmed(whole.toFixed(2))}s`;
  const [d, hours, m, s] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
    Math.floor(whole) % 60,
  ];
  if (d) return `${sign}${d}d${hours ? ` ${hours}h` : ''}`;
  if (hours) return `${sign}${hours}h${m ? ` ${m}m` : ''}`;
  return `${sign}${m ? `${m}m` : ''}${m && s ? ' ' : ''}${s || !m ? `${s}s` : ''}`;
}

/** Bytes for people, in powers of ten. */
export function formatBytes(bytes) {
  if (!Number.isFinite(bytes)) return '';
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), 5);
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${' kMGTP'[power]}B`;
}

/** How long ago a time is; a date when that is long. */
export function formatAgo(time, now = Date.now() / 1000) {
  const ago = now - time;
  if (ago < 60) return 'just now';
  if (ago < 3600) return `${Math.floor(ago / 60)}m ago`;
  if (ago < 86400) return `${Math.floor(ago / 3600)}h ago`;
  if (ago < 30 * 86400) return `${Math.floor(ago / 86400)}d ago`;
  return new Date(time * 1000).toISOString().slice(0, 10);
}

/** How values are sorted: numbers first, then text in natural order; what is missing comes last. */
export function compareValues(a, b) {
  const [left, right] = [rank(a), rank(b)];
  if (left !== right) return left - right;
  if (left === 0) return a - b;
  return left === 2 ? 0 : NATURAL.compare(formatValue(a), formatValue(b));
}

const NATURAL = new Intl.Collator('en', { numeric: true });

function rank(value) {
  if (value === undefined || value === null || value === '' || Number.isNaN(value)) return 2;
  return typeof value === 'number' || typeof value === 'boolean' ? 0 : 1;
}
