/**
 * From values to places on a chart and back, and where the lines of the grid are. Pure.
 */

import { formatDuration, formatNumber } from './values.js';

/**
 * @typedef {object} Scale
 * @property {(value: number) => number} place
 * @property {(place: number) => number} value the inverse
 * @property {[number, number]} domain
 */

/**
 * @param {[number, number]} domain
 * @param {[number, number]} range
 * @param {boolean} [log] the domain is above 0 then
 * @returns {Scale}
 */
export function makeScale(domain, range, log = false) {
  // Halved, no domain is infinitely wide.
  const to = log ? Math.log10 : (value) => value / 2;
  const from = log ? (value) => 10 ** value : (value) => value * 2;
  const [low, high] = domain.map(to);
  const factor = (range[1] - range[0]) / (high - low || 1);
  return {
    domain,
    place: (value) => range[0] + (to(value) - low) * factor,
    value: (place) => from(low + (place - range[0]) / factor),
  };
}

/** A step beyond which ten of them would be infinite. */
const WIDEST = 5e307;

/** Round values in a domain, about `count` of them. */
export function linearTicks([low, high], count) {
  if (!(high > low)) return [low];
  const rough = (high / 2 - low / 2) / (Math.max(count, 1) / 2);
  return multiples(low, high, roundStep(Math.min(rough, WIDEST)));
}

/** 1, 2 or 5 times a power of ten, at least as large as asked. */
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999999);
}

function multiples(low, high, step) {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) =>
    Number(((first + i) * step).toPrecision(15)),
  );
  return ticks.filter((tick) => tick >= low - step / 1e6 && tick <= high + step / 1e6);
}

/** Powers of ten, with 2 and 5 times them where there is room; round values where there are less than two. */
export function logTicks([low, high], count) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.max(1, Math.ceil((to - from) / count));
  const factors = to - from <= count / 3 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = from; power <= to; power += every)
    found.push(...factors.map((factor) => factor * 10 ** power));
  const inside = found.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length > 1 ? inside : linearTicks([low, high], count).filter((tick) => tick > 0);
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const SPANS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365].map((n) => n * DAY),
];

/** Seconds at whole seconds, minutes, hours, days; `zone` is the distance of local midnight from UTC's. */
export function timeTicks([low, high], count, zone = 0) {
  const rough = (high - low) / Math.max(count, 1);
  if (rough < 1) return linearTicks([low, high], count);
  const step = SPANS.find((span) => span >= rough) ?? roundStep(rough / DAY) * DAY;
  return multiples(low - zone, high - zone, step).map((tick) => tick + zone);
}

/**
 * The kind of an x-axis: what is on its grid, and how its values are said.
 * @param {string} axis `_step`, `_timestamp`, `_runtime`, or a metric
 * @param {boolean} isWhole all values on it are integers, as those of an epoch are
 */
export function axisKind(axis, isWhole) {
  if (axis === '_timestamp')
    return {
      ticks: (domain, count) => timeTicks(domain, count, zoneOf(domain[0])),
      labels: (ticks, span) => ticks.map((tick) => shortDate(tick, span)),
      long: longDate,
    };
  if (axis === '_runtime')
    return { ticks: timeTicks, labels: (ticks) => ticks.map(formatDuration), long: formatDuration };
  const ticks = isWhole || axis === '_step' ? wholeTicks : linearTicks;
  return { ticks, labels: labelsOf, long: formatNumber };
}

/** There is no half step, nor half an epoch. */
export function wholeTicks(domain, count) {
  return linearTicks(domain, count).filter(Number.isInteger);
}

export const AXIS_NAMES = { _step: 'Step', _timestamp: 'Time', _runtime: 'Relative time' };

function zoneOf(seconds) {
  return new Date(seconds * 1000).getTimezoneOffset() * MINUTE;
}

function shortDate(seconds, span) {
  const date = new Date(seconds * 1000);
  const [day, time] = [
    date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' }),
    date.toTimeString(),
  ];
  if (span > 2 * DAY) return day;
  return span > 10 * MINUTE ? time.slice(0, 5) : time.slice(0, 8);
}

function longDate(seconds) {
  return new Date(seconds * 1000).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
}

const UNITS = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** A number on an axis: 1.5k, 20M. */
export const shortNumber = (number) => numberIn(number, 4);

function numberIn(number, digits) {
  const [unit, name] = UNITS.find(([least]) => Math.abs(number) >= least) ?? [1, ''];
  if (Math.abs(number) >= 1e15 || (unit === 1 && digits <= 5)) return formatNumber(number);
  return `${String(Number((number / unit).toPrecision(digits))).replace('-', '−')}${name}`;
}

/** Numbers on an axis, rising, in as many digits as tell them apart. */
export function labelsOf(ticks) {
  const step = Math.min(...ticks.slice(1).map((tick, i) => tick - ticks[i]));
  const isRight = (digits) =>
    ticks.every((tick) => Math.abs(Number(tick.toPrecision(digits)) - tick) <= step / 100);
  let digits = 4;
  while (digits < 15 && !isRight(digits)) digits += 1;
  return ticks.map((tick) => numberIn(tick, digits));
}
