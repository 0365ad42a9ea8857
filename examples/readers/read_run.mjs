#!/usr/bin/env node
// Read one run with Node alone: node read_run.mjs RUN_DIRECTORY [--now UNIX_SECONDS]
// Written from the specification of the run layout only; the ids in the comments are its rules.

import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

const MAX_LINE = 10 * 2 ** 20; // R027, bytes with the LF
const MAX_DEPTH = 256; // levels that this reader can follow
const LF = 0x0a;
const NONFINITE = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);
const METRICS = /^metrics(?:\.(?!main\.)([a-z0-9]{1,32}))?\.jsonl$/;
const ID = /^(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[a-z0-9][a-z0-9._-]{0,127}$/i; // R013
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const POINTER = /^(\/([^~/]|~[01])*)+$/; // RFC 6901, without the pointer to the whole
const KEY_PATH = /^([^\\]|\\[.\\])*$/; // R038
const SEGMENT = /^(?!\.)[^\\\x00-\x1f\x7f-\x9f]+$/; // R005, R007
const STATES = ["running", "finished", "failed", "killed", "preempted"];

// --- Forms of values ---

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === "string";
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const isBoolean = (value) => typeof value === "boolean";
const isKeyPath = (value) => isText(value) && KEY_PATH.test(value);
const isInteger = (value, low) => Number.isSafeInteger(value) && value >= low;
const isTree = (value) => isObject(value) && !("_type" in value) && Object.keys(value).length > 0;
const absentOr = (test, value) => value === undefined || test(value);

const ATTRIBUTES = {
  project: isText, entity: isText, name: isText, notes: isText, tags: isTexts, group: isText, job_type: isText,
};

/** What a value under a control key looks like, and the rule that says so (R055). */
const CONTROL = {
  _rewind: ["R050", (value) => isInteger(value, -1)],
  _gap: ["R052", () => false], // every gap is reported, well told or not
  _summary: ["R053", (value) =>
    isObject(value) &&
    absentOr((set) => isObject(set) && Object.keys(set).every(isKeyPath), value.set) &&
    absentOr((del) => Array.isArray(del) && del.every(isKeyPath), value.del)],
  _define: ["R054", (value) =>
    isObject(value) &&
    isText(value.name) && isKeyPath(value.name.replace(/\*$/, "")) &&
    absentOr(isKeyPath, value.step_metric) &&
    absentOr(isTexts, value.summary) &&
    absentOr((goal) => goal === "maximize" || goal === "minimize", value.goal) &&
    ["step_sync", "hidden", "overwrite"].every((member) => absentOr(isBoolean, value[member]))],
};
const RESERVED = new Set(["_step", "_timestamp", "_runtime", ...Object.keys(CONTROL)]);

// --- JSON ---

/** The JSON object in some bytes; throws if it is not strict I-JSON (R023). */
function parse(bytes) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = JSON.parse(text);
  if (!isObject(value)) throw new SyntaxError("not an object");
  // Text and numbers are checked in the source: of a key that is repeated, the value shows the last only.
  const unescaped = text.replace(/\\(?:u(.{4})|.)/g, (_, hex) => (hex ? String.fromCharCode(parseInt(hex, 16)) : " "));
  if (/\p{Surrogate}/u.test(unescaped)) throw new SyntaxError("lone surrogate");
  for (const [token] of text.replace(/\\./g, "").matchAll(/"[^"]*"|-?\d[\d.eE+-]*/g)) {
    if (token[0] !== '"' && !Number.isFinite(Number(token))) throw new SyntaxError("not within binary64");
  }
  return withoutPrototypes(value, 1);
}

/** Objects that have no other keys than those in the file, `__proto__` and `constructor` among them. */
function withoutPrototypes(value, level) {
  if (typeof value !== "object" || value === null) return value;
  if (level > MAX_DEPTH) throw new RangeError("nested too deeply");
  if (!Array.isArray(value)) Object.setPrototypeOf(value, null);
  for (const child of Object.values(value)) withoutPrototypes(child, level + 1);
  return value;
}

const keysOf = (pointer) =>
  pointer.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));

/** Take `_nonfinite` out and put its numbers in (R035); false if part of it is no good (R036). */
function decode(document) {
  const entries = document._nonfinite;
  delete document._nonfinite;
  if (entries === undefined) return true;
  if (!isObject(entries)) return false;
  return Object.entries(entries).map(([pointer, name]) => putBack(document, pointer, name)).every(Boolean);
}

function putBack(document, pointer, name) {
  if (!POINTER.test(pointer) || !NONFINITE.has(name)) return false;
  const keys = keysOf(pointer);
  const last = keys.pop();
  let node = document;
  for (const key of keys) node = child(node, key);
  if (child(node, last) !== null) return false;
  node[last] = NONFINITE.get(name);
  return true;
}

/** What a key leads to; undefined if it leads nowhere. */
function child(node, key) {
  if (Array.isArray(node)) return /^(0|[1-9][0-9]*)$/.test(key) ? node[key] : undefined;
  return isObject(node) ? node[key] : undefined;
}

/** The document with null and `_nonfinite` for NaN and the infinities. */
function encode(document) {
  const found = Object.create(null);
  const plain = (value, at) => {
    if (Array.isArray(value)) return value.map((item, i) => plain(item, `${at}/${i}`));
    if (isObject(value)) {
      const copy = Object.create(null);
      for (const key in value) {
        copy[key] = plain(value[key], `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
      }
      return copy;
    }
    if (typeof value !== "number" || Number.isFinite(value)) return value;
    found[at] = String(value);
    return null;
  };
  const encoded = plain(document, "");
  if (Object.keys(found).length > 0) encoded._nonfinite = found;
  return encoded;
}

// --- Rows ---

/** Lay a row over those before it (R041, R042). */
function merge(old, row) {
  for (const key in row) {
    const value = row[key];
    if (!isTree(old[key])) old[key] = value;
    else if (isTree(value)) merge(old[key], value);
    else if (!isObject(value) || "_type" in value) old[key] = value; // an empty object changes nothing
  }
}

/** The objects with a `_type`, at any depth. */
function* typed(value) {
  if (typeof value !== "object" || value === null) return;
  if ("_type" in value) yield value;
  for (const item of Object.values(value)) yield* typed(item);
}

/** The logical rows of one stream, by step. */
class Rows {
  constructor(mayOpen) {
    this.mayOpen = mayOpen;
    this.bySteps = new Map();
  }

  /** Take the next row of the stream; returns the rules that it breaks. */
  add(row) {
    const rules = decode(row) ? [] : ["R036"];
    if (!isInteger(row._step, 0)) return ["R030"];
    if ("_timestamp" in row && !Number.isFinite(row._timestamp)) {
      delete row._timestamp;
      rules.push("R031");
    }
    const controls = Object.keys(CONTROL).filter((key) => key in row);
    for (const key of controls) {
      const [rule, hasForm] = CONTROL[key];
      if (!hasForm(row[key])) rules.push(rule);
    }
    for (const value of Object.values(row).flatMap((value) => [...typed(value)])) {
      if ("path" in value && !this.mayOpen(value.path)) rules.push("R070");
    }
    if (isInteger(row._rewind, -1)) this.rewind(row._rewind);
    const keys = Object.keys(row).filter((key) => !RESERVED.has(key));
    if (keys.length > 0 || controls.length === 0) this.merge(row, keys); // R044
    return rules;
  }

  rewind(step) {
    for (const later of [...this.bySteps.keys()].filter((known) => known > step)) this.bySteps.delete(later);
  }

  merge(row, keys) {
    const step = row._step + 0; // -0 is 0
    if (!this.bySteps.has(step)) this.bySteps.set(step, Object.assign(Object.create(null), { _step: step }));
    const shown = Object.create(null);
    for (const key of keys) shown[key] = row[key];
    if ("_timestamp" in row) shown._timestamp = row._timestamp; // R043
    merge(this.bySteps.get(step), shown);
  }

  sorted() {
    return [...this.bySteps.values()].sort((a, b) => a._step - b._step).map(encode);
  }
}

// --- Edits ---

/** Lay edits.json over what it is about (R095); false if an entry is no good (R094). */
function overlay(document, edits) {
  const all = Object.entries(edits).map(([pointer, edit]) => ({ pointer, edit, keys: keysOf(pointer) }));
  const good = all.filter(isEdit);
  good.sort((a, b) => a.edit.time - b.edit.time || compareBytes(a.pointer, b.pointer));
  for (const { keys, edit } of good) lay(document, keys, edit);
  return good.length === all.length;
}

function isEdit({ pointer, edit, keys }) {
  if (!POINTER.test(pointer) || !isObject(edit)) return false;
  if (!Number.isFinite(edit.time) || !isText(edit.author)) return false;
  const isInside = keys[0] === "config" || keys[0] === "summary";
  if (keys.length > 1) return isInside;
  if (isInside) return absentOr(isObject, edit.value);
  return Object.hasOwn(ATTRIBUTES, keys[0]) && absentOr(ATTRIBUTES[keys[0]], edit.value);
}

function lay(document, keys, edit) {
  let node = document;
  for (const key of keys.slice(0, -1)) {
    if (!isObject(node[key])) {
      if (!("value" in edit)) return; // nothing there to delete
      node[key] = Object.create(null);
    }
    node = node[key];
  }
  if ("value" in edit) node[keys.at(-1)] = edit.value;
  else delete node[keys.at(-1)];
}

const compareBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

// --- The run ---

class Run {
  constructor(directory) {
    this.root = path.resolve(directory);
    this.problems = new Map();
    this.links = new Set();
    this.files = new Set(); // what lies in the run directory itself and is no link
    this.times = []; // of the last good line of each stream (R019)
    this.scan("");
  }

  /** Find the symbolic links, and what lies in the run directory; private names are not looked at (R005). */
  scan(folder) {
    for (const entry of fs.readdirSync(path.join(this.root, folder), { withFileTypes: true })) {
      const name = folder + entry.name;
      if (entry.name.startsWith(".")) continue;
      if (entry.isSymbolicLink()) this.links.add(name);
      else if (folder === "") this.files.add(name);
      if (entry.isDirectory()) this.scan(`${name}/`);
    }
  }

  report(rule, name, offset = null) {
    this.problems.set(JSON.stringify([rule, name, offset]), { rule, path: name, offset });
  }

  sortedProblems() {
    const order = (a, b) =>
      compareBytes(a.path, b.path) || (a.offset ?? -1) - (b.offset ?? -1) || compareBytes(a.rule, b.rule);
    return [...this.problems.values()].sort(order);
  }

  readObject(name) {
    return parse(fs.readFileSync(path.join(this.root, name)));
  }

  readDocument(name) {
    if (!this.files.has(name)) return Object.create(null);
    try {
      const document = this.readObject(name);
      if (!decode(document)) this.report("R036", name);
      return document;
    } catch {
      this.report("R091", name);
      return Object.create(null);
    }
  }

  /** run.json and the rules that it breaks. */
  readIdentity() {
    let run = Object.create(null);
    try {
      if (this.files.has("run.json")) run = this.readObject("run.json");
    } catch {
      return [run, ["R010"]];
    }
    if (Number.isSafeInteger(run.runfmt)) {
      if (run.runfmt !== 1) return [run, ["R011"]];
      if (isTexts(run.requires) && run.requires.length > 0) return [run, ["R012"]];
    }
    const isWhole = run.runfmt === 1 && isTexts(run.requires) && isText(run.uid) && UUID.test(run.uid);
    if (!isWhole || !isText(run.id) || !STATES.includes(run.state)) return [run, ["R010"]];
    const rules = ID.test(run.id) && !run.id.endsWith(".") ? [] : ["R013"];
    if (run.id !== path.basename(this.root)) rules.push("R014");
    return [run, rules];
  }

  /** Whether a reader may open what a value names (R070). */
  mayOpen(name) {
    if (!isText(name)) return false;
    const segments = name.split("/");
    return segments.every((segment, i) => SEGMENT.test(segment) && !this.links.has(segments.slice(0, i + 1).join("/")));
  }

  /** The committed lines of a stream with their offsets (R020). */
  *lines(name) {
    const bytes = fs.readFileSync(path.join(this.root, name));
    let start = 0;
    for (let end; (end = bytes.indexOf(LF, start)) >= 0; start = end + 1) {
      yield [start, bytes.subarray(start, end + 1)];
    }
    if (start < bytes.length) this.report("R020", name, start);
  }

  /** The good objects of a stream with their offsets (R023, R027). */
  *objects(name) {
    for (const [offset, line] of this.lines(name)) {
      if (line.length > MAX_LINE) {
        this.report("R027", name, offset);
        continue;
      }
      let object;
      try {
        object = parse(line);
      } catch {
        this.report("R023", name, offset);
        continue;
      }
      yield [offset, object];
    }
  }

  /** Read a .jsonl stream, and its rows if it is one of metrics. */
  readStream(name) {
    const rows = new Rows((media) => this.mayOpen(media));
    let newest;
    for (const [offset, object] of this.objects(name)) {
      newest = object._timestamp;
      if (!METRICS.test(name)) continue;
      for (const rule of rows.add(object)) this.report(rule, name, offset);
    }
    if (Number.isFinite(newest)) this.times.push(newest);
    return rows.sorted();
  }

  readStreams() {
    const writers = Object.create(null);
    for (const name of this.files) {
      if (!fs.statSync(path.join(this.root, name)).isFile()) continue;
      if (name.endsWith(".log")) for (const _ of this.lines(name)); // for their end
      if (!name.endsWith(".jsonl")) continue;
      const rows = this.readStream(name);
      const metrics = METRICS.exec(name);
      if (metrics) writers[metrics[1] ?? "main"] = rows;
    }
    return writers;
  }

  state(run, now) {
    const isDate = isText(run.created_at) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(run.created_at);
    const created = isDate ? Date.parse(run.created_at) / 1000 : NaN;
    const newest = this.times.length > 0 ? Math.max(...this.times) : created;
    return run.state === "running" && now - newest > 300 ? "crashed" : run.state; // R019
  }

  read(now) {
    const [run, broken] = this.readIdentity();
    for (const rule of broken) this.report(rule, "run.json");
    if (broken.includes("R011") || broken.includes("R012")) {
      return { state: "refused", problems: this.sortedProblems() };
    }
    for (const link of this.links) this.report("R006", link);
    const rows = this.readStreams();
    const state = broken.includes("R010") ? "damaged" : this.state(run, now);
    const edited = { __proto__: null, config: this.readDocument("config.json"), summary: this.readDocument("summary.json") };
    for (const key in ATTRIBUTES) if (ATTRIBUTES[key](run[key])) edited[key] = run[key];
    if (!overlay(edited, this.readDocument("edits.json"))) this.report("R094", "edits.json");
    const { project = "", name = "", notes = "", tags = [], config = {} } = edited;
    const shown = { id: isText(run.id) ? run.id : "", project, name, notes, tags };
    return { state, run: shown, config: encode(config), rows, problems: this.sortedProblems() };
  }
}

const { values, positionals } = parseArgs({ options: { now: { type: "string" } }, allowPositionals: true });
const run = new Run(positionals[0] ?? ".");
if (!run.files.has("run.json") && !run.files.has("metrics.jsonl")) {
  console.error(`not a run (${run.root}): name a directory that holds run.json or metrics.jsonl`);
  process.exit(2);
}
console.log(JSON.stringify(run.read(values.now === undefined ? Date.now() / 1000 : Number(values.now))));
