import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plotOf } from '../plotted.js';

const plot = (spec, fields, strings = {}) => ({ spec, fields, strings });

test('lines go from left to right, one a name', () => {
  const rows = [[2, 5, 'a'], [1, 4, 'a'], [1, 7, 'b'], [1, NaN, 'b'], ['?', 1, 'b'], null]; // prettier-ignore
  const found = plotOf(plot('wandb/line/v0', { x: 'n', y: 'm', stroke: 'who' }), ['n', 'm', 'who'], rows);
  assert.deepEqual(found.series, [
    { name: 'a', points: [[1, 4], [2, 5]] },
    { name: 'b', points: [[1, 7]] },
  ]); // prettier-ignore
  assert.deepEqual([found.kind, found.xName, found.yName, found.left], ['lines', 'n', 'm', 2]);
});

test('texts name the axes', () => {
  const texts = { title: 'ROC', 'x-axis-title': 'False', 'y-axis-title': 'True' };
  const fields = { x: 'fpr', y: 'tpr', class: 'class' };
  const spec = plot('wandb/area-under-curve/v0', fields, texts);
  const found = plotOf(spec, ['class', 'fpr', 'tpr'], [['a', 0, 1]]);
  assert.deepEqual([found.title, found.xName, found.yName], ['ROC', 'False', 'True']);
});

test('values are counted in bins, all of them', () => {
  const rows = Array.from({ length: 100 }, (_, i) => [i % 10]);
  const { histogram } = plotOf(plot('wandb/histogram/v0', { value: 'v' }), ['v'], rows);
  assert.deepEqual(histogram.values, new Array(10).fill(10));
  assert.deepEqual([histogram.bins[0], histogram.bins.at(-1)], [0, 9]);
  assert.deepEqual(plotOf(plot('wandb/histogram/v0', { value: 'v' }), ['v'], [[3]]).histogram.values, [1]);
});

test('bars and matrices', () => {
  const bars = plotOf(plot('wandb/bar/v0', { label: 'l', value: 'v' }), ['l', 'v'], [['a', 1], ['b', -2], ['c', null]]); // prettier-ignore
  assert.deepEqual(bars.bars, [
    { label: 'a', value: 1 },
    { label: 'b', value: -2 },
  ]);
  assert.equal(bars.left, 1);
  const names = ['Actual', 'Predicted', 'nPredictions'];
  const fields = Object.fromEntries(names.map((name) => [name, name]));
  const rows = [['cat', 'cat', 3], ['cat', 'dog', 1], ['dog', 'dog', 2]]; // prettier-ignore
  const { matrix } = plotOf(plot('wandb/confusion_matrix/v1', fields), names, rows);
  assert.deepEqual(matrix, { names: ['cat', 'dog'], counts: [[3, 1], [0, 2]] }); // prettier-ignore
});

test('what is not known, or does not fit, is a table only', () => {
  const fields = { x: 'a', y: 'b' };
  assert.equal(plotOf(undefined, ['a', 'b'], [[1, 2]]), null);
  for (const spec of ['mine/v0', 'toString', 3]) assert.equal(plotOf(plot(spec, fields), ['a', 'b'], [[1, 2]]), null);
  assert.equal(plotOf(plot('wandb/line/v0', { x: 'a' }), ['a', 'b'], [[1, 2]]), null);
  assert.equal(plotOf(plot('wandb/line/v0', null), ['a', 'b'], [[1, 2]]), null);
  assert.equal(plotOf(plot('wandb/line/v0', fields), ['a', 'b'], [['x', 2]]), null);
});
