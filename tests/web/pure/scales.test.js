import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axisKind, labelsOf } from '../scales.js';

test('an axis of integers has no halves', () => {
  assert.deepEqual(axisKind('epoch', true).ticks([0, 2], 5), [0, 1, 2]);
  assert.deepEqual(axisKind('_step', false).ticks([0, 1], 5), [0, 1]);
  assert.deepEqual(axisKind('loss', false).ticks([0, 1], 2), [0, 0.5, 1]);
});

test('numbers on an axis have as many digits as tell them apart', () => {
  assert.deepEqual(labelsOf([39.39e9, 39.395e9, 39.4e9]), ['39.39B', '39.395B', '39.4B']);
  assert.deepEqual(labelsOf([100.001, 100.002]), ['100.001', '100.002']);
  assert.deepEqual(labelsOf([0, 0.5, 1]), ['0', '0.5', '1']);
  assert.deepEqual(labelsOf([-1e-7, 0, 1e-7]), ['−1e−7', '0', '1e−7']);
  assert.deepEqual(labelsOf([5]), ['5']);
});
