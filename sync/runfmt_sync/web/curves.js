/**
 * Curves for charts: asked for together, once a frame, and kept until their run changes.
 */

import { ask } from './api.js';

/**
 * @typedef {object} Wanted
 * @property {string} uid
 * @property {string} key
 * @property {string} stream `metrics` or `system`
 * @property {string} writer
 * @property {string} x axis
 * @property {number|null} from
 * @property {number|null} to
 * @property {number} points more of them are reduced
 */

/** The server takes so many in one request, and so many points of all of them (H073). */
const [MOST, MOST_POINTS] = [2000, 1_000_000];
const KEPT = 20000;

/** @type {Map<string, Map<string, Promise<import('./series.js').Curve>>>} by run, then by what was asked */
const kept = new Map();
let size = 0;
let queue = [];

/**
 * @param {Wanted} wanted
 * @returns {Promise<import('./series.js').Curve>}
 */
export function loadCurve(wanted) {
  const { uid, ...others } = wanted;
  const name = JSON.stringify(others);
  const ofRun = kept.get(uid) ?? kept.set(uid, new Map()).get(uid);
  const there = ofRun.get(name);
  if (there) return there;
  if (size > KEPT) forgetAll();
  const coming = new Promise((resolve, reject) => {
    if (!queue.length) requestAnimationFrame(send);
    queue.push({ wanted, resolve, reject });
  });
  coming.catch(() => ofRun.delete(name));
  ofRun.set(name, coming);
  size += 1;
  return coming;
}

/** Forget the curves of runs that changed. */
export function forget(uids) {
  for (const uid of uids) {
    size -= kept.get(uid)?.size ?? 0;
    kept.delete(uid);
  }
}

function forgetAll() {
  kept.clear();
  size = 0;
}

/** All that was wanted in this frame, one request for each axis and range. */
function send() {
  const groups = new Map();
  for (const item of queue) {
    const name = shared(item.wanted);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  queue = [];
  for (const group of groups.values()) {
    const part = Math.min(MOST, Math.floor(MOST_POINTS / group[0].wanted.points));
    for (let at = 0; at < group.length; at += part) sendGroup(group.slice(at, at + part));
  }
}

const shared = ({ x, from, to, points }) => JSON.stringify([x, from, to, points]);

async function sendGroup(group) {
  const { x, from, to, points } = group[0].wanted;
  const curves = group.map(({ wanted: { uid, key, stream, writer } }) => ({ uid, key, stream, writer }));
  try {
    const answer = await ask('curves', { body: { curves, x, from, to, points } });
    group.forEach(({ resolve }, i) => resolve(answer.curves[i]));
  } catch (error) {
    for (const { reject } of group) reject(error);
  }
}
