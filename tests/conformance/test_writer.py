"""Rules that no vector can show: what a reader does with odd entries, and what our writer does in time."""

import json
import os
import threading
import time

import pytest

import runfmt
from runfmt.history import read_history
from runfmt.reading import StoredRun

LONGEST = 10 * 2**20


@pytest.fixture
def run(tmp_path):
    with runfmt.init(id="one", dir=tmp_path, console="off") as run:
        yield run


def test_entry_that_is_no_file_is_reported(run):
    runfmt.log({"a": 1})
    for name in ("metrics.rank1.jsonl", "config.json.old", "media.d"):
        os.mkfifo(run.directory / name)  # reading one would wait for ever
    stored = StoredRun(run.directory)
    assert [(problem.rule, problem.path) for problem in stored.problems] == [
        ("R002", "config.json.old"),
        ("R002", "media.d"),
        ("R002", "metrics.rank1.jsonl"),
    ]
    assert list(stored.writers) == ["main"]
    assert len(stored.history().rows) == 1


def test_document_that_is_no_file_is_not_waited_for(run):
    runfmt.finish()
    (run.directory / "config.json").unlink()
    os.mkfifo(run.directory / "config.json")
    stored = StoredRun(run.directory)
    assert stored.config == {}
    rules = [problem.rule for problem in stored.problems if problem.path == "config.json"]
    assert rules == ["R002", "R091"]


def test_id_is_claimed_once_whatever_its_case(run, tmp_path):
    runfmt.finish()
    with pytest.warns(RuntimeWarning, match="resume"):
        assert runfmt.init(id="ONE", dir=tmp_path, console="off").id == "ONE-2"
    runfmt.finish()
    assert runfmt.init(id="One", dir=tmp_path, console="off", resume="allow").id == "one"
    runfmt.finish()


def test_row_of_ten_mebibytes_is_the_longest(run):
    given = {"_timestamp": 1732417554.5}  # so that each row has the same number of digits
    runfmt.log({**given, "a": ""}, step=0)
    stream = run.directory / "metrics.jsonl"
    room = LONGEST - len(stream.read_bytes())
    with pytest.raises(runfmt.UsageError, match="10,485,761"):
        runfmt.log({**given, "a": "x" * (room + 1)}, step=0)
    runfmt.log({**given, "a": "x" * room}, step=0)
    lines = stream.read_bytes().splitlines(keepends=True)
    assert len(lines[1]) == LONGEST
    assert read_history(lines[1]).problems == []
    longer = lines[1].replace(b"xx", b"xxx", 1)
    history = read_history(longer + lines[0])
    assert [(problem.rule, problem.offset) for problem in history.problems] == [("R027", 0)]
    assert [row["a"] for row in history.rows] == [""]


def test_time_of_rows_goes_on_when_the_clock_is_set_back(run, monkeypatch):
    runfmt.log({"a": 1})
    monkeypatch.setattr(time, "time", lambda: 0.0)
    runfmt.log({"a": 2})
    first, second = StoredRun(run.directory).history().rows
    assert first["_timestamp"] <= second["_timestamp"]


def test_streams_are_made_durable_unasked(run, monkeypatch):
    done, synced, fdatasync = threading.Event(), set(), os.fdatasync

    def record(descriptor):
        fdatasync(descriptor)
        synced.add((os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_size))
        done.set()

    monkeypatch.setattr(os, "fdatasync", record)
    runfmt.log({"a": 1})
    stream = run.directory / "metrics.jsonl"
    expected = (str(stream), stream.stat().st_size)
    while expected not in synced:
        assert done.wait(60), "no fsync came"
        done.clear()


def test_row_is_one_write_of_a_whole_line(run, monkeypatch):
    written, write = [], os.write
    monkeypatch.setattr(
        os, "write", lambda descriptor, data: written.append(bytes(data)) or write(descriptor, data)
    )
    runfmt.log({"a": 1.5, "b": [1, 2]}, step=3)
    (line,) = [data for data in written if b'"_step":3' in data]
    assert line.endswith(b"\n")
    assert json.loads(line)["b"] == [1, 2]
