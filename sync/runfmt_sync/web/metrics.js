/**
 * Which metrics the chosen runs have, and what they were defined as.
 */

import { ask, Problem } from './api.js';
import { notice } from './live.js';

/**
 * @typedef {object} Panel
 * @property {string} id as addresses name it
 * @property {string} stream `metrics` or `system`
 * @property {string} key
 * @property {string} kind `number`, or the `_type` of an object
 * @property {number} runs that have it
 */

const STREAMS = ['metrics', 'system'];
/** Who writes where only one does. */
export const MAIN = 'main';
/** So often at most (milliseconds) are they asked for again: of runs that go on, and after a failure. */
const [PERIOD, LONG_PERIOD] = [900, 10_000];
/** The list of so many metrics is asked for less often. */
const MANY = 2000;

/**
 * `writers` are those of any stream, the main one first; `left` is how many keys the server did not name;
 * `pending` are runs that it still reads; `problems` are those of single runs, by uid.
 */
export const metrics = {
  panels: [],
  definitions: [],
  writers: [],
  left: 0,
  pending: [],
  problems: {},
  isLoading: false,
  problem: null,
};

const listeners = new Set();
let asked = '';
let askedAt = 0;

/** @param {() => void} listener called when other metrics are there */
export function onMetrics(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Ask for the metrics of runs; `again`: from time to time, for there may be new ones. */
export async function loadMetrics(uids, again = false) {
  const wanted = uids.join();
  const period = metrics.panels.length < MANY ? PERIOD : LONG_PERIOD;
  if (wanted === asked && !(again && Date.now() - askedAt > period)) return;
  metrics.isLoading ||= wanted !== asked;
  [asked, askedAt] = [wanted, Date.now()];
  try {
    const questions = uids.length ? STREAMS.map((stream) => ask('keys', { body: { uids, stream } })) : [];
    const [answers] = await Promise.all([Promise.all(questions), notice(uids)]);
    if (wanted === asked) accept(answers);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    Object.assign(metrics, { problem: error, isLoading: false });
  }
  for (const listener of listeners) listener();
}

function accept(answers) {
  const panels = answers.flatMap(({ keys }, i) =>
    keys.map((key) => ({ ...key, stream: STREAMS[i], id: i ? `system:${key.key}` : key.key })),
  );
  Object.assign(metrics, {
    panels,
    definitions: answers[0]?.definitions ?? [],
    writers: inOrder(answers.flatMap(({ writers }) => writers ?? [])),
    left: answers.reduce((sum, { left }) => sum + (left ?? 0), 0),
    pending: answers.flatMap(({ pending }) => pending ?? []),
    problems: Object.assign({}, ...answers.map((answer) => answer.problems)),
    isLoading: false,
    problem: null,
  });
}

const ORDER = new Intl.Collator('en', { numeric: true });

function inOrder(writers) {
  const others = [...new Set(writers)].filter((one) => one !== MAIN).sort(ORDER.compare);
  return writers.includes(MAIN) ? [MAIN, ...others] : others;
}
