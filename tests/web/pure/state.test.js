import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, readView } from '../state.js';

const EMPTY = readView('');

test('an empty address is the page of the projects', () => {
  assert.equal(EMPTY.page, 'projects');
  assert.deepEqual([EMPTY.project, EMPTY.runs, EMPTY.columns, EMPTY.zoom], [null, null, null, null]);
  assert.equal(addressOf(EMPTY), '#/projects');
});

const CHANGES = [
  { project: 'fashion mnist & co/#1' },
  { project: '' },
  { filter: 'config.lr > 0.01 and name ~ "a&b=c"' },
  { sort: '-summary.val/loss' },
  { columns: [] },
  { columns: ['config.a\\.b', 'x,y', '\\'] },
  { runs: ['all'] },
  { runs: [] },
  { runs: ['0f3c2d1b9e77', '1a'] },
  { smooth: 0.99 },
  { log: ['*', 'val/loss'] },
  { clip: true },
  { spread: 'none' },
  { zoom: ['_step', 0.5, 1e6] },
  { zoom: ['a,b', -3, 4] },
  { hide: ['system:cpu.percent'] },
  { colors: { '0f3c2d1b9e77': '#ff0000', ab: '#00ff00' } },
  { axes: [] },
  { axes: ['config.a\\.b', 'summary.x,y'] },
  { ranges: { 'config.lr': '[1e-05,0.01]', 'config.net': '["a,b","c\\\\d"]' } },
  { by: 'summary.val/acc', logs: ['config.lr'], scatter: ['config.lr', 'summary.val/acc'] },
  { bar: 'rows', equal: true, keys: 'opt lr' },
  { size: 'l', full: 'loss', group: 'config.lr' },
];
for (const changes of CHANGES) {
  test(`is read as it was written: ${JSON.stringify(changes)}`, () => {
    const one = { ...EMPTY, page: 'charts', ...changes };
    assert.deepEqual(readView(addressOf(one)), one);
  });
}

test('nonsense in an address is no harm', () => {
  const one = readView('#/charts?smooth=much&zoom=_step,9,3&colors=odd&unknown=1&runs=');
  assert.deepEqual([one.smooth, one.zoom, one.colors, one.runs], [0, null, {}, []]);
  assert.equal(readView('#/charts?smooth=7').smooth, 0.999);
});
