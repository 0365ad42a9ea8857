"""Killed anywhere, raced, watched while it runs: the remote is always true, and the next sync finishes."""

import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import runfmt_sync
from program import code_of, process_of
from remotes.checks import lost_and_doubled
from runmaker import assert_same, assert_true_prefix, make_run, picture, read, rows, write

DRIVER = """
import sys
from pathlib import Path
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
print("ready", flush=True)
push = Push(open_remote(sys.argv[2]), jobs=2)
outcomes = push.run(list(find_runs(Path(sys.argv[1]))))
sys.exit(any(outcome.problems for outcome in outcomes) or push.fault is not None)
"""
POINTS = sorted(
    {
        name
        for path in Path(runfmt_sync.__file__).parent.rglob("*.py")
        for name in re.findall(r'fault_point\("([^"]+)"\)', path.read_text())
        if name.startswith(("inventory.", "push.", "receipt.", "store."))  # on the way to a folder
    }
)
KILLS = 100
"""Of the same runs, which grow with each."""
ROUNDS = int(os.environ.get("RUNFMT_TEST_KILLS", "100")) // KILLS


def carry_on(run, lines):
    """Append to the metrics as a writer does that comes back: an unfinished line is cut."""
    with (run / "metrics.jsonl").open("r+b") as stream:
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.seek(0, 2)
        stream.write(lines)


def edit(run, name):
    write(run / "edits.json", {f"/{name}": {"value": name, "time": 1, "author": "a"}})


@pytest.fixture
def begun(source, remote, sync):
    """Runs of which one was brought, went on, and was edited on both sides, and others are new."""
    run = make_run(source, "old", state="running")
    sync()
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(picture(run, 21, 1) + rows(22, 9) + b'{"_step":')
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    edit(run, "name")
    edit(remote / "old", "notes")
    for number in range(2):
        make_run(source, f"new{number}")
    (source / "new0" / "files" / "model.pt").write_bytes(random.Random(1).randbytes(9 * 2**20))
    (run / "files" / "model.pt").write_bytes(random.Random(2).randbytes(9 * 2**20))


def test_points_are_many():
    assert len(POINTS) >= 15


@pytest.mark.parametrize("hit", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
def test_sync_killed_at_a_point_is_finished_by_the_next(source, remote, sync, begun, point, hit):
    code = code_of(process_of(DRIVER, source, remote, RUNFMT_FAULT=f"{point}:{hit}"))
    assert code == -signal.SIGKILL or (hit > 1 and code == 0), "the point is never reached"
    assert_true_prefix(source, remote)
    sync()
    assert_same(source, remote)
    assert not any(path.is_file() for path in (remote / ".incoming").rglob("*"))
    assert sum(outcome.extents for outcome in sync().values()) == 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_sync_killed_at_random_is_finished_by_the_next(source, remote, sync, counted, seed):
    draw = random.Random(seed)
    killed = 0
    for number in range(12):
        make_run(source, f"r{number}", count=200, state="running")
    (source / "r0" / "files" / "model.pt").write_bytes(draw.randbytes(20 * 2**20))
    for attempt in range(KILLS):
        if attempt % 2:
            shutil.rmtree(remote, ignore_errors=True)
        for run in source.iterdir():
            carry_on(run, picture(run, 300, attempt) + rows(301, 20))
            write(run / "summary.json", {"attempt": attempt})
        process = process_of(DRIVER, source, remote)
        try:
            process.wait(draw.uniform(0, 0.25))
        except subprocess.TimeoutExpired:
            process.kill()
        killed += code_of(process) == -signal.SIGKILL
        if remote.exists():
            assert_true_prefix(source, remote)
        sync()
        assert_same(source, remote)
    lost, doubled = lost_and_doubled(source, remote)
    counted(syncs=2 * KILLS, kills=killed, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    assert killed > KILLS / 4
