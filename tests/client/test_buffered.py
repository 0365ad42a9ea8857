"""``durability="buffered"``: a slow disk does not stall the training, and what that may cost."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import runfmt
from runfmt import stream
from runfmt.reading import StoredRun


@pytest.fixture
def start(tmp_path):
    def start(**options):
        return runfmt.init(project="p", dir=tmp_path / "runs", durability="buffered", **options)

    yield start
    if runfmt.run is not None:
        runfmt.finish()


@pytest.fixture
def disk(monkeypatch):
    """A disk that stands still unless it ``moves``; ``callers`` are the threads that wrote a line."""

    moves, callers, write = threading.Event(), [], os.write
    moves.set()

    def slow(descriptor, data):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(("metrics.jsonl", "console.log")):
            callers.append(threading.current_thread())
            moves.wait()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    return SimpleNamespace(moves=moves, callers=callers)


def values(run):
    stored = StoredRun(run.directory)
    assert stored.problems == []
    return [row["v"] for row in stored.history().rows]


def test_log_returns_while_the_disk_stands_still(start, disk):
    run = start()
    disk.moves.clear()
    for value in range(1000):
        run.log({"v": value})
        print(value)
    assert threading.current_thread() not in disk.callers
    disk.moves.set()
    run.finish()
    assert values(run) == list(range(1000))
    printed = (run.directory / "console.log").read_text().splitlines()
    assert [line for line in printed if line.isdigit()] == [str(value) for value in range(1000)]
    assert len(disk.callers) < 100  # many lines at once


def test_summary_knows_what_the_disk_does_not_yet(start, disk):
    run = start(console="off")
    run.define_metric("v", summary="max")
    disk.moves.clear()
    run.log({"v": 3})
    run.log({"v": 2})
    disk.moves.set()
    assert run.summary["v"] == {"max": 3}


def test_buffer_that_is_full_waits_for_the_disk(start, disk, monkeypatch):
    monkeypatch.setattr(stream, "BUFFER", 1000)
    run = start(console="off")
    for value in range(1000):
        run.log({"v": value})
        assert run._metrics._buffer_bytes <= 1000
    assert threading.current_thread() in disk.callers
    run.finish()
    assert values(run) == list(range(1000))


def test_save_brings_everything_to_the_disk(start):
    run = start(console="off")
    run.log({"v": 1})
    run.save()
    assert values(run) == [1]


TRAINING = """
import sys, runfmt
run = runfmt.init(id="one", durability="buffered", console="off")
run.log({"v": 1})
print("logged", flush=True)
sys.stdin.read()
"""


def test_killed_training_has_what_the_buffer_was_rid_of(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", TRAINING], cwd=tmp_path, **pipes) as process:
        process.stdout.readline()
        rows = Path(tmp_path, "runs/one/metrics.jsonl")
        while not rows.stat().st_size:  # the background writes it within a moment, or the test never ends
            os.sched_yield()
        process.kill()
    assert json.loads(rows.read_bytes())["v"] == 1


def test_forked_child_writes_nothing_of_its_parent(start, disk):
    run = start(console="off")
    disk.moves.clear()
    run.log({"v": 1})
    if (child := os.fork()) == 0:
        disk.moves.set()
        run.finish()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    disk.moves.set()
    run.finish()
    assert values(run) == [1]
