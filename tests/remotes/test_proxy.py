"""Fifty runs are written and brought to servers through proxies that do what bad networks do.

The load goes on for two minutes (``make soak``: ten). Again and again the writer is stopped wherever it
stands (SIGSTOP) for a sync that nothing disturbs; then nothing may be missing and nothing be there twice.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from remotes.checks import assert_receipts_true, lost_and_doubled, moved
from remotes.kinds import KINDS, Http
from remotes.proxy import FAULTS, BadProxy
from runfmt.errors import CommError
from runfmt.reading import StoredRun, find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes.http import HttpRemote
from runmaker import assert_same, assert_true_prefix

SECONDS = float(os.environ.get("RUNFMT_TEST_SECONDS", "120"))
RUNS = 50
WRITER = """
import json, sys, runfmt
make = lambda number: runfmt.init(dir=sys.argv[1], id=f"run{number}", console="off", reinit="create_new")
runs = [make(number) for number in range(int(sys.argv[2]))]
for turn, _ in enumerate(sys.stdin):  # a line each time that more is wanted
    for number, run in enumerate(runs):
        for _ in range(4):
            run.log({"loss": 1 / (run.step + 1)})
        if (turn + number) % 10 == 0:
            run.log({"page": runfmt.Html(f"<p>{turn}</p>")})
            run.config.update({"turn": turn}, allow_val_change=True)
for run in runs:
    run.finish()
print(json.dumps({run.id: run.step for run in runs}))
"""


@dataclass
class Load:
    """Runs that are written, and what their syncs have met so far."""

    source: object
    kinds: dict
    proxies: list
    writer: subprocess.Popen
    counts: Counter = field(default_factory=Counter)

    def write_and_sync(self):
        """Ask for more rows, and sync meanwhile through each proxy."""
        self.writer.stdin.write("more\n")
        self.writer.stdin.flush()
        for proxy in self.proxies:
            self.sync(proxy)

    def sync(self, proxy):
        self.counts["syncs"] += 1
        try:
            push = Push(HttpRemote(proxy.url, sleep=lambda _: None))
            outcomes = push.run(list(find_runs(self.source)))
        except CommError:
            outcomes, push = [], None
        self.counts["syncs_that_gave_up"] += push is None or push.fault is not None
        self.counts["bytes"] += sum(outcome.size for outcome in outcomes)
        assert [problem for outcome in outcomes for problem in outcome.problems] == []

    def sync_quietly(self):
        """While the writer is stopped a sync makes both sides equal, and a second one moves nothing."""
        for kind in self.kinds.values():
            assert_true_prefix(self.source, kind.root)
            Push(kind.remote()).run(list(find_runs(self.source)))
            assert_same(self.source, kind.root)
            assert_receipts_true(self.source, kind)
            again = {outcome.id: outcome for outcome in Push(kind.remote()).run(list(find_runs(self.source)))}
            assert (len(again), moved(again)) == (RUNS, (0, 0))
            lost, doubled = lost_and_doubled(self.source, kind.root)
            self.counts.update(quiet_syncs=1, lost=lost, doubled=doubled)
            assert (lost, doubled) == (0, 0)

    def stop_writer(self):
        os.kill(self.writer.pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(self.writer.pid, os.WUNTRACED)[1])

    def has_met_all(self):
        """Whether each fault has happened at each proxy, and more than once."""
        return all(proxy.met[fault] > 1 for proxy in self.proxies for fault in FAULTS)


@pytest.fixture
def load(source, tmp_path):
    """A process that writes, and servers of each kind behind proxies."""
    servers = {name: made for name, made in KINDS.items() if issubclass(made, Http)}
    command = [sys.executable, "-c", WRITER, source, str(RUNS)]
    with ExitStack() as stack:
        kinds = {name: made(tmp_path / name) for name, made in servers.items()}
        for kind in kinds.values():
            stack.callback(kind.close)
        proxies = [stack.enter_context(BadProxy(kind.url, seed=1)) for kind in kinds.values()]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        writer = stack.enter_context(subprocess.Popen(command, text=True, **pipes))
        stack.callback(writer.kill)
        yield Load(source, kinds, proxies, writer)


@pytest.mark.soak
def test_fifty_runs_written_and_synced_through_bad_proxies_are_all_there_once(source, load, counted):
    began, turns = time.monotonic(), 0
    while time.monotonic() - began < SECONDS or not load.has_met_all():
        load.write_and_sync()
        turns += 1
        if turns % 10 == 0 and sum(1 for _ in find_runs(source)) == RUNS:
            load.stop_writer()
            load.sync_quietly()
            os.kill(load.writer.pid, signal.SIGCONT)
    logged = json.loads(load.writer.communicate(timeout=60)[0])
    assert load.writer.returncode == 0
    for proxy in load.proxies:
        load.sync(proxy)
    load.sync_quietly()
    for kind in load.kinds.values():
        there = {run.id: [row["_step"] for row in run.history().rows] for run in stored(kind)}
        assert there == {run_id: list(range(count)) for run_id, count in logged.items()}
    met = sum((proxy.met for proxy in load.proxies), Counter())
    assert load.has_met_all()
    assert sum(logged.values()) >= 4 * RUNS * turns
    assert load.counts["quiet_syncs"] >= 2
    faults = {fault.replace(" ", "_"): met[fault] for fault in FAULTS}
    counted(runs=RUNS, rows=sum(logged.values()), requests=met.total(), **faults, **load.counts)


def stored(kind):
    return map(StoredRun, find_runs(kind.root))
