import assert from 'node:assert/strict';
import { test } from 'node:test';

import { binOf, columnsOf, edgesOf, isHistogram, sharesOf } from '../bins.js';

const one = { bins: [0, 1, 2], values: [1, 3] };

test('what is no histogram is known', () => {
  assert.ok(isHistogram(one));
  for (const wrong of [
    {},
    { bins: [0, 1], values: [] },
    { bins: [0, 1], values: [1, 2] },
    { bins: [1, 0], values: [1] },
    { bins: [0, NaN], values: [1] },
    { bins: [0, 1], values: [-1] },
    { bins: 'ab', values: 'a' },
  ])
    assert.ok(!isHistogram(wrong), JSON.stringify(wrong));
});

test('counts are shared out to the rows that their bins cover', () => {
  assert.deepEqual(edgesOf([one, { bins: [-1, 0], values: [1] }]), [-1, 2]);
  assert.deepEqual(sharesOf(one, [0, 2], 2), [0.25, 0.75]);
  assert.deepEqual(sharesOf(one, [0, 2], 4), [0.125, 0.125, 0.375, 0.375]);
  assert.deepEqual(sharesOf(one, [0, 4], 2), [1, 0]);
  assert.deepEqual(sharesOf({ bins: [0, 1], values: [0] }, [0, 1], 2), [0, 0]);
});

test('the last bin has its upper edge', () => {
  assert.deepEqual([-0.1, 0, 0.9, 1, 2, 2.1].map((number) => binOf(one, number)), [-1, 0, 0, 1, 1, -1]);
});

test('columns reach halfway to their neighbours', () => {
  assert.deepEqual(columnsOf([7]), [[0, 1]]);
  assert.deepEqual(columnsOf([0, 2]), [
    [0, 0.5],
    [0.5, 1],
  ]);
  assert.deepEqual(columnsOf([0, 1, 5])[1], [1 / 7.5, 3.5 / 7.5]);
});
