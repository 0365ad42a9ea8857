/**
 * What who looks at the page may do: the server says it (H070), and the page offers no more.
 */

import { ask, Problem } from './api.js';

let scopes = [];

/** Whether names, notes, tags and values may be changed. */
export const mayEdit = () => scopes.includes('append');

/** Ask the server; of one that does not answer nothing may be done. */
export async function learnAccess() {
  try {
    scopes = (await ask('')).may ?? [];
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    scopes = [];
  }
}
