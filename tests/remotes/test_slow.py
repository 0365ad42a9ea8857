"""A mirror so slow that each fsync waits to be let go: nobody else is held up, and nothing is half done."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from remotes.checks import append, assert_quiet, lost_and_doubled
from runfmt.reading import find_runs
from runfmt_sync import durability
from runfmt_sync.push import Push
from runfmt_sync.remotes import http
from runmaker import assert_same, assert_true_prefix, make_run, picture, read, rows, runs_in

TRAINER = """
import sys, runfmt
with runfmt.init(project="p", dir=sys.argv[1], id="beside", console="off") as run:
    for step in range(200):
        run.log({"loss": 1 / (step + 1)})
"""
ENDS = 60
"""Seconds after which something that should have come counts as never coming."""


class Gate:
    """Holds every fsync below a folder until it is let go, one at a time or all; ``passed`` counts them."""

    def __init__(self, root, patch):
        self.passed = 0
        self._prefix = f"{root}{os.sep}"
        self._real = os.fsync
        self._waiting, self._go = threading.Semaphore(0), threading.Semaphore(0)
        self._is_open = False
        patch.setattr(os, "fsync", self._fsync)
        patch.setattr(durability, "PROMISING", ())  # no call for all of the disk at once

    def _fsync(self, descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(self._prefix):
            self._waiting.release()
            if not self._is_open:
                assert self._go.acquire(timeout=ENDS)
            self.passed += 1
        self._real(descriptor)

    def is_waited_at(self, other):
        """Wait until somebody stands before it; False if what he does has ended instead."""
        while not self._waiting.acquire(timeout=0.01):
            if other.done():
                return False
        return True

    def let_go(self):
        self._go.release()

    def open(self):
        self._is_open = True
        self._go.release(1000)


@pytest.fixture
def gate(kind, monkeypatch):
    kind.needs("folders")  # whose fsync can be held up
    made = []

    def close():
        made.append(Gate(kind.root, monkeypatch))
        return made[-1]

    yield close
    for one in made:
        one.open()


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def old(source, sync):
    """A run of which more has to be brought, and one that is new."""
    run = make_run(source, "old", state="running")
    sync()
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 5))
    append(run / "console.log", b"more\n")
    make_run(source, "new")
    return run


def test_slow_mirror_is_a_true_prefix_at_every_step_and_holds_up_no_trainer(
    source, kind, sync, old, gate, pool
):
    closed = gate()
    syncing = pool.submit(sync)
    assert closed.is_waited_at(syncing)
    subprocess.run([sys.executable, "-c", TRAINER, source], check=True, capture_output=True, timeout=ENDS)
    assert read(source / "beside" / "run.json")["state"] == "finished"
    assert not syncing.done()
    steps = 1
    closed.let_go()
    while closed.is_waited_at(syncing):
        assert_true_prefix(source, kind.root)
        steps += 1
        closed.let_go()
    assert {outcome.status for outcome in syncing.result().values()} == {"synced"}
    assert steps == closed.passed > 8
    closed.open()
    sync()
    assert_quiet(source, kind, sync)


def test_sync_to_a_slow_mirror_that_is_stopped_ends_with_what_is_on_its_way(
    source, kind, sync, old, gate, pool
):
    closed = gate()
    push = Push(kind.remote())
    pushing = pool.submit(push.run, [*find_runs(source)])
    assert closed.is_waited_at(pushing)
    push.stop()
    closed.open()
    pushing.result(ENDS)
    assert_true_prefix(source, kind.root)
    sync()
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("kind", ["http", "small"], indirect=True)  # nobody loses patience with a disk
def test_request_that_nobody_waited_for_is_not_applied_twice(
    source, kind, sync, old, gate, pool, monkeypatch
):
    monkeypatch.setattr(http, "TIMEOUT", (10, 0.3))
    closed = gate()
    waits = []

    def sleep(seconds):
        """The client has lost patience; what it asked for goes on beside what it asks next."""
        waits.append(seconds)
        monkeypatch.setattr(http, "TIMEOUT", (10, ENDS))
        closed.open()

    monkeypatch.setattr(kind.clock, "sleep", sleep)
    sync()
    assert waits
    assert_same(source, kind.root)
    assert lost_and_doubled(source, kind.root) == (0, 0)
    assert_quiet(source, kind, sync)
    assert len(runs_in(kind.root)) == 2
