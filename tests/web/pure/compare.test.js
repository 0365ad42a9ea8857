import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  axisColumns,
  colorAt,
  differences,
  firstAxes,
  makeAxis,
  pasteable,
  placesOf,
  ramp,
  within,
} from '../comparevalues.js';

test('an axis of integers has no halves', () => {
  const seeds = [0, 1].map((seed) => run(`s${seed}`, { 'config.seed': seed }));
  const texts = (id, runs) => makeAxis(id, runs).ticks(6).map(({ text }) => text);
  assert.deepEqual(texts('config.seed', seeds), ['0', '1']);
  assert.deepEqual(texts('config.lr', RUNS.slice(0, 2)).slice(0, 2), ['0.002', '0.004']);
});

const run = (name, values) => ({ name, values: new Map(Object.entries({ name, ...values })) });
const RUNS = [
  run('a', { 'config.lr': 0.001, 'config.net': 'cnn', 'config.seed': 1, 'summary.acc': 0.5 }),
  run('b', { 'config.lr': 0.01, 'config.net': 'mlp', 'config.seed': 1, 'summary.acc': 0.9 }),
  run('c', { 'config.lr': 0.1, 'config.net': 'net10', 'config.seed': 1, 'summary.acc': NaN }),
  run('d', { 'config.lr': 0, 'config.net': 'net9', 'config.seed': 1, 'config.only\\.d': [1, 2] }),
];
const names = (runs) => runs.map(({ name }) => name).join('');

test('a column of numbers is an axis from the least to the greatest', () => {
  const axis = makeAxis('summary.acc', RUNS);
  assert.deepEqual(
    [0.5, 0.7, 0.9].map(axis.place).map((at) => Number(at.toFixed(6))),
    [0, 0.5, 1],
  );
  assert.deepEqual([NaN, undefined, Infinity].map(axis.place), [null, null, null]);
  assert.deepEqual(axis.range(0.25, 0.5), [0.6, 0.7]);
});

test('on a logarithmic axis decades are equally long, and zero has no place', () => {
  const axis = makeAxis('config.lr', RUNS, true);
  assert.deepEqual(
    [0.001, 0.01, 0.1].map(axis.place).map((at) => Number(at.toFixed(6))),
    [0, 0.5, 1],
  );
  assert.equal(axis.place(0), null);
  assert.deepEqual(axis.range(0, 0.5), [0.001, 0.01]);
});

test('a logarithmic axis of numbers none of which is above zero is a linear one', () => {
  const axis = makeAxis('x', [run('a', { x: -2 }), run('b', { x: 0 })], true);
  assert.equal(axis.isLog, false);
  assert.equal(axis.place(-1), 0.5);
});

test('a single value stands in the middle of its axis', () => {
  for (const isLog of [false, true]) {
    assert.equal(Number(makeAxis('config.seed', RUNS, isLog).place(1).toFixed(6)), 0.5);
  }
});

test('text and switches are categories, in natural order', () => {
  const axis = makeAxis('config.net', RUNS);
  assert.deepEqual(axis.names, ['cnn', 'mlp', 'net9', 'net10']);
  assert.equal(axis.place('net9'), 0.625);
  assert.deepEqual(axis.range(0.3, 0.7), ['mlp', 'net9']);
  assert.equal(axis.range(0.2, 0.3), null);
  assert.deepEqual(makeAxis('x', [run('a', { x: true }), run('b', { x: false })]).names, ['false', 'true']);
});

test('ranges keep runs; one that means nothing keeps all', () => {
  const kept = (ranges, logs = []) => names(within(RUNS, ranges, logs));
  assert.equal(kept({ 'config.lr': '[0.001,0.01]' }), 'ab');
  assert.equal(kept({ 'config.net': '["mlp","net10"]' }), 'bcd');
  assert.equal(kept({ 'config.lr': '[0.001,0.1]', 'config.net': '["mlp","net9"]' }), 'b');
  assert.equal(kept({ 'summary.acc': '[0.5,1]' }), 'ab');
  assert.equal(kept({ 'config.lr': '[0.01,1]' }, ['config.lr']), 'bc');
  for (const said of ['', 'x', '3', '[1]', '["gone","mlp"]', '[null,1]']) {
    assert.equal(kept({ 'config.net': said }), 'abcd', said);
  }
});

test('a range has its places on the axis', () => {
  const axis = makeAxis('summary.acc', RUNS);
  assert.deepEqual(placesOf(axis, { 'summary.acc': '[0.5,0.9]' }), [0, 1]);
  assert.equal(placesOf(axis, {}), null);
});

test('colours go from one end of the ramp to the other, and what is missing is grey', () => {
  const axis = makeAxis('summary.acc', RUNS);
  assert.equal(colorAt(axis, 0.5), ramp(0));
  assert.equal(colorAt(axis, 0.9), ramp(1));
  assert.notEqual(ramp(0.5), ramp(0.6));
  assert.equal(colorAt(axis, NaN), colorAt(axis, undefined));
  const colors = makeAxis('config.net', RUNS).names.map((name) =>
    colorAt(makeAxis('config.net', RUNS), name),
  );
  assert.equal(new Set(colors).size, 4);
});

test('axes are what tells the runs apart; anything plain of config and summary may be one', () => {
  assert.deepEqual(firstAxes(RUNS), ['config.lr', 'config.net', 'summary.acc']);
  assert.deepEqual(axisColumns(RUNS), ['config.lr', 'config.net', 'config.seed', 'summary.acc']);
});

test('differences are the paths whose values are not the same everywhere', () => {
  const ids = (which) => differences(RUNS, { equal: false, search: '', ...which }).map(({ id }) => id);
  assert.deepEqual(ids({}), ['config.lr', 'config.net', 'config.only\\.d', 'summary.acc']);
  assert.deepEqual(ids({ equal: true, search: 'SEED' }), ['config.seed']);
  assert.deepEqual(ids({ search: 'seed' }), []);
  assert.deepEqual(ids({ search: 'Net config' }), ['config.net']);
});

test('a value that is there differs from one that is not, and 1 from "1.0"', () => {
  const rows = (...values) =>
    differences(
      values.map((x, i) => run(String(i), { 'config.x': x })),
      {
        equal: false,
        search: '',
      },
    );
  assert.equal(rows(1, undefined).length, 1);
  assert.equal(rows(1, '1.0').length, 1);
  assert.equal(rows([1, 2], [1, 2]).length, 0);
});

test('what is pasted has all digits, and no cell breaks the table', () => {
  const runs = [run('a', { 'config.x': 0.1 + 0.2 }), run('b\tc', { 'config.x': 'one\ntwo' })];
  const text = pasteable(runs, differences(runs, { equal: false, search: '' }));
  assert.equal(text, 'key\ta\tb c\nconfig.x\t0.30000000000000004\tone two');
});
