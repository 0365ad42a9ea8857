import assert from 'node:assert/strict';
import { test } from 'node:test';
import { colorsOf } from '../colors.js';
import { axisOf, definitionOf, sectionOf } from '../definitions.js';
import { linearTicks, logTicks, makeScale, shortNumber, timeTicks } from '../scales.js';
import {
  compareValues,
  formatDuration,
  formatNumber,
  leaves,
  pathKeys,
  pathOf,
  restore,
  valueAt,
} from '../values.js';

test('a path has keys with dots and backslashes in them (R038)', () => {
  assert.deepEqual(pathKeys('eval.a\\.b.c\\\\'), ['eval', 'a.b', 'c\\']);
  assert.equal(pathOf(['eval', 'a.b', 'c\\']), 'eval.a\\.b.c\\\\');
  assert.equal(valueAt({ a: { 'b.c': 3 } }, 'a.b\\.c'), 3);
  assert.equal(valueAt({}, 'constructor'), undefined);
});

test('leaves are values, lists, objects with a _type, and empty objects', () => {
  const found = [...leaves({ a: { b: 1, c: [2], d: {} }, e: { _type: 'histogram' } })];
  assert.deepEqual(found, [
    ['a.b', 1],
    ['a.c', [2]],
    ['a.d', {}],
    ['e', { _type: 'histogram' }],
  ]);
});

test('NaN and infinities are put back (R035)', () => {
  const found = restore({
    a: null,
    'x/y': { z: [null] },
    n: null,
    _nonfinite: { '/a': 'NaN', '/x~1y/z/0': '-Infinity', '/gone/b': 'NaN' },
  });
  assert.deepEqual(found, { a: NaN, 'x/y': { z: [-Infinity] }, n: null });
});

test('numbers are short', () => {
  const found = [0, 1234567, 0.1 + 0.2, 1 / 3, 1e-7, 1.5e12, -0.25, NaN, -Infinity, 100000.123].map(
    formatNumber,
  );
  assert.deepEqual(found, [
    '0',
    '1,234,567',
    '0.3',
    '0.33333',
    '1e−7',
    '1.5e12',
    '−0.25',
    'NaN',
    '−∞',
    '100,000',
  ]);
  assert.deepEqual([950, 1500, 20e6, -3e9].map(shortNumber), ['950', '1.5k', '20M', '−3B']);
});

test('durations have two units', () => {
  assert.deepEqual([0, -0.0012, 0.25, 59, 61, 3600, 5000, 90000].map(formatDuration), [
    '0s',
    '−1.2ms',
    '0.25s',
    '59s',
    '1m 1s',
    '1h',
    '1h 23m',
    '1d 1h',
  ]);
});

test('numbers come before text, names are in natural order, what is missing comes last', () => {
  const sorted = ['run-10', NaN, 3, 'run-9', null, -1, ''].sort(compareValues);
  assert.deepEqual(sorted.slice(0, 4), [-1, 3, 'run-9', 'run-10']);
});

test('ticks are round and within', () => {
  assert.deepEqual(linearTicks([0, 1], 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(linearTicks([-0.3, 0.3], 3), [-0.2, 0, 0.2]);
  const [from, to] = [1795798522.624283, 1795798522.624383];
  assert.ok(linearTicks([from, to], 5).every((tick) => tick >= from && tick <= to));
  assert.deepEqual(logTicks([0.01, 100], 5), [0.01, 0.1, 1, 10, 100]);
  assert.ok(logTicks([2, 3], 5).length > 1);
  assert.deepEqual(timeTicks([0, 7200], 4), [0, 1800, 3600, 5400, 7200]);
});

test('the largest numbers have a scale and a grid too', () => {
  const domain = [-1e308, 1e308];
  const scale = makeScale(domain, [0, 100]);
  assert.deepEqual([...domain, 0].map(scale.place), [0, 100, 50]);
  const ticks = linearTicks(domain, 4);
  assert.ok(ticks.length > 2 && ticks.every(Number.isFinite));
});

test('a scale and its inverse', () => {
  for (const log of [false, true]) {
    const scale = makeScale([0.1, 1000], [300, 20], log);
    for (const value of [0.1, 1, 250, 1000])
      assert.ok(Math.abs(scale.value(scale.place(value)) - value) < 1e-9 * value);
    assert.ok(Math.abs(scale.place(0.1) - 300) < 1e-9 && Math.abs(scale.place(1000) - 20) < 1e-9);
  }
});

test('the definition of a name counts before globs, the longest of them first (R081)', () => {
  const definitions = [
    { name: 'val*', step_metric: 'a' },
    { name: 'val/*', step_metric: 'b' },
    { name: 'val/x', step_metric: 'c' },
  ];
  assert.deepEqual(
    ['val/x', 'val/y', 'value', 'other', '_val'].map((key) => definitionOf(definitions, key)?.step_metric),
    ['c', 'b', 'a', undefined, undefined],
  );
});

test('the axis is the one chosen, else the metric\u2019s own, else the step; samples of the machine go by time', () => {
  const definitions = [{ name: 'val/*', step_metric: 'epoch' }];
  const panel = (key, stream = 'metrics', kind = 'number') => ({ key, stream, kind });
  assert.deepEqual(
    [
      ['', 'val/x'],
      ['', 'loss'],
      ['_runtime', 'val/x'],
    ].map(([chosen, key]) => axisOf(panel(key), chosen, definitions)),
    ['epoch', '_step', '_runtime'],
  );
  assert.deepEqual(
    ['', '_step', '_timestamp'].map((chosen) => axisOf(panel('cpu', 'system'), chosen, [])),
    ['_runtime', '_runtime', '_timestamp'],
  );
  assert.deepEqual([panel('a/b/c'), panel('/a'), panel('a.b'), panel('x', 'system')].map(sectionOf), [
    'a',
    'Charts',
    'Charts',
    'System',
  ]);
  assert.equal(sectionOf(panel('a/b', 'metrics', 'image-file')), 'Media');
});

test('a run keeps its colour when others go, and ten beside each other differ', () => {
  const uids = Array.from(
    { length: 200 },
    (_, i) => `0193572c-${String(i).padStart(4, '0')}-7cc1-a4a5-0f3c2d1b9e77`,
  );
  const colors = colorsOf(uids);
  for (let i = 0; i + 10 <= uids.length; i += 1)
    assert.equal(new Set(uids.slice(i, i + 10).map((uid) => colors.get(uid))).size, 10);
  const fewer = colorsOf(uids.filter((_, i) => i !== 50));
  const changed = uids.filter((uid, i) => i !== 50 && colors.get(uid) !== fewer.get(uid));
  assert.ok(changed.length < uids.length / 4, `${changed.length} changed`);
});
