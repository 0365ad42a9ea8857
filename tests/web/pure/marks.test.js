import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APART, markNear, spaced, uncovered } from '../marks.js';

const line = (id, ...at) => ({ id, marks: at.map((x) => [x, 'Infinity', 1]) });
const same = (x) => x;
const row = Array.from({ length: 200 }, (_, i) => i);

test('marks are apart, and single ones stay where they are', () => {
  assert.deepEqual(
    spaced([line('a', 3, 40)], 'Infinity', same).map(({ x }) => x),
    [3, 40],
  );
  const found = spaced([line('a', ...row)], 'Infinity', same).map(({ x }) => x);
  assert.ok(found.length > 15);
  found.slice(1).forEach((x, i) => assert.ok(x - found[i] >= APART));
});

test('lines take turns', () => {
  const found = spaced([line('a', ...row), line('b', ...row)], 'Infinity', same);
  const of = (id) => found.filter((one) => one.line.id === id).length;
  assert.ok(Math.abs(of('a') - of('b')) <= 1, `${of('a')} and ${of('b')}`);
});

test('only marks of a word are placed', () => {
  assert.deepEqual(spaced([line('a', 1)], 'NaN', same), []);
});

test('what lies over an earlier one is left out', () => {
  const places = [
    { x: 0, y: 0 },
    { x: 2, y: 2 },
    { x: 2, y: 30 },
  ];
  assert.deepEqual(uncovered(places), [places[0], places[2]]);
});

test('a mark says how many it stands for', () => {
  const marks = [
    [10, 'Infinity', 7],
    [12, 'Infinity', 1],
    [13, 'NaN', 1],
    [90, '-Infinity', 1],
  ];
  assert.deepEqual(markNear(marks, 9, same), { x: 10, text: '∞ × 8' });
  assert.deepEqual(markNear(marks, 14, same), { x: 13, text: 'NaN' });
  assert.deepEqual(markNear(marks, 95, same), { x: 90, text: '−∞' });
  assert.equal(markNear([], 0, same), null);
});
