/**
 * The runs that the server has, as rows: loaded page by page, made anew when they change, edited.
 */

import { ask, Problem } from './api.js';
import { colorsOf } from './colors.js';
import { suffixesOf } from './names.js';
import { leaves, restore } from './values.js';

/**
 * @typedef {object} Run
 * @property {string} uid of a run that cannot be read at all, its path
 * @property {string} tail the end of the uid, by which addresses name it
 * @property {string} name
 * @property {string} [suffix] what tells it from others of its name
 * @property {string} state
 * @property {string} project
 * @property {string|undefined} refused why it cannot be read
 * @property {Map<string, any>} values by column: `name`, `created`, `config.lr`, `summary.loss`...
 * @property {object} row as the server gave it
 */

const PAGE = 1000;
const AT_ONCE = 50;
const TAIL = 12;

/** @type {Map<string, Run>} */
const found = new Map();
const listeners = new Set();
let colors = new Map();
/** Which call of load counts: the last one. */
let current = null;

/** What is going on: `scope` is the project that was loaded (null: all), `problem` why not. */
export const status = { scope: undefined, isLoading: false, problem: null };

/** @param {() => void} listener called when rows came, changed or went; what is returned ends it */
export function onRuns(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

/** All runs of a project, or of all projects; of those that cannot be read no project is known. */
export function runsOf(project) {
  const all = [...found.values()].sort((a, b) => (a.uid < b.uid ? 1 : -1));
  return project === null ? all : all.filter((run) => run.project === project);
}

/** @returns {Run|undefined} */
export const runOf = (uid) => found.get(uid);

export const colorOf = (uid) => colors.get(uid) ?? '#888888';

/** Have the rows of a project (null: of all) at hand; `again` asks for them even if they are. */
export async function load(project, again = false) {
  const isCovered = status.scope === project || status.scope === null;
  if (isCovered && !again && !status.problem) return;
  const mine = (current = {});
  Object.assign(status, { scope: project, isLoading: true, problem: null });
  tell();
  try {
    await loadPages(project, mine);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    status.problem = error;
  } finally {
    if (mine === current) status.isLoading = false;
  }
  tell();
}

async function loadPages(project, mine) {
  const seen = new Set();
  for (let after = ''; after !== null;) {
    const query = new URLSearchParams({
      limit: String(PAGE),
      ...(after && { after }),
      ...(project !== null && { project }),
    });
    const answer = await ask(`runs?${query}`);
    if (mine !== current) return;
    for (const row of answer.runs) seen.add(take(row));
    after = answer.next;
    settle();
  }
  for (const uid of found.keys()) if (!seen.has(uid)) found.delete(uid);
  settle();
}

/** Make the rows of some runs anew. */
export async function refresh(uids) {
  for (let at = 0; at < uids.length; at += AT_ONCE) {
    const query = new URLSearchParams(uids.slice(at, at + AT_ONCE).map((uid) => ['uid', uid]));
    for (const row of (await ask(`runs?${query}`)).runs) take(row);
  }
  settle();
}

function settle() {
  colors = colorsOf([...found.keys()].sort());
  const runs = [...found.values()];
  const suffixes = suffixesOf(runs);
  for (const run of runs) run.suffix = suffixes.get(run.uid);
  tell();
}

function take(row) {
  const run = row.refused ? refusedRun(row) : readRun(row);
  found.set(run.uid, run);
  return run.uid;
}

function refusedRun(row) {
  const uid = row.uid ?? row.path;
  const values = new Map([
    ['name', row.path],
    ['state', 'unreadable'],
    ['path', row.path],
  ]);
  return {
    uid,
    tail: uid.slice(-TAIL),
    name: row.path,
    id: row.path,
    state: 'unreadable',
    project: null,
    refused: row.refused,
    values,
    row,
  };
}

function readRun(row) {
  const { attributes = {}, config = {}, summary = {} } = row;
  restore(config);
  restore(summary);
  const name = attributes.name || attributes.id || row.path;
  return {
    uid: row.uid,
    tail: row.uid.slice(-TAIL),
    name,
    id: attributes.id ?? row.path,
    state: row.state ?? 'unknown',
    project: attributes.project ?? '',
    values: columnsOf(row, name, { config, summary }),
    row,
  };
}

function columnsOf(row, name, documents) {
  const { attributes = {} } = row;
  const created = Date.parse(attributes.created_at ?? '') / 1000;
  const values = new Map([
    ['name', name],
    ['id', attributes.id],
    ['state', row.state],
    ['project', attributes.project],
    ['path', row.path],
    ['created', attributes.created_at],
    ['updated', row.time],
    ['duration', row.time - created],
    ['rows', row.rows],
    ['tags', attributes.tags ?? []],
    ['notes', attributes.notes],
    ['group', attributes.group],
    ['job_type', attributes.job_type],
    ['entity', attributes.entity],
    ['host', attributes.environment?.host],
  ]);
  for (const [above, document] of Object.entries(documents)) {
    for (const [path, value] of leaves(document)) values.set(`${above}.${path}`, value);
  }
  return values;
}

/** How a filter finds values of a run: by column, or without `config.` and `summary.`. */
export function lookIn(run) {
  return (path) =>
    [path, `config.${path}`, `summary.${path}`]
      .map((one) => run.values.get(one))
      .find((value) => value !== undefined);
}

/**
 * Change name, notes or tags; the server gives the change its time and author (H053).
 * @param {Run} run
 * @param {string} pointer as `/name`
 * @param {any} value
 */
export async function edit(run, pointer, value) {
  const edits = { [pointer]: { value } };
  await ask(`runs/${encodeURIComponent(run.uid)}/edits`, { method: 'PATCH', body: edits });
  await refresh([run.uid]);
}
