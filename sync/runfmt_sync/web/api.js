/**
 * The read API of the server: JSON over fetch, with the bearer token of this tab.
 */

const KEPT = 'runfmt.token';
const TRIES = 3;

/** What the server, or the way to it, had to say against a request. */
export class Problem extends Error {
  /**
   * @param {number} status 0: no answer at all
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let askForToken = async () => {
  throw new Problem(401, 'a token is needed');
};
let signingIn = null;

/** Say who asks the user for a token; the promise is kept when there is one. */
export function onSignIn(ask) {
  askForToken = ask;
}

/** Take the token out of `#token=...`: it stands neither in the address nor in links that are sent. */
export function takeToken() {
  const found = /^#token=([^&]*)&?(.*)$/.exec(location.hash);
  if (!found) return;
  keepToken(decodeURIComponent(found[1]));
  history.replaceState(null, '', `${location.pathname}${found[2] ? `#${found[2]}` : ''}`);
}

/** @param {string} token kept as long as this tab */
export function keepToken(token) {
  sessionStorage.setItem(KEPT, token);
}

/**
 * Ask for JSON.
 * @param {string} path below `v1/`; empty: what the server says of itself
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options] a body is sent as JSON, by POST
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function ask(path, { method, body, signal } = {}) {
  const answer = await send(path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  return answer.json();
}

/**
 * Ask for a file of a run, or bytes of it.
 * @param {string} uid
 * @param {string} path
 * @param {{range?: string, signal?: AbortSignal}} [options] range: as `bytes=0-99`
 * @returns {Promise<Response>}
 * @throws {Problem}
 */
export async function askFile(uid, path, { range, signal } = {}) {
  const parts = path.split('/');
  if (parts.some((part) => ['', '.', '..'].includes(part)))
    throw new Problem(0, `${path} names no file of the run`);
  const place = parts.map(encodeURIComponent).join('/');
  return send(`runs/${encodeURIComponent(uid)}/files/${place}`, { method: 'GET', range, signal });
}

async function send(path, request) {
  for (let tried = 1; ; tried += 1) {
    const answer = await once(path, request);
    if (answer.ok) return answer;
    if (answer.status === 401) {
      await signIn();
    } else if ((answer.status === 429 || answer.status === 503) && tried < TRIES) {
      await pause(Number(answer.headers.get('Retry-After')) || tried);
    } else {
      throw await problemOf(answer);
    }
  }
}

async function once(path, { method, body, range, signal }) {
  const token = sessionStorage.getItem(KEPT);
  const headers = {
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(body !== undefined && { 'Content-Type': 'application/json' }),
    ...(range && { Range: range }),
  };
  try {
    return await fetch(path ? `v1/${path}` : 'v1', { method, body, headers, signal, cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'The server does not answer. Is it still running?');
  }
}

/** One question at a time, however many requests wait for it. */
function signIn() {
  signingIn ??= askForToken(sessionStorage.getItem(KEPT) !== null).finally(() => {
    signingIn = null;
  });
  return signingIn;
}

async function problemOf(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Problem(answer.status, said.detail || said.title || `the server answered ${answer.status}`);
}

function pause(seconds) {
  return new Promise((done) => {
    setTimeout(done, seconds * 1000);
  });
}
