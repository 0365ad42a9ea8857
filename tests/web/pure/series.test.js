import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cutAtZero,
  domainOf,
  firstAbove,
  groupLines,
  leavesOut,
  linesOf,
  nearest,
  rangeOf,
} from '../series.js';

const curve = (x, y, more = {}) => ({ x, y, ...more });
const item = (one) => ({ id: 'a', name: 'a', color: 'red', curve: one });
const plain = { smooth: 0, log: false, range: [0, 10], spread: 'minmax' };

test('the range is that of all curves', () => {
  assert.deepEqual(rangeOf([curve([3, 5], [1, 1]), curve([], []), curve([1, 4], [1, 1])]), [1, 5]);
  assert.equal(rangeOf([curve([], [])]), null);
  assert.deepEqual(
    rangeOf([
      curve([], [], {
        marks: [
          [7, 'NaN'],
          [2, 'NaN'],
        ],
      }),
    ]),
    [2, 7],
  );
});

test('a smoothed line keeps what it was', () => {
  const [line] = linesOf([item(curve([0, 0.1], [0, 1]))], { ...plain, smooth: 0.9 });
  assert.deepEqual(line.raw, [0, 1]);
  assert.notDeepEqual(line.y, line.raw);
});

test('a logarithmic scale has no place for 0 and below', () => {
  const [line] = linesOf([item(curve([0, 1, 2], [1, 0, -1], { min: [0.5, 0, -2], max: [2, 1, 0] }))], {
    ...plain,
    log: true,
  });
  assert.deepEqual(
    [line.y, line.min, line.max],
    [
      [1, null, null],
      [0.5, null, null],
      [2, 1, null],
    ],
  );
});

test('a group is the mean of its runs and how far they spread', () => {
  const curves = [curve([0, 5, 10], [0, 2, 4]), curve([0, 5, 10], [2, 4, 6])];
  const [line] = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], plain);
  assert.deepEqual(
    [line.x, line.y, line.min, line.max],
    [
      [0, 5, 10],
      [1, 3, 5],
      [0, 2, 4],
      [2, 4, 6],
    ],
  );
  const [even] = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], {
    ...plain,
    spread: 'deviation',
  });
  assert.deepEqual(
    [even.min, even.max],
    [
      [0, 2, 4],
      [2, 4, 6],
    ],
  );
  const [bare] = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], { ...plain, spread: 'none' });
  assert.equal(bare.min, null);
});

test('runs with points at other places are read between them, and not beyond their ends', () => {
  const curves = [curve([0, 10], [0, 10]), curve([0, 4], [2, 6])];
  const [line] = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], plain);
  assert.deepEqual(
    [line.x, line.y],
    [
      [0, 4, 10],
      [1, 5, 10],
    ],
  );
});

test('marks of all runs of a group are kept', () => {
  const curves = [
    curve([0], [1], { marks: [[1, 'NaN']] }),
    curve([0], [1], { marks: [[2, 'Infinity']], rewinds: [3] }),
  ];
  const [line] = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], plain);
  assert.deepEqual(
    [line.marks, line.rewinds],
    [
      [
        [1, 'NaN'],
        [2, 'Infinity'],
      ],
      [3],
    ],
  );
});

test('the domain holds the band, and is cut where outliers are left out', () => {
  const y = [...Array(98).fill(1), 1000, 2];
  const lines = linesOf(
    [
      item(
        curve(
          y.map((_, i) => i),
          y,
        ),
      ),
    ],
    plain,
  );
  assert.ok(domainOf(lines, { log: false, clip: false })[1] > 1000);
  assert.ok(domainOf(lines, { log: false, clip: true })[1] < 3);
  const band = linesOf([item(curve([0, 1], [1, 1], { min: [-5, 0], max: [1, 9] }))], plain);
  const [low, high] = domainOf(band, { log: false, clip: false });
  assert.ok(low < -5 && high > 9);
  assert.ok(!leavesOut(band, [low, high]));
  assert.ok(leavesOut(band, domainOf(band, { log: false, clip: true })));
});

test('a domain has a width, whatever the values', () => {
  for (const y of [[], [0], [7, 7], [-3]]) {
    const [low, high] = domainOf(
      linesOf(
        [
          item(
            curve(
              y.map((_, i) => i),
              y,
            ),
          ),
        ],
        plain,
      ),
      { log: false, clip: false },
    );
    assert.ok(low < high, `${y}: ${low} to ${high}`);
  }
});

test('the nearest place', () => {
  const x = [0, 10, 20, 30];
  assert.deepEqual(
    [-5, 4, 6, 15, 29, 99].map((at) => nearest(x, at)),
    [0, 0, 1, 1, 3, 3],
  );
  assert.equal(nearest([], 3), -1);
  assert.equal(nearest([7], 3), 0);
});

test('a logarithmic x-axis begins at the first place above 0', () => {
  const more = {
    marks: [
      [0, 'NaN'],
      [4, 'NaN'],
    ],
    rewinds: [0, 3],
  };
  const [line] = linesOf([item(curve([-1, 0, 3, 5], [1, 2, 3, 4], more))], plain);
  assert.equal(firstAbove([line]), 3);
  const { x, y, marks, rewinds } = cutAtZero(line);
  assert.deepEqual([x, y, marks, rewinds], [[3, 5], [3, 4], [[4, 'NaN']], [3]]);
});

test('the spread of a group is within the domain, smoothed or not', () => {
  const curves = [curve([0, 10], [0, 0]), curve([0, 10], [8, 8])];
  for (const weight of [0, 0.9]) {
    const lines = groupLines([{ id: 'g', name: 'g', color: 'red', curves }], { ...plain, smooth: weight });
    const [low, high] = domainOf(lines, { log: false, clip: false });
    assert.ok(low < 0 && high > 8, `${low} to ${high}`);
  }
});
