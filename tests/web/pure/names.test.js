import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suffixesOf, titleOf } from '../names.js';

const run = (uid, name, id, project = 'p') => ({ uid, name, id, project });

test('runs of one name have the last part of their ids, or all of them', () => {
  const runs = [
    run('1', 'a', '20261126-163559-657zn6'),
    run('2', 'a', '20261126-163559-68wk8h'),
    run('3', 'alone', '20261126-163559-ah0xff'),
    run('4', 'a', 'other', 'q'),
    run('5', 'b', 'x-1'),
    run('6', 'b', 'y-1'),
  ];
  assert.deepEqual(Object.fromEntries(suffixesOf(runs)), { 1: '657zn6', 2: '68wk8h', 5: 'x-1', 6: 'y-1' });
  assert.equal(titleOf({ name: 'a', suffix: '657zn6' }), 'a · 657zn6');
  assert.equal(titleOf({ name: 'a' }), 'a');
});
