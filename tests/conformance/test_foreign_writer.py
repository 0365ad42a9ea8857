"""A run made by the standard-library writer, read by both foreign readers and by runfmt."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from foreign import COMMANDS, READERS
from runfmt.history import read_history

NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def restored(row):
    """The row with the numbers of `_nonfinite` in place."""
    for pointer, name in row.pop("_nonfinite", {}).items():
        node = row
        *way, last = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
        for key in way:
            node = node[key]
        node[int(last) if isinstance(node, list) else last] = NONFINITE[name]
    return row


@pytest.fixture
def run(tmp_path):
    return Path(output_of(sys.executable, READERS / "write_run.py", tmp_path).strip())


@pytest.mark.parametrize("language", COMMANDS)
def test_foreign_writer_makes_a_run_without_problems(run, language):
    seen = json.loads(output_of(*COMMANDS[language], run))
    about = {"id": run.name, "project": "demo", "name": "by-hand", "notes": "", "tags": ["no-library"]}
    assert (seen["state"], seen["run"], seen["problems"]) == ("finished", about, [])
    assert seen["config"] == {"lr": 0.1, "clip": None, "_nonfinite": {"/clip": "Infinity"}}


@pytest.mark.parametrize("language", COMMANDS)
def test_foreign_rows_are_the_rows_of_runfmt(run, language):
    seen = json.loads(output_of(*COMMANDS[language], run))
    with (run / "metrics.jsonl").open("rb") as stream:
        history = read_history(stream)
    assert history.problems == []
    assert [row["loss"] for row in history.rows] == pytest.approx(
        [1, 1 / 2, 1 / 3, math.nan, 1 / 5], nan_ok=True
    )
    assert seen["rows"].keys() == {"main"}
    # repr, because NaN is not equal to itself; 1 and 1.0 are one number to Node
    foreign = [json.loads(json.dumps(restored(row)), parse_int=float) for row in seen["rows"]["main"]]
    native = [json.loads(json.dumps(row), parse_int=float) for row in history.rows]
    assert [sorted(map(repr, row.items())) for row in foreign] == [
        sorted(map(repr, row.items())) for row in native
    ]


@pytest.mark.parametrize("language", COMMANDS)
def test_torn_tail_of_a_foreign_run_is_reported_where_it_begins(run, language):
    stream = run / "metrics.jsonl"
    size = stream.stat().st_size
    stream.write_bytes(stream.read_bytes() + b'{"_step":5,"lo')
    seen = json.loads(output_of(*COMMANDS[language], run))
    assert seen["problems"] == [{"rule": "R020", "path": "metrics.jsonl", "offset": size}]
    assert [row["_step"] for row in seen["rows"]["main"]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "limit"), [("read_run.py", 200), ("write_run.py", 80)])
def test_foreign_programs_stay_short(name, limit):
    assert len((READERS / name).read_text(encoding="utf-8").splitlines()) <= limit
