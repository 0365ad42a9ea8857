import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PLAIN, bare, styled } from '../ansi.js';

const ESC = '\x1b';
const texts = (line) => styled(line).pieces.map(({ text }) => text);
const style = (line) => styled(`${ESC}[${line}mx`).pieces[0].style;

test('text without sequences is one plain piece', () => {
  assert.deepEqual(styled('a b'), { pieces: [{ text: 'a b', style: PLAIN }], style: PLAIN });
  assert.deepEqual(styled('').pieces, []);
});

test('colours of 16, of 256 and of red, green and blue', () => {
  assert.equal(style('31').ink, 1);
  assert.equal(style('97').ink, 15);
  assert.equal(style('44').ground, 4);
  assert.equal(style('103').ground, 11);
  assert.equal(style('38;5;9').ink, 9);
  assert.equal(style('38;5;208').ink, '#ff8700');
  assert.equal(style('48;5;232').ground, '#080808');
  assert.equal(style('38;2;1;2;300').ink, '#0102ff');
  assert.deepEqual([style('1;31').marks, style('1;31').ink], [['bold'], 1]);
  assert.deepEqual(style('38;5;1;4').marks, ['underline']);
});

test('a style goes on until it ends', () => {
  const first = styled(`${ESC}[1;32mgreen`);
  const { pieces, style: end } = styled(`more${ESC}[22m thin${ESC}[0m plain`, first.style);
  assert.deepEqual(
    pieces.map(({ text, style: { ink, marks } }) => [text, ink, marks.length]),
    [
      ['more', 2, 1],
      [' thin', 2, 0],
      [' plain', null, 0],
    ],
  );
  assert.equal(end, PLAIN);
  assert.equal(style('32;39').ink, null);
});

test('all other sequences and control characters are left out', () => {
  const odd = `a${ESC}[2Kb${ESC}]8;;javascript:x${ESC}\\c${ESC}]0;title\x07d${ESC}(Be\x00\x08f\tg${ESC}`;
  assert.equal(texts(odd).join(''), 'abcdef\tg');
  assert.equal(bare(odd), 'abcdef\tg');
  assert.deepEqual(style('38;5'), { ...PLAIN, ink: null });
  assert.deepEqual(style('38;7;1').marks, ['bold']);
});
