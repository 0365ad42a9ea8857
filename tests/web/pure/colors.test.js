import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PALETTE, colorsOf } from '../colors.js';

/** How people see colours who lack one of three kinds of cones (Machado 2009), in linear light. */
const SIGHT = {
  usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}; // prettier-ignore
const TO_LMS = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]]; // prettier-ignore
const TO_LAB = [[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]; // prettier-ignore

const times = (matrix, [a, b, c]) => matrix.map(([x, y, z]) => x * a + y * b + z * c);
const linear = (hex) =>
  [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
/** A place in OKLab, where distances are what people see. */
const seen = (hex, sight) =>
  times(
    TO_LAB,
    times(
      TO_LMS,
      times(sight, linear(hex)).map((part) => Math.min(Math.max(part, 0), 1)),
    ).map(Math.cbrt),
  );
const luminance = (hex) => times([[0.2126, 0.7152, 0.0722]], linear(hex))[0];
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

for (const [name, sight] of Object.entries(SIGHT)) {
  for (const [count, usual, other] of [
    [12, 0.12, 0.07],
    [18, 0.1, 0.05],
  ])
    test(`the first ${count} colours are told apart: ${name}`, () => {
      const least = name === 'usual' ? usual : other;
      const places = PALETTE.slice(0, count).map((hex) => seen(hex, sight));
      places.forEach((a, i) =>
        places.slice(0, i).forEach((b, j) => {
          const far = Math.hypot(...a.map((part, k) => part - b[k]));
          assert.ok(far > least, `${PALETTE[i]} and ${PALETTE[j]}: ${far}`);
        }),
      );
    });
}

test('the colours of runs are seen on light and on dark paper', () => {
  for (const hex of PALETTE.slice(0, 18))
    for (const paper of ['#ffffff', '#181c1e'])
      assert.ok(contrast(luminance(hex), luminance(paper)) > 2.1, `${hex} on ${paper}`);
});

test('runs beside each other in time have colours that are told apart, and never the same', () => {
  const uids = Array.from({ length: 200 }, (_, i) => `uid-${i}`);
  const colors = [...colorsOf(uids).values()];
  colors.forEach((color, i) => {
    assert.ok(PALETTE.indexOf(color) < 18);
    assert.ok(!colors.slice(Math.max(i - 9, 0), i).includes(color));
  });
});
