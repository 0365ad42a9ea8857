/**
 * Files of runs as addresses within this page: fetched when held, checked, and freed when nobody holds them.
 */

import { askFile, Problem } from './api.js';

/**
 * @typedef {object} Named what a row says of a file
 * @property {string} path
 * @property {string} [sha256]
 * @property {number} [size]
 */

/** So many that nobody holds are kept: who goes one step back sees them at once. */
const IDLE = 64;
const IDLE_BYTES = 64e6;
const TYPES = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  bmp: 'image/bmp',
  webp: 'image/webp',
  svg: 'image/svg+xml',
  wav: 'audio/wav',
  mp3: 'audio/mpeg',
  flac: 'audio/flac',
  ogg: 'audio/ogg',
  mp4: 'video/mp4',
  webm: 'video/webm',
};

/** @type {Map<string, object>} `uses`, `size` in bytes, `url`, `stop` (of the request), `file` (a promise) */
const files = new Map();

/**
 * Hold a file of a run.
 * @param {string} uid
 * @param {Named} named
 * @returns {{file: Promise<import('./viewer.js').File>, release: () => void}} good until released
 */
export function hold(uid, named) {
  const name = JSON.stringify([uid, named.path, named.sha256]);
  const entry = files.get(name) ?? begin(uid, named, name);
  files.delete(name);
  files.set(name, entry);
  entry.uses += 1;
  let isHeld = true;
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    entry.uses -= 1;
    if (!entry.uses) rest(name, entry);
  };
  return { file: entry.file, release };
}

function begin(uid, named, name) {
  const entry = { uses: 0, size: 0, url: null, stop: new AbortController(), file: null };
  entry.file = load(uid, named, entry.stop.signal).then((blob) => {
    Object.assign(entry, { size: blob.size, url: URL.createObjectURL(blob) });
    return { url: entry.url, blob };
  });
  entry.file.catch(() => {
    if (files.get(name) === entry) files.delete(name);
  });
  return entry;
}

/** Nobody holds it: it is no longer fetched, or kept until newer ones take its place. */
function rest(name, entry) {
  if (!entry.url) {
    entry.stop.abort();
    if (files.get(name) === entry) files.delete(name);
    return;
  }
  const idle = [...files].filter(([, one]) => !one.uses && one.url);
  let [count, size] = [idle.length, idle.reduce((sum, [, one]) => sum + one.size, 0)];
  for (const [other, one] of idle) {
    if (count <= IDLE && size <= IDLE_BYTES) return;
    URL.revokeObjectURL(one.url);
    files.delete(other);
    [count, size] = [count - 1, size - one.size];
  }
}

async function load(uid, { path, sha256, size }, signal) {
  const answer = await found(uid, path, signal);
  const bytes = await answer.arrayBuffer();
  if (Number.isInteger(size) && size !== bytes.byteLength)
    throw new Problem(
      0,
      `${path} has ${bytes.byteLength} bytes, and was logged with ${size}: it was changed`,
    );
  // Only where the browser can: over plain HTTP from another machine it has no digests.
  if (typeof sha256 === 'string' && crypto.subtle && (await digestOf(bytes)) !== sha256)
    throw new Problem(0, `${path} is not what was logged: its digest is another one`);
  return new Blob([bytes], { type: TYPES[endingOf(path)] ?? 'application/octet-stream' });
}

async function found(uid, path, signal) {
  try {
    return await askFile(uid, String(path), { signal });
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    throw new Problem(404, `${path} is not there: it was removed, or is still on its way`);
  }
}

async function digestOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What stands behind the last dot of a path. */
export const endingOf = (path) => /\.([a-z0-9]+)$/i.exec(path)?.[1].toLowerCase() ?? '';
