"""Nobody waits for a long stream: it is read by other processes, once, and told when it is there (H079)."""

import multiprocessing
import re
from pathlib import Path

import pytest

from runfmt.reading import StoredRun
from runmaker import make_run, read, rows
from viewing import showing


def bytes_read():
    """Bytes that this process read so far; the server is a thread of it."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


@pytest.fixture
def run(runs):
    run = make_run(runs)
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(rows(21, 100_000, text="x" * 200))
    return run


@pytest.fixture
def uid(run):
    return read(run / "run.json")["uid"]


def test_list_and_curves_come_at_once_and_are_filled_in(run, uid, runs):
    size = (run / "metrics.jsonl").stat().st_size
    assert size > 20e6
    before = bytes_read()
    with showing(runs) as client:
        mark = lambda: client.json("POST", "/v1/pulse", json={"uids": [uid]})["runs"][uid]["mark"]  # noqa: E731
        ask = lambda what, **body: client.json("POST", f"/v1/{what}", json=body)  # noqa: E731
        first = mark()
        (row,) = client.json("GET", "/v1/runs")["runs"]
        assert (row["pending"], "summary" in row, row["config"]) == (True, False, StoredRun(run).config)
        assert ask("keys", uids=[uid])["pending"] == [uid]
        assert ask("curves", curves=[{"uid": uid, "key": "loss"}])["curves"][0]["pending"] is True
        assert ask("objects", uids=[uid], key="x")["runs"][uid]["pending"] is True
        assert client.json("GET", f"/v1/runs/{uid}/about")["pending"] is True
        while mark() == first:
            pass
        (row,) = client.json("GET", "/v1/runs")["runs"]
        assert ask("curves", curves=[{"uid": uid, "key": "loss"}])["curves"][0]["count"] == row["rows"]
        assert "pending" not in row
        assert bytes_read() - before < size / 2  # columns and tails, with what the pulses cost
        assert row["summary"] == StoredRun(run).summary
    assert not multiprocessing.active_children()


def test_nothing_is_pending_nor_read_again_after_runfmt_index(run, uid, runs, runfmt, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNFMT_STATE", str(tmp_path / "state"))
    runfmt.environment["RUNFMT_STATE"] = str(tmp_path / "state")
    runfmt("index", runs)
    before = bytes_read()
    with showing(runs) as client:
        (row,) = client.json("GET", "/v1/runs")["runs"]
        assert (row["rows"], "pending" in row) == (100_021, False)
    assert bytes_read() - before < (run / "metrics.jsonl").stat().st_size / 10
