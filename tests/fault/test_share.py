"""A network share, as far as one can be had without a kernel that mounts one: what NFS does to a writer.

Emulated at the system calls: descriptors go stale when the server comes back (ESTALE from every call on
them), locks fail or do nothing (tests/fault/test_together.py), a file that was written elsewhere looks
shorter for a while than it is, and a removed file that is still open stays as ``.nfs...``.
"""

import errno
import os

import pytest

import runfmt
from runfmt.reading import StoredRun

CALLS = ("write", "fstat", "ftruncate", "fdatasync", "fsync", "lseek", "pread")


@pytest.fixture
def share(monkeypatch):
    """Takes a path whose open descriptors go stale; new ones do not."""
    stale = set()

    def refusing(call):
        def refuse(descriptor, *rest):
            if descriptor in stale:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return call(descriptor, *rest)

        return refuse

    close = os.close

    def closing(descriptor):
        close(descriptor)
        if descriptor in stale:
            stale.remove(descriptor)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    for name in CALLS:
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(os, "close", closing)

    def go_stale(path):
        for entry in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{entry}") == str(path):
                    stale.add(int(entry))
            except OSError:  # the descriptor of the list itself
                continue
        assert stale

    return go_stale


def values(run):
    stored = StoredRun(run.directory)
    assert stored.problems == []
    return [row["v"] for row in stored.history().rows]


@pytest.mark.parametrize("durability", ["second", "fsync", "buffered"])
def test_rows_go_on_after_the_server_came_back(tmp_path, share, durability, monkeypatch, recwarn):
    monkeypatch.setattr("runfmt.stream.RETRY_AFTER", 0)
    run = runfmt.init(id="one", dir=tmp_path, console="off", durability=durability)
    for value in range(300):
        if value % 100 == 50:
            run.save()
            share(run.directory / "metrics.jsonl")
        run.log({"v": value})
    run.finish()
    assert values(run) == list(range(300))
    assert [str(said.message).partition(" (")[0] for said in recwarn] == ["Stale file handle"]


def test_rows_wait_while_the_file_cannot_be_found_again(tmp_path, share, monkeypatch, recwarn):
    monkeypatch.setattr("runfmt.stream.RETRY_AFTER", 0)
    run = runfmt.init(id="one", dir=tmp_path / "runs", console="off")
    run.log({"v": 0})
    share(run.directory / "metrics.jsonl")
    (tmp_path / "runs").rename(tmp_path / "away")
    run.log({"v": 1})
    run.log({"v": 2})
    (tmp_path / "away").rename(tmp_path / "runs")
    run.log({"v": 3})
    assert values(run) == [0, 1, 2, 3]
    run.finish()


def test_length_that_lags_is_not_taken_for_anything(tmp_path, monkeypatch):
    fstat = os.fstat

    def lagging(descriptor):
        found = fstat(descriptor)
        fields = list(found)
        fields[6] = max(0, found.st_size - 100)
        return os.stat_result(fields)

    run = runfmt.init(id="one", dir=tmp_path, console="off")
    monkeypatch.setattr(os, "fstat", lagging)
    for value in range(100):
        run.log({"v": value})
        if value % 10 == 0:
            run.save()
    monkeypatch.undo()
    run.finish()
    assert values(run) == list(range(100))
    assert [path.name for path in run.directory.glob("metrics*")] == ["metrics.jsonl"]


def test_removed_file_that_is_still_open_disturbs_nobody(tmp_path):
    run = runfmt.init(id="one", dir=tmp_path, console="off")
    run.log({"v": 0})
    os.link(run.directory / "metrics.jsonl", run.directory / ".nfs0000000001")
    run.finish()
    assert values(run) == [0]
    assert [found.name for found in runfmt.find_runs(tmp_path)] == ["one"]
