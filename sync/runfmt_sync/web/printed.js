/**
 * Parts of what a program printed, by their place in the file: whole lines, however large the file is.
 */

import { askFile, Problem } from './api.js';

/** So many bytes are asked for at once; and when they are searched. */
export const PART = 2 ** 18;
const SEARCHED = 2 ** 22;
const NEWLINE = 10;

/**
 * @typedef {object} Part
 * @property {number} start of its first byte
 * @property {number} end
 * @property {number} total bytes of the file
 * @property {string} text
 */

/** Where the first whole line begins; of a line that is larger than a part, pieces are shown. */
function firstLine(bytes) {
  const at = bytes.indexOf(NEWLINE) + 1;
  return at < bytes.length ? at : 0;
}

export class Printed {
  /**
   * @param {string} uid
   * @param {string} path of the stream
   */
  constructor(uid, path) {
    Object.assign(this, { uid, path });
  }

  /** The last part, or null of a file with nothing in it. */
  async last() {
    return this.read(`bytes=-${PART}`);
  }

  /** What stands between two places; lines that begin before it are left out. */
  async between(start, end) {
    return this.read(`bytes=${start}-${end - 1}`);
  }

  /** What came behind a place, at which a line begins; null: nothing. The byte before it is there. */
  async behind(start) {
    const before = Math.min(start, 1);
    return this.read(`bytes=${start - before}-`, before);
  }

  /** Without `skip` (bytes), what stands before the first whole line is left out. */
  async read(range, skip = null) {
    const found = await this.bytes(range);
    if (!found || found.bytes.length === skip) return null;
    const { bytes, start, total } = found;
    const cut = skip ?? (start > 0 ? firstLine(bytes) : 0);
    const text = new TextDecoder().decode(bytes.subarray(cut));
    return { start: start + cut, end: start + bytes.length, total, text };
  }

  async bytes(range, signal) {
    try {
      const answer = await askFile(this.uid, this.path, { range, signal });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const said = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get('Content-Range') ?? '');
      if (said) return { bytes, start: Number(said[1]), total: Number(said[2]) };
      return bytes.length ? { bytes, start: 0, total: bytes.length } : null;
    } catch (error) {
      if (error instanceof Problem && error.status === 416) return null;
      throw error;
    }
  }

  /**
   * Where a text stands last before a place; null: nowhere.
   * @param {string} wanted in lower case
   * @param {number} before
   * @param {(at: number) => void} tell how far it is
   * @param {AbortSignal} signal
   */
  async findBefore(wanted, before, tell, signal) {
    const overlap = wanted.length * 4;
    for (let end = before; end > 0; end -= SEARCHED - overlap) {
      const start = Math.max(end - SEARCHED, 0);
      tell(end);
      const found = await this.bytes(`bytes=${start}-${end - 1}`, signal);
      const text = new TextDecoder().decode(found?.bytes);
      const at = text.toLowerCase().lastIndexOf(wanted);
      if (at >= 0) return start + new TextEncoder().encode(text.slice(0, at)).length;
    }
    return null;
  }
}
