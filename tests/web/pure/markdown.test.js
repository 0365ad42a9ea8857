import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, plainText } from '../markdown.js';

/** What is within a single paragraph. */
const inside = (text) => {
  const [[name, nodes], ...rest] = blocksOf(text);
  assert.equal(name, 'p');
  assert.deepEqual(rest, []);
  return nodes;
};

test('bold, italic and code', () => {
  assert.deepEqual(inside('a **b _c_** `d*e*` *f*'), [
    'a ',
    ['strong', ['b ', ['em', ['c']]]],
    ' ',
    ['code', 'd*e*'],
    ' ',
    ['em', ['f']],
  ]);
  assert.deepEqual(inside('``a ` b``'), [['code', 'a ` b']]);
});

for (const text of ['2 * 3 * 4', 'a_b_c', 'snake_case_name_', '**open', '*', '`', '[a](b', '<b>x</b>'])
  test(`${text} is text`, () => assert.deepEqual(inside(text), [text]));

test('a backslash takes the meaning away', () => assert.deepEqual(inside('\\*a\\*'), ['*a*']));

test('links lead to the web only', () => {
  assert.deepEqual(inside('see [the *paper*](https://example.org/p).'), [
    'see ',
    ['a', ['the ', ['em', ['paper']]], 'https://example.org/p'],
    '.',
  ]);
  assert.deepEqual(inside('https://example.org/a_b, or so'), [
    ['a', ['https://example.org/a_b'], 'https://example.org/a_b'],
    ', or so',
  ]);
  for (const address of ['javascript:alert(1)', 'data:text/html,x', '//example.org', 'file:///etc'])
    assert.ok(!JSON.stringify(inside(`[a](${address})`)).includes('["a"'), address);
});

test('blocks follow one another', () => {
  const text = '# Title #\nfirst\nsecond\n\n- one\n- two\n  - deep\n1. a\n2. b\n\n```sh\n**x**\n```\nlast';
  assert.deepEqual(blocksOf(text), [
    ['heading', ['Title']],
    ['p', ['first\nsecond']],
    ['ul', [[['p', ['one']]], [['p', ['two']], ['ul', [[['p', ['deep']]]]]]]],
    ['ol', [[['p', ['a']]], [['p', ['b']]]]],
    ['pre', '**x**'],
    ['p', ['last']],
  ]);
});

test('notes in one line are without marks', () => {
  assert.equal(plainText('# A\n**b** `c`\nd\n- e\n- [f](https://g.org)'), 'A · b c d · e · f');
});

test('what is long and hostile is read in one go', () => {
  for (const text of ['*a ', '_a ', '**a ', '[a](', '`a``', '- ', '  - a\n', 'https://', '\\'])
    blocksOf(text.repeat(40_000 / text.length));
});
