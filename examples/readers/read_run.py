#!/usr/bin/env python3
"""Read one run with the standard library alone: python read_run.py RUN_DIRECTORY [--now UNIX_SECONDS]

Written from the specification of the run layout only; the ids in the comments are its rules.
"""

import argparse
import contextlib
import json
import math
import os
import re
import time
from datetime import datetime

MAX_LINE, MAX_DEPTH = 10 * 2**20, 256  # R027, bytes with the LF; levels that this reader can follow
UNREADABLE = (OSError, ValueError, RecursionError)
ID = re.compile(r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z))[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?<!\.)")
METRICS = re.compile(r"metrics(?:\.(?!main\.)([a-z0-9]{1,32}))?\.jsonl")
POINTER = re.compile(r"(/([^~/]|~[01])*)+")
KEY_PATH = re.compile(r"([^\\]|\\[.\\])*")  # R038
SAFE_PATH = re.compile(r"((^|/)(?!\.)[^/\\\x00-\x1f\x7f-\x9f]+)+")  # R005, R007
STREAM = re.compile(r"[^/]*\.(jsonl|log)")
DATE = re.compile(r"(?a:\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{6}Z)")


def parse(data):
    """The JSON object in some bytes, if they are strict I-JSON (R023); raises one of UNREADABLE."""
    text = data.decode("utf-8")
    value = json.loads(text, parse_int=finite, parse_float=finite, parse_constant=finite)
    if not isinstance(value, dict) or any(at.count("/") >= MAX_DEPTH for at, _, _ in places(value)):
        raise ValueError("not an object, or nested too deeply")
    if "\\u" in text:  # UTF-16 joins the halves of a pair, and refuses a half that is alone
        units = re.sub(r"\\(?:u(....)|.)", lambda escape: chr(int(escape[1] or "20", 16)), text)
        units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return value


def finite(text):
    if not math.isfinite(float(text)):
        raise ValueError("not within binary64")
    return int(text) if text.lstrip("-").isdigit() else float(text)


def places(node, at=""):
    """Every place in a document: its JSON Pointer (RFC 6901), the object or list it is in, its key there."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        pointer = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield pointer, node, key
        yield from places(value, pointer)


def decode(document):
    """Take `_nonfinite` out and put its numbers in (R035); False if part of it is no good (R036)."""
    entries = document.pop("_nonfinite", {})
    if not isinstance(entries, dict):
        return False
    nulls = {at: (node, key) for at, node, key in places(document) if node[key] is None}
    known = [at for at, name in entries.items() if at in nulls and name in ["NaN", "Infinity", "-Infinity"]]
    for at in known:
        node, key = nulls[at]
        node[key] = float(entries[at])
    return len(known) == len(entries)


def encode(document):
    """Put null and `_nonfinite` where the document has NaN and the infinities."""
    found = {}
    for at, node, key in places(document):
        if isinstance(node[key], float) and not math.isfinite(node[key]):
            found[at], node[key] = json.dumps(node[key]), None
    return {**document, "_nonfinite": found} if found else document


def is_number(value, low=-math.inf):
    return type(value) in (int, float) and math.isfinite(value) and value >= low


def is_integer(value, low=-math.inf):
    return is_number(value, low) and value == int(value) <= 2**53 - 1


def is_map(value):  # from key paths to values
    return isinstance(value, dict) and fits([*value], [KEY_PATH])


def fits(value, form):
    """Whether a value has a form: a type, a pattern, a list of a form, the members of an object, a test."""
    if isinstance(form, type):
        return isinstance(value, form)
    if isinstance(form, re.Pattern):
        return isinstance(value, str) and form.fullmatch(value) is not None
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, dict):
        return isinstance(value, dict) and all(has_member(value, *member) for member in form.items())
    return form(value)


def has_member(value, key, form):
    """Whether an object has a member of a form; where the key ends in `?`, it may be absent."""
    name = key.removesuffix("?")
    return fits(value[name], form) if name in value else name != key


IDENTITY = {  # R010
    "runfmt": is_integer,
    "requires": [str],
    "uid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "id": str,
    "state": re.compile("running|finished|failed|killed|preempted"),
}
ATTRIBUTES = dict.fromkeys(["project", "entity", "name", "notes", "group", "job_type"], str) | {"tags": [str]}
EDITABLE = {**ATTRIBUTES, "config": dict, "summary": dict}  # R094
DEFINE = {
    "name": re.compile(KEY_PATH.pattern + r"\*?"),
    "step_metric?": KEY_PATH,
    "summary?": [str],
    "goal?": re.compile("maximize|minimize"),
    **dict.fromkeys(["step_sync?", "hidden?", "overwrite?"], bool),
}
CONTROL = {  # a control key: the rule and the form of its value (R055)
    "_rewind": ("R050", lambda value: is_integer(value, -1)),
    "_gap": ("R052", lambda value: False),  # every gap is reported, well told or not
    "_summary": ("R053", {"set?": is_map, "del?": [KEY_PATH]}),
    "_define": ("R054", DEFINE),
}
RESERVED = {"_step", "_timestamp", "_runtime", *CONTROL}


def is_tree(value):
    return isinstance(value, dict) and value != {} and "_type" not in value


def merge(old, new):
    """Lay a row over those before it (R041, R042)."""
    for key, value in new.items():
        if not is_tree(old.get(key)) or (value != {} and not is_tree(value)):
            old[key] = value
        elif value != {}:
            merge(old[key], value)


def take(row, rows, may_open):
    """Lay a row over the logical rows of its stream, which are by step; yields the rules that it breaks."""
    good = decode(row)
    if not is_integer(row.get("_step"), 0):
        yield "R030"
        return
    if not good:
        yield "R036"
    if not is_number(row.get("_timestamp", 0)):
        del row["_timestamp"]
        yield "R031"
    yield from (rule for key, (rule, form) in CONTROL.items() if key in row and not fits(row[key], form))
    values = [node[key] for _, node, key in places(row)]
    if not all(may_open(value["path"]) for value in values if fits(value, {"_type": object, "path": object})):
        yield "R070"
    if is_integer(row.get("_rewind"), -1):
        for later in [step for step in rows if step > row["_rewind"]]:
            del rows[later]
    if row.keys() - RESERVED or not row.keys() & CONTROL.keys():  # R044
        shown = {key: row[key] for key in row if key == "_timestamp" or key not in RESERVED}
        merge(rows.setdefault(int(row["_step"]), {"_step": int(row["_step"])}), shown)


def overlay(document, edits):
    """Lay edits.json over what it is about (R095); False if an entry is no good (R094)."""
    good = []
    for pointer, edit in edits.items():
        top, *below = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]] or [""]
        forms = {"config": object, "summary": object} if below else EDITABLE
        form = {"time": is_number, "author": str, "value?": forms.get(top)}  # R093
        if POINTER.fullmatch(pointer) and top in forms and fits(edit, form):
            good.append((edit["time"], pointer.encode(), [top, *below], edit))
    for _, _, keys, edit in sorted(good, key=lambda entry: entry[:2]):
        lay(document, keys, edit)
    return len(good) == len(edits)


def lay(node, keys, edit):
    for key in keys[:-1]:
        if "value" in edit and not isinstance(node.get(key), dict):
            node[key] = {}
        node = node[key] if isinstance(node.get(key), dict) else {}
    node.pop(keys[-1], None)
    node.update({keys[-1]: edit["value"]} if "value" in edit else {})


class Run:
    def __init__(self, directory):
        self.root = os.path.abspath(directory)
        self.problems, self.times, self.links, self.entries = set(), [], set(), set()
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]  # R005
            for path in [os.path.join(folder, name) for name in folders + files if not name.startswith(".")]:
                known = self.links if os.path.islink(path) else self.entries
                known.add(os.path.relpath(path, self.root))

    def report(self, rule, path, offset=-1):
        self.problems.add((os.fsencode(path), offset, rule))

    def load(self, name, rule):
        """The object in a document; {} if it is not readable, which is reported."""
        try:
            with open(os.path.join(self.root, name), "rb") as file:
                return parse(file.read())
        except UNREADABLE:
            self.report(rule, name)
        return {}

    def document(self, name):
        document = self.load(name, "R091") if name in self.entries else {}
        if not decode(document):
            self.report("R036", name)
        return document

    def may_open(self, path):  # R070
        ends = [slash.start() for slash in re.finditer("/|$", path)] if fits(path, SAFE_PATH) else []
        return ends != [] and self.links.isdisjoint(path[:end] for end in ends)

    def lines(self, name):
        """The good lines of a stream, each with its offset."""
        offset = 0
        with open(os.path.join(self.root, name), "rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    self.report("R020", name, offset)
                    break
                if len(line) > MAX_LINE and name.endswith(".jsonl"):
                    self.report("R027", name, offset)
                elif name.endswith(".jsonl"):
                    try:
                        yield offset, parse(line)
                    except UNREADABLE:
                        self.report("R023", name, offset)
                offset += len(line)

    def logical_rows(self, name):
        rows, seen = {}, None
        for offset, row in self.lines(name):
            seen = row.get("_timestamp")
            for rule in take(row, rows, self.may_open) if METRICS.fullmatch(name) else ():
                self.report(rule, name, offset)
        self.times += [seen] if is_number(seen) else []
        return [encode(rows[step]) for step in sorted(rows)]

    def is_crashed(self, run, now):  # R019
        if not self.times and fits(run.get("created_at"), DATE):
            with contextlib.suppress(ValueError):  # a month 13
                self.times.append(datetime.fromisoformat(run["created_at"][:-1] + "+00:00").timestamp())
        return run["state"] == "running" and self.times != [] and now - max(self.times) > 300

    def identity(self):
        """run.json, and the rules that it breaks."""
        run = self.load("run.json", "R010") if "run.json" in self.entries else {}
        version = run.get("runfmt")
        if is_integer(version) and version != 1:
            return run, ["R011"]
        if is_integer(version) and fits(run.get("requires"), [str]) and run["requires"]:
            return run, ["R012"]
        if not fits(run, IDENTITY):
            return run, ["R010"]
        right = {"R013": ID.fullmatch(run["id"]), "R014": run["id"] == os.path.basename(self.root)}
        return run, [rule for rule in right if not right[rule]]

    def streams(self):
        """The logical rows of each writer."""
        rows = {}
        for name in self.entries:
            if re.fullmatch(r"[^/]*\.(jsonl|log)", name) and os.path.isfile(os.path.join(self.root, name)):
                logical, metrics = self.logical_rows(name), METRICS.fullmatch(name)
                rows.update({metrics[1] or "main": logical} if metrics else {})
        return rows

    def read(self, now):
        run, broken = self.identity()
        for rule in broken:
            self.report(rule, "run.json")
        if broken in (["R011"], ["R012"]):
            return {"state": "refused", "problems": self.listed()}
        for link in self.links:
            self.report("R006", link)
        config, _, edits = (self.document(f"{name}.json") for name in ("config", "summary", "edits"))
        rows = self.streams()
        state = "damaged" if broken == ["R010"] else "crashed" if self.is_crashed(run, now) else run["state"]
        attributes = {**ATTRIBUTES, "id": str}
        edited = {key: run[key] for key in attributes if key in run and fits(run[key], attributes[key])}
        edited["config"] = config
        if not overlay(edited, edits):
            self.report("R094", "edits.json")
        defaults = {"id": "", "project": "", "name": "", "notes": "", "tags": []}
        return {
            "state": state,
            "run": {key: edited.get(key, default) for key, default in defaults.items()},
            "config": encode(edited.get("config", {})),
            "rows": rows,
            "problems": self.listed(),
        }

    def listed(self):
        ordered = [(os.fsdecode(path), offset, rule) for path, offset, rule in sorted(self.problems)]
        return [{"rule": rule, "path": path, "offset": None if at < 0 else at} for path, at, rule in ordered]


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", metavar="RUN_DIRECTORY")
    arguments.add_argument("--now", metavar="UNIX_SECONDS", type=float, default=time.time())
    options = arguments.parse_args()
    run = Run(options.run)
    if not {"run.json", "metrics.jsonl"} & run.entries:
        arguments.error(f"not a run ({run.root}): name a directory that holds run.json or metrics.jsonl")
    print(json.dumps(run.read(options.now)))
