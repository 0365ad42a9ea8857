/**
 * Colours of terminals out of text (ECMA-48, SGR); other sequences are left out. Pure.
 */

/**
 * @typedef {object} Style
 * @property {number|string|null} ink one of 16 colours, or `#rrggbb`
 * @property {number|string|null} ground
 * @property {string[]} marks of `bold`, `dim`, `italic`, `underline`, `inverse`, `struck`
 */

/** @type {Style} */
export const PLAIN = { ink: null, ground: null, marks: [] };

// A control sequence, an operating system command with its end, another escape; control characters.
const SEQUENCE =
  /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f]/g;
const MARKS = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'struck' };
const ENDS = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['struck'] };

/**
 * A line as pieces of one style each, and the style with which the next line begins.
 * @param {string} line
 * @param {Style} style
 * @returns {{pieces: {text: string, style: Style}[], style: Style}}
 */
export function styled(line, style = PLAIN) {
  const pieces = [];
  let at = 0;
  const take = (end) => {
    if (end > at) pieces.push({ text: line.slice(at, end), style });
  };
  for (const found of line.matchAll(SEQUENCE)) {
    take(found.index);
    at = found.index + found[0].length;
    if (found[2] === 'm') style = restyled(style, found[1].split(/[;:]/).map(Number));
  }
  take(line.length);
  return { pieces, style };
}

function restyled(style, codes) {
  let now = style;
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 38 || code === 48) {
      const [color, used] = extended(codes.slice(at + 1));
      now = { ...now, [code === 38 ? 'ink' : 'ground']: color };
      at += used;
    } else now = changed(now, code);
  }
  return now;
}

function changed(style, code) {
  if (code === 0) return PLAIN;
  if (MARKS[code]) return { ...style, marks: [...new Set([...style.marks, MARKS[code]])] };
  if (ENDS[code]) return { ...style, marks: style.marks.filter((mark) => !ENDS[code].includes(mark)) };
  if (code === 39) return { ...style, ink: null };
  if (code === 49) return { ...style, ground: null };
  const bright = code >= 90;
  const place = (bright ? code - 60 : code) - 30;
  if (place >= 0 && place < 8) return { ...style, ink: place + (bright ? 8 : 0) };
  if (place >= 10 && place < 18) return { ...style, ground: place - 10 + (bright ? 8 : 0) };
  return style;
}

/** A colour of 256, or of red, green and blue; and how many numbers it took. */
function extended([kind, ...rest]) {
  if (kind === 5) return [indexed(rest[0]), 2];
  if (kind === 2) return [hex(rest.slice(0, 3)), 4];
  return [null, 1];
}

function indexed(number) {
  if (!(number >= 0 && number < 256)) return null;
  if (number < 16) return number;
  if (number >= 232) return hex(Array(3).fill(8 + 10 * (number - 232)));
  const level = (part) => (part ? 55 + 40 * part : 0);
  return hex(
    [Math.floor((number - 16) / 36), Math.floor((number - 16) / 6) % 6, (number - 16) % 6].map(level),
  );
}

const hex = (parts) =>
  `#${[0, 1, 2]
    .map((at) =>
      Math.min(Math.max(parts[at] || 0, 0), 255)
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')}`;

/** A line without any sequence. */
export const bare = (line) => line.replace(SEQUENCE, '');
