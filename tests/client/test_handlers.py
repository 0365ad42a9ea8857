"""A signal handler that logs, wherever in a call of ``log`` it comes: no row is lost, doubled, elsewhere."""

import errno
import json
import os
import sys
from functools import partial

import pytest

import runfmt


def interrupted(call, at, handler):
    """Call, and at one of the places where Python looks for signals call the handler; says if there was one.

    These lie behind the beginning of a function and behind each call, which is where a profiler is told.
    """
    places = 0

    def note(_, event, __):
        nonlocal places
        if event in ("call", "c_return"):
            places += 1
            if places == at:
                handler()

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return places >= at


def only_stream(directory):
    """The rows of the one stream of metrics that is there, as they lie in it."""
    [stream] = directory.glob("metrics*")
    return [json.loads(line) for line in stream.read_text().splitlines()]


@pytest.fixture(params=["0", "1"])
def rank(request, monkeypatch):
    monkeypatch.setenv("RUNFMT_RUN_ID", "run")
    monkeypatch.setenv("RANK", request.param)


@pytest.fixture(params=["second", "fsync", "buffered"])
def run(request, rank, tmp_path):
    with runfmt.init(project="p", dir=tmp_path, console="off", durability=request.param) as run:
        yield run


def test_handler_that_logs_at_any_place_of_log_costs_nothing(run, counted):
    at, reached = 0, True
    while reached:
        at += 1
        outer, inner = partial(run.log, {"outer": at}), partial(run.log, {"inner": at})
        reached = interrupted(outer, at, inner)
        run._sync_streams()  # which looks whether somebody else has written
    assert at > 12
    run.finish()
    rows = only_stream(run.directory)
    counted(places=at - 1, rows=len(rows))
    assert [row["outer"] for row in rows if "outer" in row] == [*range(1, at + 1)]
    assert [row["inner"] for row in rows if "inner" in row] == [*range(1, at)]


def stop():
    raise KeyboardInterrupt


def test_training_that_goes_on_after_ctrl_c_at_any_place_of_log_goes_on_in_its_stream(run, counted):
    at, reached = 0, True
    while reached:
        at += 1
        reached = False
        try:
            interrupted(partial(run.log, {"outer": at}), at, stop)
        except KeyboardInterrupt:
            reached = True
        run._sync_streams()
        run.log({"after": at})
    assert at > 12
    run.finish()
    rows = only_stream(run.directory)
    counted(places=at - 1, rows=len(rows))
    assert [row["after"] for row in rows if "after" in row] == [*range(1, at + 1)]
    outer = [row["outer"] for row in rows if "outer" in row]
    assert outer == sorted({*outer})
    assert at in outer


class Disk:
    """Has no room for metrics while it is full."""

    def __init__(self, monkeypatch):
        self.is_full, self._write = False, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor, data):
        if self.is_full and "/metrics" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data)


@pytest.mark.parametrize("durability", ["second", "buffered"])
def test_handler_that_logs_while_rows_that_waited_are_written_costs_nothing(
    tmp_path, monkeypatch, counted, recwarn, durability
):
    monkeypatch.setattr("runfmt.stream.RETRY_AFTER", 0)
    disk = Disk(monkeypatch)
    with runfmt.init(project="p", dir=tmp_path, console="off", durability=durability) as run:
        at, reached = 0, True
        while reached:
            at += 1
            disk.is_full = True
            for part in range(3):
                run.log({"row": (at, part)})
            run._flush_streams()
            disk.is_full = False
            reached = interrupted(run._sync_streams, at, partial(run.log, {"inner": at}))
            run._sync_streams()
    assert at > 20
    rows = only_stream(run.directory)
    counted(places=at - 1, rows=len(rows))
    assert [row["row"] for row in rows if "row" in row] == [
        [number, part] for number in range(1, at + 1) for part in range(3)
    ]
    assert [row["inner"] for row in rows if "inner" in row] == [*range(1, at)]
    assert ["No space left" in str(said.message) for said in recwarn] == [True]


@pytest.mark.parametrize("durability", ["second", "buffered"])
def test_ctrl_c_at_any_place_while_rows_that_waited_are_written_loses_none(
    tmp_path, monkeypatch, counted, recwarn, durability
):
    monkeypatch.setattr("runfmt.stream.RETRY_AFTER", 0)
    disk = Disk(monkeypatch)
    with runfmt.init(project="p", dir=tmp_path, console="off", durability=durability) as run:
        at, reached = 0, True
        while reached:
            at += 1
            reached = False
            disk.is_full = at % 2 == 1
            for part in range(3):
                run.log({"row": (at, part)})
            if disk.is_full:
                run._flush_streams()
            disk.is_full = False
            try:
                interrupted(run._sync_streams, (at + 1) // 2, stop)
            except KeyboardInterrupt:
                reached = True
    assert at > 20
    rows = only_stream(run.directory)
    counted(places=at - 1, rows=len(rows))
    assert {tuple(row["row"]) for row in rows} == {(n, part) for n in range(1, at + 1) for part in range(3)}
    assert all("No space left" in str(said.message) for said in recwarn)
