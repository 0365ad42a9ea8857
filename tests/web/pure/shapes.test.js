import assert from 'node:assert/strict';
import { test } from 'node:test';

import { READERS } from '../shapes.js';

const read = (ending, text) => READERS[ending](new TextEncoder().encode(text).buffer);

test('points of a list, and of a scene with boxes and arrows', () => {
  assert.deepEqual(read('json', '[[0,0,0],[1,2,3,4],[1,2],"no",[1,2,null]]').points, [
    [0, 0, 0],
    [1, 2, 3, 4],
  ]);
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => [at, 0, 0]);
  const vectors = [{ start: [0, 0, 0], end: [1, 1, 1] }];
  const said = { points: [[0, 0, 0]], boxes: [{ corners, color: [255, 0, 9] }, {}], vectors };
  const { points, lines } = read('json', JSON.stringify(said));
  assert.deepEqual([points.length, lines.length], [1, 13]);
  assert.deepEqual([lines[0].color, lines[12].color], ['rgb(255 0 9)', null]);
});

test('faces of OBJ count from one, or from the end', () => {
  const { points, lines } = read('obj', 'v 0 0 0\nv 1 0 0\nv 0 1 0 1.0\nvn 0 0 1\nf 1/1 2//1 3\nf -1 -2 9\n');
  assert.equal(points.length, 3);
  assert.deepEqual(lines[0], { from: [0, 0, 0], to: [1, 0, 0], color: null });
  assert.equal(lines.length, 4);
});

test('STL in text and in binary', () => {
  const text = 'solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1e0 0\n';
  assert.deepEqual(read('stl', text).points, [
    [0, 0, 0],
    [1, 0, 0],
    [0, 1, 0],
  ]);
  const bytes = new ArrayBuffer(84 + 50);
  const view = new DataView(bytes);
  view.setUint32(80, 1, true);
  view.setFloat32(84 + 12 + 12, 2.5, true);
  const { points, lines } = READERS.stl(bytes);
  assert.deepEqual([points[1], lines.length], [[2.5, 0, 0], 3]);
});
