/**
 * What changes at the server is noticed within a second, while the page is visible.
 */

import { ask, Problem } from './api.js';
import { load, refresh, runOf, status } from './runs.js';

const PERIOD = 1000;
/** So many runs are asked about; those in the view come first. */
const MOST = 300;

let watched = () => [];
let marks = new Map();
let all = null;
let timer = 0;
let isAsking = false;
const listeners = new Set();
const watchers = new Set();

/** `isFollowing`: the last question was answered; `isLive`: a run that is watched is running. */
export const pulse = { isFollowing: true, isLive: false };

/** @param {() => string[]} uids those in the view, asked for at every pulse */
export function watch(uids) {
  watched = uids;
}

/** @param {(changed: Set<string>) => void} listener gets the runs of which anything changed */
export function onChanged(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {() => void} watcher called after every pulse */
export function onPulse(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/**
 * Note how runs are before something of them is loaded, so that what changes meanwhile is noticed.
 * @param {string[]} uids
 */
export async function notice(uids) {
  const fresh = uids.filter((uid) => !marks.has(uid));
  if (!fresh.length) return;
  const answer = await ask('pulse', { body: { uids: fresh } });
  for (const [uid, run] of Object.entries(answer.runs)) {
    if (run.state === runOf(uid)?.state) marks.set(uid, textOf(run));
  }
}

/** Begin, and go on for as long as the page is there. */
export function follow() {
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) beat();
  });
  beat();
}

async function beat() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  try {
    await look();
    pulse.isFollowing = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    pulse.isFollowing = false;
  } finally {
    isAsking = false;
    if (!document.hidden) timer = setTimeout(beat, PERIOD);
    for (const watcher of watchers) watcher();
  }
}

async function look() {
  const uids = watched()
    .filter((uid) => !runOf(uid)?.refused)
    .slice(0, MOST);
  const answer = await ask('pulse', { body: { uids } });
  const now = new Map(Object.entries(answer.runs));
  pulse.isLive = [...now.values()].some((run) => run.state === 'running');
  const changed = [...now.keys()].filter((uid) => hasChanged(uid, now.get(uid)));
  for (const [uid, run] of now) marks.set(uid, textOf(run));
  if (all !== null && all !== answer.all && status.scope !== undefined) await load(status.scope, true);
  all = answer.all;
  if (!changed.length) return;
  for (const listener of listeners) listener(new Set(changed));
  await refresh(changed);
}

/** Of one that goes on and is seen for the first time, rows may have come since it was loaded. */
function hasChanged(uid, run) {
  if (marks.has(uid)) return marks.get(uid) !== textOf(run);
  return run.state === 'running' || run.state !== runOf(uid)?.state;
}

const textOf = (run) => `${run.mark} ${run.state}`;
