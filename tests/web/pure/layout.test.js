import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columnsFor } from '../layout.js';

const columns = (width) => (count) => columnsFor(count, width, 340);

test('few panels fill the row, many are as many beside each other as there is room for', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 8, 60].map(columns(1200)), [1, 2, 3, 2, 3, 3, 3, 3, 3]);
  assert.deepEqual([1, 2, 3, 9].map(columns(800)), [1, 2, 2, 2]);
  assert.deepEqual([1, 2, 3].map(columns(300)), [1, 1, 1]);
});
