"""``runfmt index``: what it says, and that the viewer's index is there afterwards."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from indexing import assert_exact
from runfmt.reading import StoredRun
from runfmt.rows import encode
from runfmt_sync.index import RunIndex, making
from runfmt_sync.state import index_folder
from runfmt_sync.viewing import opened
from runmaker import OLD, make_run

PROJECT = Path(__file__).parents[2]
LONG = b"".join(encode({"_step": step, "_timestamp": 1, "loss": step / 7}) for step in range(100_000))


@pytest.fixture
def runs(work):
    for name in ("one", "two", "three"):
        run = make_run(work / "runs", name)
        (run / "metrics.jsonl").write_bytes(LONG)
    return work / "runs"


@pytest.mark.parametrize("alone", [0, making.ALONE])
def test_indexes_are_there_afterwards(runs, runfmt, state, monkeypatch, alone):
    monkeypatch.setenv("RUNFMT_STATE", str(state))
    runfmt.environment["RUNFMT_STATE"] = str(state)
    monkeypatch.setattr(making, "ALONE", alone)
    said = runfmt.json("index", runs)
    assert said["folder"] == str(state / "index")
    assert sorted(one["path"] for one in said["runs"]) == sorted(map(str, runs.iterdir()))
    for one in said["runs"]:
        assert one["streams"] == len(LONG)
        assert 0 < one["index"] < len(LONG)
    for run in runs.iterdir():
        index = RunIndex(run, index_folder())
        size = index.size
        index.refresh()
        assert_exact(index, LONG)
        assert index.size == size


@pytest.mark.parametrize("command", ["index", "view"])
def test_index_of_a_run_that_is_gone_for_long_is_removed(runs, runfmt, state, command):
    runfmt.environment["RUNFMT_STATE"] = str(state)
    runfmt("index", runs)
    uid = StoredRun(runs / "one").uid
    shutil.rmtree(runs / "one")
    os.utime(state / "index" / uid, (OLD, OLD))
    if command == "index":
        runfmt("index", runs)
    else:
        with opened(str(runs)):
            pass
    left = {StoredRun(run).uid for run in runs.iterdir()}
    assert {path.name for path in (state / "index").iterdir()} == left


def test_run_that_cannot_be_read_costs_no_other(runs, runfmt):
    about = runs / "two" / "run.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"runfmt": 2}))
    said = runfmt("index", runs, code=1).stdout.splitlines()
    assert said[0].startswith(f"{runs / 'two'}: ")
    assert "format version 2" in said[0]
    assert said[1].startswith(f"2 runs indexed, 1 not: {len(LONG) * 3 / 1e6:.1f} MB in ")
    assert said[2].startswith("the index has ")


def test_no_runs_are_said(work, runfmt):
    (work / "runs").mkdir()
    assert runfmt("index").stdout == "no runs in runs\n"


def test_bar_on_a_terminal_counts_bytes(runs, runfmt):
    code, sent = runfmt.on_terminal("index", runs)
    assert code == 0
    assert "3 runs indexed" in sent
    assert f"/{len(LONG) * 3 / 1e6:.1f} MB" in sent


def test_runs_that_are_made_to_measure_are_as_the_specification_demands(work, runfmt):
    words = ["made", "--runs", "2", "--metrics", "12", "--rows", "1500"]
    subprocess.run([sys.executable, PROJECT / "benchmarks" / "make_runs.py", *words], check=True)
    assert runfmt("validate", "made").stdout == "2 runs as the specification demands\n"
    for run in (work / "made").iterdir():
        index = RunIndex(run, None)
        index.refresh()
        assert [len(index.column(name).step) for name in index.numbers()] == [1500] * 12
        assert_exact(index, (run / "metrics.jsonl").read_bytes())
