"""Bundles go to a server one behind the other: while one is applied, all but the end of the next may come."""

import random
import threading

import pytest
from starlette.exceptions import HTTPException

from runfmt_sync.push import Push
from runfmt_sync.remotes import http, open_remote
from runfmt_sync.server import exchange
from runfmt_sync.server.records import Counters
from runfmt_sync.server.service import Service
from runmaker import assert_same, make_run
from serving import serving

SIZE = 40 * 2**20
"""Bytes of a checkpoint that takes three bundles."""
ENDS = 60
"""Seconds after which something that should have come counts as never coming."""


@pytest.fixture
def runs(tmp_path):
    run = make_run(tmp_path / "runs", "a")
    (run / "files" / "last.ckpt").write_bytes(random.Random(1).randbytes(SIZE))
    return run.parent


@pytest.fixture
def bodies(monkeypatch):
    """The bodies of the bundles that were sent, in their order."""
    found = []
    begin = http._Held.__init__

    def note(self, *arguments):
        begin(self, *arguments)
        found.append(self)

    monkeypatch.setattr(http._Held, "__init__", note)
    return found


def apply_after(monkeypatch, step):
    """Let the server do something before it applies a bundle; gives how many it has applied."""
    real, applied = Service.apply, []

    def apply(self, file, caller):
        step(len(applied))
        refused = real(self, file, caller)
        applied.append(refused)
        return refused

    monkeypatch.setattr(Service, "apply", apply)
    return applied


def sync(runs, server):
    push = Push(open_remote(server.url, sleep=lambda _: None))
    return push, push.run([runs / "a"])


def test_next_bundle_is_on_the_line_while_one_is_applied_but_for_its_end(tmp_path, runs, bodies, monkeypatch):
    came, more = {}, threading.Condition()
    reading = http._Held.read

    def read(self, size):
        with more:
            came[self] = self.tell()
            more.notify_all()
        return reading(self, size)

    def is_at_its_end(number):
        return len(bodies) > number and came.get(bodies[number], 0) > 0.99 * len(bodies[number])

    def wait_for_the_next(number):
        if number < 2:
            with more:
                found.append(more.wait_for(lambda: is_at_its_end(number + 1), ENDS))
            found.append(not bodies[number + 1].sent.is_set())

    found = []
    monkeypatch.setattr(http._Held, "read", read)
    applied = apply_after(monkeypatch, wait_for_the_next)
    with serving(tmp_path / "there") as server:
        push, [outcome] = sync(runs, server)
    assert found == [True] * 4
    assert (push.fault, outcome.status, outcome.problems) == (None, "synced", [])
    assert applied == [{}, {}, {}]
    assert_same(runs, tmp_path / "there")


def test_bundle_behind_one_that_fails_is_never_applied(tmp_path, runs, bodies, monkeypatch):
    def refuse(number):
        if number == 1:
            raise HTTPException(403, "no more of this")

    applied = apply_after(monkeypatch, refuse)
    with serving(tmp_path / "there") as server:
        push, [outcome] = sync(runs, server)
        assert "no more of this" in str(push.fault)
        assert (outcome.status, applied, len(bodies)) == ("waiting", [{}], 3)
        assert all(body.file.closed for body in bodies)
        monkeypatch.undo()
        push, [outcome] = sync(runs, server)
    assert (push.fault, outcome.status) == (None, "synced")
    assert_same(runs, tmp_path / "there")


def test_bundle_that_is_sent_again_keeps_its_place(tmp_path, runs, bodies, monkeypatch):
    failed = []

    def fail_once(number):
        if number == 1 and not failed:
            failed.append(number)
            raise TimeoutError

    applied = apply_after(monkeypatch, fail_once)
    with serving(tmp_path / "there") as server:
        push, [outcome] = sync(runs, server)
    assert (push.fault, outcome.status, outcome.problems) == (None, "synced", [])
    assert (failed, applied, len(bodies)) == ([1], [{}, {}, {}], 3)
    assert_same(runs, tmp_path / "there")


def test_bundle_whose_turn_comes_too_late_is_sent_again(tmp_path, runs, bodies, monkeypatch):
    given_up, found = threading.Event(), []
    real = Counters.add

    def add(self, name, amount=1, **labels):
        real(self, name, amount, **labels)
        if labels.get("status") == "408":
            given_up.set()

    def wait_for_that(number):
        if number == 0:
            found.append(given_up.wait(ENDS))

    monkeypatch.setattr(exchange, "IDLE", 0.2)
    monkeypatch.setattr(Counters, "add", add)
    applied = apply_after(monkeypatch, wait_for_that)
    with serving(tmp_path / "there") as server:
        push, [outcome] = sync(runs, server)
    assert (found, applied) == ([True], [{}, {}, {}])
    assert (push.fault, outcome.status, outcome.problems) == (None, "synced", [])
    assert_same(runs, tmp_path / "there")
