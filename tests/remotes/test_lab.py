"""A store, PostgreSQL, two workers before them, and pushers: each killed, nothing is lost or doubled."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import objectstores
import postgres
from objectstores import SeaweedFS
from remotes.checks import append, assert_quiet, carry_on, edit, lost_and_doubled, points, start
from remotes.kinds import Careless, Kind, Objects
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes.http import HttpRemote
from runmaker import assert_same, assert_true_prefix, make_run, picture, read, rows, write

KILLS = int(os.environ.get("RUNFMT_TEST_KILLS", "100")) // 10


@pytest.fixture
def place(request, tmp_path):
    (tmp_path / "disk").mkdir()
    return getattr(request, "param", Objects)(tmp_path / "disk" / "remote")


@pytest.fixture
def begun(source, place):
    """A run that was brought and went on, with many small segments, edited on both sides; and a new one."""
    run = make_run(source, "old", state="running")
    push = Push(place.remote())
    for step in range(100, 114):
        push.run([run])
        append(run / "metrics.jsonl", rows(step, 1))
    push.run([run])
    append(run / "metrics.jsonl", picture(run, 121, 1) + rows(122, 9))
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    edit(run, "/name", "ours", 1)
    with place.by_hand():
        edit(place.run("old"), "/notes", "theirs", 1)
    make_run(source, "new")
    (source / "new" / "files" / "model.pt").write_bytes(random.Random(1).randbytes(9 * 2**20))
    return run


@pytest.mark.parametrize(
    ("place", "point"),
    [
        *((Objects, point) for point in points("objects.", "push.", "receipt.", "inventory.")),
        *((Careless, point) for point in points("objects.")),
    ],
    indirect=["place"],
)
def test_pusher_to_a_store_killed_at_a_point_is_finished_by_the_next(source, place, begun, point):
    assert start(source, place, RUNFMT_FAULT=point).wait(60) == -signal.SIGKILL, "the point is never reached"
    assert_true_prefix(source, place.root)
    again = Push(place.remote())
    assert {outcome.status for outcome in again.run([*find_runs(source)])} <= {"synced", "unchanged"}
    assert_same(source, place.root)


class LabProcess:
    """`runfmt serve` with two workers, before an object store and PostgreSQL."""

    opener = Kind.opener

    def __init__(self, place, folder, database, **environment):
        self.place, self.deaths = place, 0
        program = Path(sys.executable).with_name("runfmt")
        command = [program, "serve", "--data", folder / "copy", "--port", "0", "--workers", "2"]
        command += ["--store", place.url, "--db", database]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment,
        )
        self.url = self.process.stdout.readline().split()[-1]

    @property
    def root(self):
        return self.place.root

    def workers(self):
        return [
            *map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())
        ]

    def remote(self):
        return HttpRemote(self.url, sleep=lambda seconds: time.sleep(min(seconds, 0.2)))

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def lab(place, tmp_path):
    made = LabProcess(place, tmp_path, postgres.running().database())
    yield made
    made.close()


@pytest.fixture
def sync(source, lab):
    def run(**options):
        for _ in range(20):  # a worker that was killed takes a moment to come back
            push = Push(lab.remote(), **options)
            outcomes = push.run([*find_runs(source)])
            if push.fault is None:
                return {outcome.folder.name: outcome for outcome in outcomes}
        raise push.fault

    return run


@pytest.mark.parametrize("point", points("shared."))
def test_worker_killed_at_a_point_is_asked_again_and_all_see_the_run(source, place, tmp_path, point):
    database = postgres.running().database()
    make_run(source)
    dying = LabProcess(place, tmp_path, database, RUNFMT_FAULT=point)
    push = Push(HttpRemote(dying.url, sleep=lambda _: None), jobs=1)
    push.run([*find_runs(source)])
    dying.close()
    assert push.fault is not None, "the point is never reached"
    lab = LabProcess(place, tmp_path / "other", database)
    push = Push(lab.remote(), jobs=1)
    assert [outcome.problems for outcome in push.run([*find_runs(source)])] == [[]]
    assert push.fault is None
    assert_same(source, place.root)
    assert set(lab.remote().ids().values()) == {"first"}
    lab.close()


@pytest.mark.soak
def test_all_of_a_lab_killed_at_random_under_load_loses_and_doubles_nothing(source, lab, sync, counted):
    draw, kills = random.Random(7), Counter()
    for number in range(4):
        make_run(source, f"r{number}", count=50, state="running")
    for turn in range(KILLS):
        for run in source.iterdir():
            carry_on(run, picture(run, 300, turn) + rows(301, 20))
            write(run / "summary.json", {"turn": turn})
        pushers = [start(source, lab) for _ in range(2)]
        what = draw.choice(["worker", "postgres", "store", "pusher"])
        killer = threading.Timer(draw.uniform(0, 1), kill, (what, lab, pushers[0]))
        killer.start()
        for pusher in pushers:
            pusher.wait(120)
        killer.join()
        kills[what] += 1
        sync()
        assert_same(source, lab.root)
    assert_quiet(source, lab, sync)
    lost, doubled = lost_and_doubled(source, lab.root)
    counted(**kills, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


def kill(what, lab, pusher):
    if what == "worker":
        for worker in lab.workers()[:1]:
            os.kill(worker, signal.SIGKILL)
    elif what == "postgres":
        postgres.running().kill()
        postgres.running().start()
    elif what == "store":
        objectstores.running(SeaweedFS).kill()
        objectstores.running(SeaweedFS).start()
    else:
        pusher.kill()
