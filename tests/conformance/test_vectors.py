"""Every reader reads every vector as its ``expected.json`` says; our writer writes those of ``write/``."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import runfmt
from runfmt.edits import merge_edits
from runfmt.reading import describe

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "spec" / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))


def names_of(*groups):
    """The names of the vectors of some groups."""
    return [one["name"] for one in MANIFEST["vectors"] if one["name"].startswith(groups)]


MERGED, WRITTEN = names_of("merge/"), names_of("write/")
READ = names_of("valid/", "recoverable/", "invalid/", "future/")
FOREIGN = {
    "python": [sys.executable, ROOT / "examples" / "readers" / "read_run.py"],
    "node": ["node", ROOT / "examples" / "readers" / "read_run.mjs"],
}
NOT_CHECKED = ("R053", "R054")
"""What a reader that computes no summary need not look at (R055)."""


def canonical(value):
    """The value with every number a float: 1 and 1.0 are one number, True is none."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return (float(value) + 0.0).hex() if type(value) in (int, float) else value


def load(name, file="expected.json"):
    return json.loads((VECTORS / name / file).read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=FOREIGN)
def foreign(request):
    """What a foreign reader says of each vector, all read by one process."""
    runs = [VECTORS / name / "run" for name in READ]
    command = [*FOREIGN[request.param], *runs, "--now", str(MANIFEST["now"])]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    return dict(zip(READ, map(json.loads, done.stdout.splitlines()), strict=True))


def test_vectors_are_as_their_generator_makes_them():
    command = [sys.executable, ROOT / "spec" / "make_vectors", "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("name", READ)
def test_our_reader_reads_the_vector(name):
    assert canonical(describe(VECTORS / name / "run", MANIFEST["now"])) == canonical(load(name))


@pytest.mark.parametrize("name", READ)
def test_foreign_reader_reads_the_vector(foreign, name):
    expected = load(name)
    expected.pop("summary", None)
    expected["problems"] = [problem for problem in expected["problems"] if problem["rule"] not in NOT_CHECKED]
    assert canonical(foreign[name]) == canonical(expected)


@pytest.mark.parametrize("name", MERGED)
def test_edits_meet_as_the_vector_says(name):
    ours, theirs = load(name, "ours.json"), load(name, "theirs.json")
    assert merge_edits(ours, theirs) == merge_edits(theirs, ours) == load(name)


def given(keys):
    """What a call gives: the numbers of ``_nonfinite`` put in."""
    keys = json.loads(json.dumps(keys))
    for pointer, word in keys.pop("_nonfinite", {}).items():
        *above, last = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
        place = keys
        for key in above:
            place = place[key]
        place[int(last) if isinstance(place, list) else last] = float(word.replace("Infinity", "inf"))
    return keys


def as_text(row):
    return json.dumps(row, sort_keys=True)


def call(run, asked):
    if "log" in asked:
        run.log(given(asked["log"]), step=asked.get("step"))
    elif "define" in asked:
        members = dict(asked["define"])
        run.define_metric(
            **{**members, "summary": ",".join(members["summary"])} if "summary" in members else members
        )
    else:
        for key in asked["summary"].get("del", []):
            del run.summary[key]
        run.summary.update(asked["summary"].get("set", {}))


@pytest.mark.parametrize("name", WRITTEN)
def test_our_writer_writes_the_vector(name, tmp_path):
    calls, expected = load(name, "input.json"), load(name)
    stream = tmp_path / "one" / "metrics.jsonl"
    with runfmt.init(id="one", dir=tmp_path, console="off") as run:
        for asked in calls[:-1]:
            call(run, asked)
        before = stream.read_bytes()
        if "refused" in expected:
            with pytest.raises((TypeError, ValueError)):
                call(run, calls[-1])
            assert before == stream.read_bytes()
            return
        call(run, calls[-1])
    rows = [json.loads(line) for line in stream.read_text(encoding="utf-8").splitlines()]
    assert all(math.isfinite(row.pop("_timestamp")) for row in rows)
    # As text, so that an integer is not a float (R026).
    assert list(map(as_text, rows)) == list(map(as_text, expected["rows"]))
