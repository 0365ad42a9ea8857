import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smooth } from '../smooth.js';

const close = (found, wanted) =>
  found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 1e-9, `${found} is not ${wanted}`));

test('nothing is smoothed with weight 0', () => {
  assert.deepEqual(smooth([0, 1, 2], [3, 1, 2], 0, 2), [3, 1, 2]);
});

test('the average is debiased: a constant stays as it is from the first point', () => {
  close(smooth([0, 1, 2, 3], [5, 5, 5, 5], 0.9, 3), [5, 5, 5, 5]);
});

test('a thousandth of the chart counts as one step', () => {
  // sqrt(0.25) = 0.5 a thousandth: 0, then (0 * 0.5 + 1) / (0.5 + 1), then (1 * 0.5 + 1) / (1.5 * 0.5 + 1)
  close(smooth([0, 1, 2], [0, 1, 1], 0.25, 1000), [0, 1 / 1.5, 1.5 / 1.75]);
});

test('points that are twice as far apart count as two steps', () => {
  close(smooth([0, 2], [0, 1], 0.25, 1000), [0, 1 / 1.25]);
});

test('the scale of the axis does not matter', () => {
  close(smooth([0, 7, 9], [4, 1, 2], 0.8, 90), smooth([0, 0.07, 0.09], [4, 1, 2], 0.8, 0.9));
});

test('holes stay holes, and are passed over', () => {
  const found = smooth([0, 1, 2], [0, null, 1], 0.25, 1000);
  assert.equal(found[1], null);
  close([found[2]], [1 / 1.25]);
});

test('a weight of 1 does not freeze the line', () => {
  const found = smooth([0, 500, 1000], [0, 1, 1], 1, 1000);
  assert.ok(found[2] > found[1] && found[1] > 0.5);
});
