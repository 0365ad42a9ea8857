"""Killed anywhere, on either side of the wire: what can be seen is true, and the next call finishes."""

import os
import random
import shutil
import signal
import socket
import threading
from collections import Counter
from itertools import count

import pytest

from remotes.checks import append, assert_quiet, carry_on, edit, lost_and_doubled, points, start
from remotes.kinds import EXAMPLE, Kind
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes.http import HttpRemote
from runmaker import assert_same, assert_true_prefix, make_run, picture, read, rows, write
from serving import ServerProcess

KILLS = int(os.environ.get("RUNFMT_TEST_KILLS", "100")) // 10
"""Kills of a server at random moments; the soak takes ten times as many."""


class SmallProcess(ServerProcess):
    """The server of the examples, in a process."""

    program = (str(EXAMPLE),)


STEPS = f"""
import io, itertools, os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(EXAMPLE.parent)!r})
import remote_server
root, steps, last = Path(sys.argv[1]), itertools.count(1), int(os.environ["RUNFMT_FAULT"])

def step(name):
    if next(steps) == last:
        root.with_name("died").write_text(name)
        os.kill(os.getpid(), signal.SIGKILL)

def stepping(name, call):
    return lambda *words, **options: (step(name), call(*words, **options))[1]

class Halved(io.FileIO):
    def write(self, data):
        written = super().write(data[: len(data) // 2])
        step("write")
        return written + super().write(data[len(data) // 2 :])

server = remote_server.make_server("127.0.0.1", int(sys.argv[2]), remote_server.Store(root))
for name in ("fsync", "rename", "replace", "mkdir"):
    setattr(os, name, stepping(name, getattr(os, name)))
remote_server.open = Halved
print(f"http://127.0.0.1:{{server.server_port}}", flush=True)
server.serve_forever()
"""


class SteppingProcess(ServerProcess):
    """The server of the examples, which dies before its fsync, rename or mkdir of a number, or in a write."""

    program = ("-c", STEPS)


class Stepped:
    """A folder with a server that dies at a step, if any, and with the state of a tool that pushes to it."""

    opener = Kind.opener

    def __init__(self, folder, step, monkeypatch):
        self.folder, self.root = folder, folder / "remote"
        monkeypatch.setenv("RUNFMT_STATE", str(folder / "state"))
        monkeypatch.setenv("RUNFMT_FAULT", str(step))
        self.server = SteppingProcess(self.root)

    def remote(self):
        return HttpRemote(self.server.url, sleep=lambda _: None)

    def push(self, source):
        push = Push(self.remote(), jobs=1)
        return {outcome.id: outcome for outcome in push.run(list(find_runs(source)))}, push.fault


class Kept:
    """A server in a process, that its keeper starts again when a client waits and it is dead."""

    opener = Kind.opener

    def __init__(self, root, process):
        self.root, self.deaths, self._lock = root, 0, threading.Lock()
        self.server = process(root)
        self.url = self.server.url

    def remote(self):
        return HttpRemote(self.url, sleep=self.sleep)

    def sleep(self, seconds):
        with self._lock:
            try:
                socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2]))).close()
            except (ConnectionRefusedError, ConnectionResetError):  # it is dead, or dying
                assert self.server.wait() == -signal.SIGKILL
                self.deaths += 1
                self.server.start()

    def armed(self, point):
        """Start it anew, to die at a point."""
        self.server.stop()
        self.server.start(RUNFMT_FAULT=point)


@pytest.fixture(params=[ServerProcess])
def kind(request, tmp_path):
    (tmp_path / "disk").mkdir()
    kept = Kept(tmp_path / "disk" / "remote", request.param)
    with kept.server:
        yield kept


@pytest.fixture
def begun(source, kind, sync):
    """Runs of which one was brought, went on, and was edited on both sides, and others are new."""
    run = make_run(source, "old", state="running")
    sync()
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 9) + b'{"_step":')
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    edit(run, "/name", "ours", 1)
    edit(kind.root / "old", "/notes", "theirs", 1)
    for number in range(2):
        make_run(source, f"new{number}")
    (source / "new0" / "files" / "model.pt").write_bytes(random.Random(1).randbytes(9 * 2**20))
    (run / "files" / "model.pt").write_bytes(random.Random(2).randbytes(9 * 2**20))


def test_points_are_many():
    assert len(points("push.", "http.", "receipt.", "inventory.")) >= 9
    assert len(points("store.")) >= 8


@pytest.mark.parametrize("point", points("push.", "http.", "receipt.", "inventory."))
def test_pusher_killed_at_a_point_is_finished_by_the_next(source, kind, sync, begun, point):
    assert start(source, kind, RUNFMT_FAULT=point).wait(60) == -signal.SIGKILL
    assert_true_prefix(source, kind.root)
    sync()
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("point", points("store."))
def test_server_killed_at_a_point_is_asked_again_and_the_push_finishes(source, kind, sync, begun, point):
    kind.armed(point)
    assert {outcome.status for outcome in sync(jobs=1).values()} == {"synced"}
    assert kind.deaths == 1, "the point is never reached"
    assert_quiet(source, kind, sync)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [ServerProcess, SmallProcess], indirect=True)
def test_server_killed_at_random_under_load_loses_and_doubles_nothing(source, kind, sync, counted):
    draw, problems, syncs = random.Random(11), [], 0
    for number in range(8):
        make_run(source, f"r{number}", count=200, state="running")
    for turn in range(KILLS):
        for run in source.iterdir():
            carry_on(run, picture(run, 300, turn) + rows(301, 20))
            write(run / "summary.json", {"turn": turn})
        (source / "r0" / "files" / "model.pt").write_bytes(draw.randbytes(4 * 2**20))
        killer = threading.Timer(draw.uniform(0, 0.5), kind.server.process.kill)
        pushers = [threading.Thread(target=push_all, args=(source, kind, problems)) for _ in range(2)]
        for thread in (killer, *pushers):
            thread.start()
        for thread in (killer, *pushers):
            thread.join()
        assert problems == []
        kind.sleep(0)
        sync()
        syncs += len(pushers) + 1
        assert_same(source, kind.root)
    assert_quiet(source, kind, sync)
    lost, doubled = lost_and_doubled(source, kind.root)
    counted(syncs=syncs, kills=kind.deaths, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    assert kind.deaths > KILLS / 2


@pytest.mark.soak
def test_small_server_killed_at_each_step_of_a_push_is_finished_by_the_next(
    source, tmp_path, monkeypatch, counted
):
    run, killed = make_run(source, "old", state="running"), Counter()
    (tmp_path / "begun").mkdir()
    begun = Stepped(tmp_path / "begun", 0, monkeypatch)
    with begun.server:
        begun.push(source)
    append(run / "metrics.jsonl", picture(run, 21, 1) + rows(22, 9) + b'{"_step":')
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    edit(run, "/name", "ours", 1)
    make_run(source, "new")
    for step in count(1):
        now = Stepped(shutil.copytree(begun.folder, tmp_path / str(step)), step, monkeypatch)
        with now.server:
            if now.push(source)[1] is None:
                break
            assert now.server.wait() == -signal.SIGKILL
            name = (now.folder / "died").read_text()
            killed[f"at_a_{name}"] += 1
            assert_true_prefix(source, now.root, rules={"R020"} if name == "write" else ())
            now.server.start(RUNFMT_FAULT="0")
            assert now.push(source)[1] is None
            assert_quiet(source, now, lambda now=now: now.push(source)[0])
        shutil.rmtree(now.folder)
    counted(kills=killed.total(), **killed)
    assert {name.removeprefix("at_a_") for name in killed} == {"fsync", "rename", "replace", "mkdir", "write"}


def push_all(source, kind, problems):
    push = Push(kind.remote())
    for outcome in push.run(list(find_runs(source))):
        problems.extend(outcome.problems)
    if push.fault:
        problems.append(str(push.fault))
