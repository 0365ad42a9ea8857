"""Watching: what moves is brought, what stands costs a look, and nothing that is away ends it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runfmt.errors import CommError
from runfmt.reading import StoredRun
from runfmt_sync import watch as watching
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
from runfmt_sync.selection import select_runs
from runfmt_sync.watch import Watch, Watcher
from runfmt_sync.whereabouts import whereabouts
from runmaker import assert_same, assert_true_prefix, make_run, rows, write


class Heard(Watcher):
    def __init__(self):
        self.sent, self.lines = [], []

    def outcome(self, outcome):
        self.sent.append((outcome.id, outcome.extents > 0, *outcome.problems))

    def say(self, line):
        self.lines.append(line)

    def take(self):
        taken = self.sent, self.lines
        self.sent, self.lines = [], []
        return taken


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def watch(source, remote, heard, clock):
    return Watch(
        lambda: Push(open_remote(str(remote))),
        lambda: select_runs([str(source)]),
        heard,
        interval=5,
        clock=clock,
    )


def grow(run, first, count=1):
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(first, count))


def test_each_round_brings_what_was_written(source, remote, watch, heard):
    run = make_run(source, state="running")
    watch.round()
    assert heard.take() == ([("first", True)], [])
    watch.round()
    assert heard.take() == ([], [])
    for step in range(30, 33):
        grow(run, step)
        watch.round()
        assert heard.take() == ([("first", True)], [])
        assert_same(source, remote)


def test_new_runs_are_followed_and_lost_ones_forgotten(source, remote, watch, heard):
    make_run(source, "first")
    watch.round()
    second = make_run(source, "second", state="running")
    watch.round()
    assert [about for about, *_ in heard.sent] == ["first", "second"]
    shutil.rmtree(source / "first")
    grow(second, 30)
    watch.round()
    assert [about for about, *_ in heard.sent] == ["first", "second", "second"]
    assert {path.name for path in select_runs([str(remote)])} == {"first", "second"}


def test_run_that_ended_costs_one_look_until_it_is_resumed(source, remote, watch, heard, monkeypatch):
    run = make_run(source)
    watch.round()
    watch.round()
    looked = []
    signatures = watching.signatures
    monkeypatch.setattr(watching, "signatures", lambda folder: looked.append(folder) or signatures(folder))
    watch.round()
    assert looked == []
    write(run / "run.json", StoredRun(run).document | {"state": "running"})
    watch.round()
    assert looked == [run]
    grow(run, 40)
    watch.round()
    assert_same(source, remote)
    assert StoredRun(remote / "first").document["state"] == "running"


def test_change_deep_in_a_run_that_ended_is_found_in_time(source, remote, watch, clock):
    run = make_run(source)
    watch.round()
    (run / "files" / "requirements.txt").write_bytes(b"numpy\n")
    watch.round()
    assert (remote / "first" / "files" / "requirements.txt").read_bytes() == b"torch\n"
    clock.now += watching.LOOK_AT_ALL + 1
    watch.round()
    assert_same(source, remote)


def test_remote_that_is_away_is_told_once_and_tried_until_it_is_back(source, remote, heard, clock):
    make_run(source)
    away = [CommError("the stick is out")] * 3

    def connect():
        if away:
            raise away.pop()
        return Push(open_remote(str(remote)))

    watch = Watch(connect, lambda: select_runs([str(source)]), heard, interval=5, clock=clock)
    waits = []
    for _ in range(4):
        watch.round()
        waits.append(watch._wait())
    assert heard.take() == (
        [("first", True)],
        ["the stick is out; it is tried again and again", "the remote is there again"],
    )
    assert waits == [5, 5, 8, 5]
    assert_same(source, remote)


def test_disk_that_is_away_is_told_once(source, remote, watch, heard):
    make_run(source)
    watch.round()
    heard.take()
    source.rename(source.with_name("elsewhere"))
    watch.round()
    watch.round()
    source.with_name("elsewhere").rename(source)
    watch.round()
    assert [line.split(":")[0].split(";")[0] for line in heard.lines] == [
        f"there is no folder {source}",
        "the disk is there again",
    ]


def test_run_that_falls_silent_is_said_to_have_crashed_once(source, watch, heard, clock):
    run = make_run(source, state="running")
    make_run(source, "ended")
    watch.round()
    heard.take()
    for seconds in (200, 101, 500):
        clock.now += seconds
        watch.round()
    assert heard.take() == ([], ["first: nothing was written for 5 minutes: crashed"])
    grow(run, 50)
    watch.round()
    clock.now += 301
    watch.round()
    assert heard.take() == ([("first", True)], ["first: nothing was written for 5 minutes: crashed"])


def test_problem_of_a_run_is_told_once_and_again_when_it_is_another(source, remote, watch, heard):
    make_run(source, "good")
    bad = make_run(source, "bad")
    document = StoredRun(bad).document
    write(bad / "run.json", {})
    for _ in range(3):
        watch.round()
    (about, moved, problem), good = sorted(heard.take()[0])
    assert (about, moved, good) == ("bad", False, ("good", True))
    assert "runfmt recover" in problem
    write(bad / "run.json", document)
    watch.round()
    assert heard.take()[0] == [("bad", True)]
    assert_same(source, remote)


def test_only_runs_that_are_meant_are_brought(source, remote, heard, clock):
    make_run(source, "first")
    make_run(source, "second")
    watch = Watch(
        lambda: Push(open_remote(str(remote))),
        lambda: select_runs([str(source)]),
        heard,
        interval=5,
        is_meant=lambda folder: folder.name == "second",
        clock=clock,
    )
    watch.round()
    assert heard.sent == [("second", True)]


TRAINER = """
import itertools, sys, time, runfmt
with runfmt.init(id="live", dir=sys.argv[1], console="off") as run:
    for step in itertools.count():
        run.log({"step": step, "x": runfmt.Html(str(step))})
        time.sleep(0.02)  # the training
        if step == 20:
            print("on", flush=True)
"""


def test_command_follows_a_trainer_and_ends_by_sigterm_with_a_true_copy(source, remote, tmp_path):
    command = [Path(sys.executable).parent / "runfmt", "sync", source, "--remote", remote]
    watcher = subprocess.Popen(
        [*command, "--watch", "--interval", "0.1", "--json"], stdout=subprocess.PIPE, text=True
    )
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER, source], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(5):
            assert json.loads(watcher.stdout.readline())["status"] in ("synced", "waiting", "failed")
        os.kill(watcher.pid, signal.SIGTERM)
        assert watcher.wait(60) == 0
    finally:
        trainer.kill()
        trainer.communicate()
        watcher.kill()
        watcher.communicate()
    assert_true_prefix(source, remote)
    uid = json.loads((source / "live" / "run.json").read_bytes())["uid"]
    assert [where["url"] for where in whereabouts(source / "live", uid)] == [str(remote)]
    subprocess.run(command, check=True, capture_output=True)
    assert_same(source, remote)
