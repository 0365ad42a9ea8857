#!/usr/bin/env node
// Read runs with Node alone: node read_run.mjs RUN_DIRECTORY... [--now UNIX_SECONDS]
// Written from the specification of the run layout only; the ids in the comments are its rules.

import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

const MAX_LINE = 10 * 2 ** 20; // R027, bytes with the LF
const MAX_LEVELS = 64; // R025
const NONFINITE = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);
const METRICS = /^metrics(?:\.(?!main\.)([a-z0-9]{1,32}))?\.jsonl$/; // R061
const ID = /^(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[a-z0-9][a-z0-9._-]{0,127}$/i; // R013
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SAFE_PATH = /^(?!\/|[A-Za-z]:)((^|\/)(?!\.)[^/\\\x00-\x1f\x7f]+)+$/; // R005, R007
const STATES = ["running", "finished", "failed", "killed", "preempted"];
const CONTROL = ["_rewind", "_gap", "_summary", "_define"];

// --- Values ---

const isNested = (value) => typeof value === "object" && value !== null;
const isObject = (value) => isNested(value) && !Array.isArray(value);
const isTree = (value) => isObject(value) && !("_type" in value);
const isText = (value) => typeof value === "string";
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const isInteger = (value, lowest) => Number.isSafeInteger(value) && value >= lowest;
const compareBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const ATTRIBUTES = {
  project: isText, entity: isText, name: isText, notes: isText, group: isText, job_type: isText, tags: isTexts,
};
const EDITABLE = /^\/(project|entity|name|notes|group|job_type|tags)$|^\/(config|summary)(\/([^~/]|~[01])*){1,63}$/; // R094

/** An object that has no other keys than those it is given, so that `__proto__` is a key as any other. */
const bare = (...objects) => Object.assign(Object.create(null), ...objects);

/** The object in some bytes; throws if they are not I-JSON (R023). */
function parse(bytes) {
  const value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  if (!isObject(value)) throw new SyntaxError("not an object");
  check(value, 1);
  return value;
}

/** Check texts, numbers and depth, and take the prototypes away. */
function check(value, level) {
  if (isText(value) && /\p{Surrogate}/u.test(value)) throw new SyntaxError("lone surrogate");
  if (value === Infinity || value === -Infinity) throw new SyntaxError("not within binary64");
  if (!isNested(value)) return;
  if (level > MAX_LEVELS) throw new SyntaxError("nested too deeply");
  if (isObject(value)) Object.setPrototypeOf(value, null);
  for (const key in value) {
    check(key, level);
    check(value[key], level + 1);
  }
}

/** Every place in a document: its JSON Pointer (RFC 6901), the object or list it is in, its key there. */
function* places(node, above = "") {
  for (const key of isNested(node) ? Object.keys(node) : []) {
    const pointer = `${above}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    yield [pointer, node, key];
    yield* places(node[key], pointer);
  }
}

/** Take `_nonfinite` out and put its numbers in (R035); false if part of it is no good (R036). */
function decode(document) {
  const entries = "_nonfinite" in document ? document._nonfinite : {};
  delete document._nonfinite;
  if (!isObject(entries)) return false;
  for (const [pointer, node, key] of places(document)) {
    if (node[key] !== null || !NONFINITE.has(entries[pointer])) continue;
    node[key] = NONFINITE.get(entries[pointer]);
    delete entries[pointer];
  }
  return Object.keys(entries).length === 0;
}

/** Put null and `_nonfinite` where the document has NaN and the infinities. */
function encode(document) {
  const found = bare();
  for (const [pointer, node, key] of places(document)) {
    if (typeof node[key] !== "number" || Number.isFinite(node[key])) continue;
    found[pointer] = String(node[key]);
    node[key] = null;
  }
  return Object.keys(found).length > 0 ? bare(document, { _nonfinite: found }) : document;
}

// --- Rows and edits ---

/** Lay a row over those before it (R041, R042). */
function merge(old, row) {
  for (const key in row) {
    if (isTree(old[key]) && isTree(row[key])) merge(old[key], row[key]);
    else old[key] = row[key];
  }
}

/** Lay a row over the logical rows of its stream, which are by step; returns the rules that it breaks. */
function take(row, rows, mayOpen) {
  const restored = decode(row);
  const { _step: step, _timestamp: time, _rewind: rewind } = row;
  if (!isInteger(step, 0)) return ["R030"];
  if (!Number.isFinite(time)) delete row._timestamp;
  delete row._runtime; // R034
  const media = [...places(row)].filter(([, node, key]) => node !== row && key === "path" && "_type" in node);
  const broken = {
    R031: !Number.isFinite(time),
    R036: !restored,
    R050: "_rewind" in row && !isInteger(rewind, -1),
    R052: "_gap" in row, // each is reported, well told or not
    R070: !media.every(([, node]) => mayOpen(node.path)),
  };
  if (isInteger(rewind, -1)) for (const later of [...rows.keys()].filter((known) => known > rewind)) rows.delete(later);
  const isControl = CONTROL.some((key) => key in row);
  for (const key of CONTROL) delete row[key];
  if (!isControl || Object.keys(row).some((key) => key !== "_step" && key !== "_timestamp")) { // R044
    if (!rows.has(step)) rows.set(step, bare());
    merge(rows.get(step), row);
  }
  return Object.keys(broken).filter((rule) => broken[rule]);
}

/** Whether an entry of edits.json has its form, and may be edited (R093, R094). */
function isEdit([pointer, edit]) {
  if (!EDITABLE.test(pointer) || !isObject(edit) || !Number.isFinite(edit.time) || !isText(edit.author)) return false;
  const isRight = ATTRIBUTES[pointer.slice(1)];
  return !isRight || !("value" in edit) || isRight(edit.value);
}

const keysOf = (pointer) => pointer.slice(1).split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));

/** Lay one entry of edits.json over what it is about (R095). */
function lay(node, [key, ...below], edit) {
  const inner = isObject(node[key]) ? node[key] : bare();
  if (below.length > 0) lay(inner, below, edit);
  if ("value" in edit) node[key] = below.length > 0 ? inner : edit.value;
  else if (below.length === 0) delete node[key];
}

// --- The run ---

/** The seconds of a time in run.json; minus infinity if it is none, as on the 30th of February. */
function unixTime(text) {
  const moment = new Date(/^[-\d]{10}T[:\d]{8}\.\d{6}Z$/.test(text) ? text : NaN);
  const isTime = Number.isFinite(moment.getTime()) && moment.toISOString().slice(0, 19) === text.slice(0, 19);
  return isTime ? moment.getTime() / 1000 : -Infinity;
}

function canRead(file) {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

class Run {
  constructor(directory) {
    this.root = path.resolve(directory);
    this.problems = new Map();
    this.links = []; // each with a slash at its end
    this.entries = new Map(); // by relative path: whether it is a readable file
    this.times = new Map(); // of the last good line of each stream that has one (R019)
    this.scan("");
  }

  /** Find what is in the run; private names are not looked at (R005), and links not followed (R006). */
  scan(folder) {
    for (const entry of fs.readdirSync(path.join(this.root, folder), { withFileTypes: true })) {
      const name = folder + entry.name;
      if (entry.name.startsWith(".")) continue;
      if (entry.isSymbolicLink()) {
        this.links.push(`${name}/`);
        this.report("R006", name);
        continue;
      }
      const isReadable = canRead(path.join(this.root, name));
      this.entries.set(name, entry.isFile() && isReadable);
      if (!isReadable || !(entry.isFile() || entry.isDirectory())) this.report("R002", name);
      else if (entry.isDirectory()) this.scan(`${name}/`);
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

  /** A document with its numbers in place; empty if it is not there, or not readable (rule). */
  readDocument(name, rule) {
    if (!this.entries.has(name)) return bare();
    try {
      const document = parse(this.entries.get(name) ? fs.readFileSync(path.join(this.root, name)) : Buffer.of());
      if (!decode(document)) this.report("R036", name);
      return document;
    } catch {
      this.report(rule, name);
      return bare();
    }
  }

  /** Whether a reader may open what a value names (R070). */
  mayOpen(name) {
    return isText(name) && SAFE_PATH.test(name) && !this.links.some((link) => `${name}/`.startsWith(link));
  }

  /** The good objects of a stream, each with its offset; the other lines are reported. */
  *objects(name) {
    const bytes = fs.readFileSync(path.join(this.root, name));
    let start = 0;
    for (let end; (end = bytes.indexOf("\n", start) + 1) > 0; start = end) {
      if (name.endsWith(".log")) continue;
      try {
        if (end - start <= MAX_LINE) yield [start, parse(bytes.subarray(start, end))];
        else this.report("R027", name, start);
      } catch {
        this.report("R023", name, start);
      }
    }
    if (start < bytes.length) this.report("R020", name, start);
  }

  /** The logical rows of a stream, sorted; none if it is not one of metrics. */
  readStream(name) {
    const rows = new Map();
    for (const [offset, object] of this.objects(name)) {
      if (Number.isFinite(object._timestamp)) this.times.set(name, object._timestamp);
      const rules = METRICS.test(name) ? take(object, rows, (named) => this.mayOpen(named)) : [];
      for (const rule of rules) this.report(rule, name, offset);
    }
    return [...rows.values()].sort((a, b) => a._step - b._step).map(encode);
  }

  /** The rules that run.json breaks. */
  judge(run) {
    if (Number.isSafeInteger(run.runfmt)) {
      if (run.runfmt !== 1) return ["R011"];
      if (isTexts(run.requires) && run.requires.length > 0) return ["R012"];
    }
    const isWhole = run.runfmt === 1 && isTexts(run.requires) && isText(run.uid) && UUID.test(run.uid);
    if (!isWhole || !isText(run.id) || !STATES.includes(run.state)) return ["R010"];
    const rules = ID.test(run.id) && !run.id.endsWith(".") ? [] : ["R013"];
    return run.id === path.basename(this.root) ? rules : [...rules, "R014"];
  }

  /** What section 13 of the specification says, but the summary. */
  read(now) {
    const run = this.readDocument("run.json", "R010");
    const broken = this.judge(run);
    if (["R011", "R012"].includes(broken[0])) {
      return { state: "refused", problems: [{ rule: broken[0], path: "run.json", offset: null }] };
    }
    for (const rule of broken) this.report(rule, "run.json");
    const rows = bare();
    for (const [name, isFile] of this.entries) {
      if (!isFile || !/^[^/]+\.(jsonl|log)$/.test(name)) continue;
      const found = this.readStream(name);
      const metrics = METRICS.exec(name);
      if (metrics) rows[metrics[1] ?? "main"] = found;
    }
    const newest = this.times.size > 0 ? Math.max(...this.times.values()) : unixTime(run.created_at); // R019
    const isCrashed = run.state === "running" && now - newest > 300;
    const state = broken.includes("R010") ? "damaged" : isCrashed ? "crashed" : run.state;
    const [config, edits] = ["config", "edits", "summary"].map((name) => this.readDocument(`${name}.json`, "R091"));
    const edited = bare({ config });
    for (const key in ATTRIBUTES) if (ATTRIBUTES[key](run[key])) edited[key] = run[key];
    const good = Object.entries(edits).filter(isEdit);
    good.sort(([a, one], [b, other]) => one.time - other.time || compareBytes(a, b));
    for (const [pointer, edit] of good) lay(edited, keysOf(pointer), edit);
    if (good.length < Object.keys(edits).length) this.report("R094", "edits.json");
    const { project = "", name = "", notes = "", tags = [] } = edited;
    const shown = { id: isText(run.id) ? run.id : path.basename(this.root), project, name, notes, tags };
    return { state, run: shown, config: encode(config), rows, problems: this.sortedProblems() };
  }
}

function fail(message) {
  console.error(message);
  process.exit(2);
}

const { values, positionals } = parseArgs({ options: { now: { type: "string" } }, allowPositionals: true });
if (positionals.length === 0) fail("usage: read_run.mjs RUN_DIRECTORY... [--now UNIX_SECONDS]");
const now = values.now === undefined ? Date.now() / 1000 : Number(values.now);
for (const directory of positionals) {
  const run = new Run(directory);
  const isRun = run.entries.get("run.json") || run.entries.get("metrics.jsonl");
  if (!isRun) fail(`not a run (${run.root}): name a directory that holds run.json or metrics.jsonl`);
  console.log(JSON.stringify(run.read(now)));
}
