"""Read runs with the standard library alone: python read_run.py RUN_DIRECTORY... [--now UNIX_SECONDS]

Written from the specification of the run layout only; the ids in the comments are its rules."""

import argparse
import json
import os
import re
from datetime import datetime
from pathlib import Path

MAX_LINE, MAX_LEVELS = 10 * 2**20, 64  # R027 (bytes, with the LF), R025
ID = r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z))[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?<!\.)"  # R013
METRICS = re.compile(r"metrics(?:\.(?!main\.)([a-z0-9]{1,32}))?\.jsonl")  # R061
SAFE_PATH = r"(?!/|[A-Za-z]:)((^|/)(?!\.)[^/\\\x00-\x1f\x7f]+)+"  # R005, R007
TEXT, UID = r"(?s:.*)", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FORMS = {"requires": [TEXT], "uid": UID, "id": TEXT, "state": r"running|finished|failed|killed|preempted"}
NAMES = {**dict.fromkeys(["project", "name", "notes", "entity", "group", "job_type"], TEXT), "tags": [TEXT]}
SHOWN = {"project": "", "name": "", "notes": "", "tags": []}
EDITABLE = rf"/({'|'.join(NAMES)})|/(config|summary)(/([^~/]|~[01])*){{1,63}}"  # R094, RFC 6901
CONTROL = {"_rewind", "_gap", "_summary", "_define"}


def parse(data):
    """The object in some bytes, None if they are not I-JSON (R023)."""
    try:
        value = json.loads(data.decode(), parse_int=lambda text: int(text) if len(text) < 20 else float(text))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # refuses lone surrogates too
        levels = [at.count("/") + isinstance(node[key], (dict, list)) for at, node, key in places(value)]
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and max(levels, default=1) <= MAX_LEVELS else None


def places(node, above=""):
    """Every place in a document: its JSON Pointer (RFC 6901), the object or list it is in, its key there."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        pointer = f"{above}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield pointer, node, key
        yield from places(value, pointer)


def decode(document):
    """Take `_nonfinite` out and put its numbers in (R035); False if part of it is no good (R036)."""
    entries = document.pop("_nonfinite", {})
    for pointer, node, key in places(document) if isinstance(entries, dict) else ():
        if node[key] is None and entries.get(pointer) in ["NaN", "Infinity", "-Infinity"]:
            node[key] = float(entries.pop(pointer))
    return entries == {}


def encode(document):
    """Put null and `_nonfinite` where the document has NaN and the infinities."""
    found = {}
    for pointer, node, key in places(document):
        if isinstance(node[key], float) and not is_number(node[key]):
            found[pointer], node[key] = json.dumps(node[key]), None
    return {**document, "_nonfinite": found} if found else document


def is_number(value):
    return type(value) in (int, float) and abs(value) < float("inf")


def is_integer(value, lowest=-(2**53)):
    return is_number(value) and value == int(value) and lowest <= value < 2**53


def fits(value, form):  # form: a pattern of texts, or None for any value, or a list of one form
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    return form is None or (isinstance(value, str) and re.fullmatch(form, value) is not None)


def merge(old, row):
    """Lay a row over those before it (R041, R042)."""
    for key, value in row.items():
        if all(isinstance(node, dict) and "_type" not in node for node in (value, old.get(key))):
            merge(old[key], value)
        else:
            old[key] = value


def is_edit(at, edit):  # R093, R094
    if not fits(at, EDITABLE) or not isinstance(edit, dict) or not fits(edit.get("author"), TEXT):
        return False
    return is_number(edit.get("time")) and ("value" not in edit or fits(edit["value"], NAMES.get(at[1:])))


def lay(edit, node, key, *below):
    """Lay one entry of edits.json over what it is about (R095)."""
    inner = node[key] if isinstance(node.get(key), dict) else {}
    if below:
        lay(edit, inner, *below)
    if "value" in edit:
        node[key] = inner if below else edit["value"]
    elif not below:
        node.pop(key, None)


class Run:
    def __init__(self, directory):
        self.root, self.times = Path(directory).absolute(), {}
        paths = {path.relative_to(self.root).as_posix(): path for path in self.root.rglob("*")}
        public = {name for name in paths if "/." not in f"/{name}"}  # R005
        self.links = tuple(f"{name}/" for name in public if paths[name].is_symlink())
        self.entries = {name for name in public if f"{name}/" not in self.links}
        readable = {name for name in self.entries if os.access(paths[name], os.R_OK)}
        self.files = {name for name in readable if paths[name].is_file()}
        odd = [name for name in public - self.files if name not in readable or not paths[name].is_dir()]
        self.problems = {(name, -1, "R002" if name in self.entries else "R006") for name in odd}

    def load(self, name, rule):
        """The object in a document, decoded; {} if there is none, or if it is not readable (rule)."""
        absent = b"" if name in self.entries else b"{}"
        document = parse((self.root / name).read_bytes() if name in self.files else absent)
        if document is None or not decode(document):
            self.problems.add((name, -1, rule if document is None else "R036"))
        return document or {}

    def read_stream(self, name):
        """The logical rows of a stream of metrics; of any other, the rules from R030 on mean nothing."""
        rows, is_metrics = {}, METRICS.fullmatch(name)
        for line in re.finditer(rb".*\n|.+", (self.root / name).read_bytes()):
            broken = [rule for rule in self.take(line[0], name, rows) if is_metrics or rule < "R030"]
            self.problems |= {(name, line.start(), rule) for rule in broken}
        return [encode(rows[step]) for step in sorted(rows)]

    def take(self, line, name, rows):
        """Lay a line over the logical rows before it, which are by step; returns the rules that it breaks."""
        row = {} if name.endswith(".log") else parse(line) if len(line) <= MAX_LINE else None
        if row is None or not line.endswith(b"\n"):
            return ["R020" if not line.endswith(b"\n") else "R023" if len(line) <= MAX_LINE else "R027"]
        restored = decode(row)
        time, _, step = (row.pop(key, None) for key in ("_timestamp", "_runtime", "_step"))
        told = {"_timestamp": time} if is_number(time) else {}
        self.times.update((name, seconds) for seconds in told.values())  # R019: of each stream, the last
        if not is_integer(step, 0):
            return ["R030"]
        paths = [at[key] for _, at, key in places(row) if key == "path" and "_type" in at and at is not row]
        broken = {
            "R031": told == {},
            "R036": not restored,
            "R050": "_rewind" in row and not is_integer(row["_rewind"], -1),
            "R052": "_gap" in row,  # each is reported, well told or not
            "R070": any(not fits(path, SAFE_PATH) or f"{path}/".startswith(self.links) for path in paths),
        }
        for later in [at for at in rows if is_integer(row.get("_rewind"), -1) and at > row["_rewind"]]:
            del rows[later]
        users = {key: row[key] for key in row if key not in CONTROL}
        if users or not row.keys() & CONTROL:  # R044
            merge(rows.setdefault(int(step), {}), {"_step": int(step), **told, **users})
        return list(filter(broken.get, broken))

    def read(self, now):
        """What section 13 of the specification says, but the summary."""
        run = self.load("run.json", "R010")
        version, requires, identity, created = map(run.get, ["runfmt", "requires", "id", "created_at"])
        if is_integer(version) and (version != 1 or (requires and fits(requires, [TEXT]))):
            rule = "R011" if version != 1 else "R012"
            return {"state": "refused", "problems": [{"rule": rule, "path": "run.json", "offset": None}]}
        whole = is_integer(version) and all(fits(run.get(key), FORMS[key]) for key in FORMS)
        right = {"R013": fits(identity, ID), "R014": identity == self.root.name} if whole else {"R010": False}
        self.problems |= {("run.json", -1, rule) for rule in right if not right[rule]}
        rows = {name: self.read_stream(name) for name in self.files if fits(name, r"[^/]+\.(jsonl|log)")}
        try:
            created = datetime.strptime(f"{created!s:27}+0000", "%Y-%m-%dT%H:%M:%S.%fZ%z").timestamp()
        except ValueError:
            created = float("-inf")
        is_crashed = run.get("state") == "running" and now - max(self.times.values(), default=created) > 300
        config, edits, _ = (self.load(f"{name}.json", "R091") for name in ("config", "edits", "summary"))
        edited = {"config": config, **{key: run[key] for key in NAMES if fits(run.get(key), NAMES[key])}}
        ignored = {pointer for pointer in edits if not is_edit(pointer, edits[pointer])}
        self.problems |= {("edits.json", -1, "R094") for _ in ignored}
        for pointer in sorted(edits.keys() - ignored, key=lambda at: (edits[at]["time"], at.encode())):
            keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
            lay(edits[pointer], edited, *keys)
        shown = {key: edited.get(key, default) for key, default in SHOWN.items()}
        return {
            "state": "damaged" if not whole else "crashed" if is_crashed else run["state"],
            "run": {"id": identity if fits(identity, TEXT) else self.root.name, **shown},
            "config": encode(config),
            "rows": {found[1] or "main": rows[found[0]] for found in map(METRICS.fullmatch, rows) if found},
            "problems": [
                {"rule": rule, "path": path, "offset": None if offset < 0 else offset}
                for path, offset, rule in sorted(self.problems)
            ],
        }


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", metavar="RUN_DIRECTORY", nargs="+")
    arguments.add_argument("--now", metavar="UNIX_SECONDS", type=float, default=datetime.now().timestamp())
    options = arguments.parse_args()
    for run in map(Run, options.runs):
        if not {"run.json", "metrics.jsonl"} & run.files:
            arguments.error(f"not a run ({run.root}): name a directory that holds run.json or metrics.jsonl")
        print(json.dumps(run.read(options.now)))
