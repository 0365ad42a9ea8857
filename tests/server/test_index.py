"""What a server keeps of runs is what a reader finds in them, and costs what is new in them."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from runfmt.reading import StoredRun
from runfmt_sync.server import indexes
from runfmt_sync.server.index import Index
from runfmt_sync.server.indexes import Indexes
from runmaker import make_run, read, rows, write


def rows_by(folder):
    """An index that was opened just now."""
    return Index(folder / "index.sqlite", Indexes(folder / "index"))


@pytest.fixture
def row(tmp_path, monkeypatch):
    """Looks at one run, however long that takes, by an index that was opened just now."""
    monkeypatch.setattr(indexes, "AT_ONCE", None)

    def look(run):
        (found,) = rows_by(tmp_path).rows([("u", run)])
        return found

    return look


def said(run):
    """What a reader finds."""
    found = StoredRun(run).describe()
    return {
        "uid": "u",
        "owner": "p",
        "state": read(run / "run.json")["state"],
        "time": StoredRun(run).newest_line,
        "rows": len(found["rows"]["main"]),
        "attributes": {**StoredRun(run).attributes, "id": run.name},
        "config": found["config"],
        "summary": found["summary"],
    }


def append(path, *lines):
    with path.open("ab") as file:
        file.writelines(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
        )


def at(step, **row):
    return {"_step": step, "_timestamp": time.time(), **row}


def bytes_read(do, *arguments):
    """How many bytes this process reads meanwhile."""
    before = _read_so_far()
    do(*arguments)
    return _read_so_far() - before


def _read_so_far():
    found = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(found["rchar"])


GROWTH = {
    "rows": [at(31, loss=5), at(32, loss=None, acc={"train": 1})],
    "more of the last row": [at(20, acc=7)],
    "a row of an earlier step": [at(3, loss=9, late=1)],
    "a step that was not there": [at(40, loss=1), at(35, loss=2)],
    "a rewind": [at(21, _rewind=10), at(11, loss=4)],
    "a rewind of what is new": [at(41, loss=1), at(42, loss=2), at(42, _rewind=41)],
    "statistics asked for late": [at(21, _define={"name": "loss", "summary": ["min", "mean"]})],
    "values set by hand": [at(21, _summary={"set": {"best": 3}, "del": ["x"]}), at(22, loss=1)],
    "not finite": [{**at(23, loss=None), "_nonfinite": {"/loss": "NaN"}}],
    "as deep as rows may be": [b'{"_step":50,"a":' + b'{"b":' * 62 + b"1" + b"}" * 63 + b"\n"],
    "junk": [b"\0\0\n", b"[]\n", b'{"_step":9'],
    "nothing": [],
}


@pytest.mark.parametrize("growth", GROWTH.values(), ids=GROWTH)
def test_row_of_a_grown_run_is_what_a_reader_finds(tmp_path, row, growth):
    run = make_run(tmp_path, state="running")
    append(run / "metrics.jsonl", at(30, _define={"name": "acc", "summary": ["max"], "goal": "maximize"}))
    assert row(run) == said(run)
    append(run / "metrics.jsonl", *growth)
    assert row(run) == said(run)
    append(run / "metrics.jsonl", b"\n", at(60, loss=7, acc=8))
    append(run / "system.jsonl", {"_timestamp": time.time() + 5})
    write(run / "edits.json", {"/summary/loss": {"value": 0, "time": 1.0, "author": "x"}})
    assert row(run) == said(run)
    write(run / "run.json", read(run / "run.json") | {"state": "finished"})
    assert row(run) == said(run)


def test_only_what_is_new_in_a_run_is_read(tmp_path, row):
    run = make_run(tmp_path, state="running")
    append(run / "metrics.jsonl", rows(21, 20_000, text="x" * 100))
    large = (run / "metrics.jsonl").stat().st_size
    assert bytes_read(row, run) > large > 3_000_000
    nothing = bytes_read(row, run)
    append(run / "system.jsonl", {"_timestamp": time.time()})
    heartbeat = bytes_read(row, run)
    append(run / "metrics.jsonl", at(30_000, loss=1))
    one = bytes_read(row, run)
    append(run / "metrics.jsonl", at(30_001, _rewind=10_000), at(10_001, loss=4))
    assert bytes_read(row, run) > large  # what reaches back behind what was counted: once
    append(run / "metrics.jsonl", at(10_002, loss=2))
    again = bytes_read(row, run)
    assert max(nothing, heartbeat, one, again) < 100_000
    assert row(run) == said(run)


def test_what_is_kept_does_not_grow_with_the_run(tmp_path):
    """Also of one that sets its summary by hand at every step."""
    run = make_run(tmp_path, state="running")
    kept = []
    for first in (1000, 2000):
        for step in range(first, first + 1000):
            append(run / "metrics.jsonl", at(step, _summary={"set": {"best": step}}), at(step, best=step))
        rows_by(tmp_path).rows([("u", run)])
        kept += [path.stat().st_size for path in tmp_path.glob("index/*/metrics.jsonl/fold")]
    assert kept[1] < kept[0] + 10


@pytest.mark.parametrize("replace", [shutil.copyfile, os.replace])
def test_stream_that_was_replaced_is_read_anew(tmp_path, row, replace):
    run = make_run(tmp_path, state="running")
    row(run)
    (tmp_path / "other").write_bytes(rows(0, 100, acc=1))
    replace(tmp_path / "other", run / "metrics.jsonl")
    assert row(run) == said(run)
    (tmp_path / "other").write_bytes(rows(50, 50, acc=2))
    replace(tmp_path / "other", run / "metrics.jsonl")
    assert row(run) == said(run)


def test_stream_that_is_a_link_is_none(tmp_path, row):  # R006
    run = make_run(tmp_path, state="running")
    row(run)
    os.replace(run / "metrics.jsonl", tmp_path / "other")
    (run / "metrics.jsonl").symlink_to(tmp_path / "other")
    assert (row(run)["rows"], row(run)["summary"]) == (0, {})


def test_run_that_is_mended_is_no_longer_refused(tmp_path, row):
    run = make_run(tmp_path)
    document = read(run / "run.json")
    write(run / "run.json", {})
    assert "no readable run.json" in row(run)["refused"]
    write(run / "run.json", document)
    assert row(run) == said(run)


def test_index_that_is_damaged_is_made_anew(tmp_path, row):
    run = make_run(tmp_path)
    expected = row(run)
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    assert row(run) == expected
    assert row(run) == expected


def test_rows_are_made_where_none_can_be_kept(tmp_path):
    """As when the database was damaged, or its disk is full, while the server runs."""
    run = make_run(tmp_path)
    index = rows_by(tmp_path)
    expected = index.rows([("u", run)])
    for path in tmp_path.glob("index.sqlite*"):
        path.unlink()
    (tmp_path / "index.sqlite").mkdir()
    assert index.rows([("u", run)]) == expected
