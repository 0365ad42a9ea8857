"""Killed anywhere, on a full disk, beside what cannot be read: the next call finishes."""

import os
import shutil
import signal
import subprocess

import pytest

from program import RUNFMT
from remotes.checks import points
from remotes.kinds import full_disk
from runfmt.layout import is_stream
from runfmt.reading import StoredRun, find_runs
from runfmt_sync.importing import import_runs
from runmaker import assert_same, contents, runs_in

POINTS = points("import.", "inventory.", "push.", "receipt.", "store.")
NEVER = {"push.merged", "store.merged"}
"""Edits are on no way from elsewhere."""
ROWS = 400


@pytest.fixture
def source(tmp_path):
    """Three tables; the first is longer than it was when it was imported."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in "abc":
        write(folder / f"{name}.csv", ROWS)
    return folder


def write(table, count):
    lines = "".join(f"{step},{step / 7},{step % 3}\n" for step in range(count))
    table.write_text(f"step,loss,kind\n{lines}")


def start(source, output, state, **environment):
    command = [RUNFMT, "import", *sorted(source.iterdir()), "-o", output]
    return subprocess.Popen(
        command, env={**os.environ, "RUNFMT_STATE": str(state), **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def begun(source, tmp_path, imported):
    """A part of the first table was imported."""
    write(source / "a.csv", ROWS // 2)
    imported(source / "a.csv")
    write(source / "a.csv", ROWS)
    return tmp_path / "whole"


def whole(source, begun, tmp_path):
    """The runs as one import that nobody disturbs makes them; undated rows have the time of the first one."""
    shutil.copytree(tmp_path / "imported", begun, dirs_exist_ok=True)
    assert start(source, begun, tmp_path / "other").wait(60) == 0
    return begun


def assert_true(expected, folder):
    """All that is seen is so, though there may be more to come."""
    ours = runs_in(expected)
    for uid, run in runs_in(folder).items():
        assert StoredRun(run).problems == []
        theirs, there = contents(ours[uid]), contents(run)
        assert there.keys() <= theirs.keys()
        assert all(theirs[path].startswith(there[path]) for path in there if is_stream(path))


@pytest.mark.parametrize("point", [point for point in POINTS if point not in NEVER])
def test_import_killed_at_a_point_is_finished_by_the_next(source, begun, imported, state, tmp_path, point):
    expected = whole(source, begun, tmp_path)
    code = start(source, imported.folder, state, RUNFMT_FAULT=point).wait(60)
    assert code == -signal.SIGKILL, "the point is never reached"
    assert_true(expected, imported.folder)
    outcomes = imported(*sorted(source.iterdir()))
    assert {outcome.status for outcome in outcomes.values()} <= {"synced", "unchanged"}
    assert_same(expected, imported.folder)
    assert not (imported.folder / ".importing").exists()


def test_full_disk_is_said_and_the_next_import_finishes(source, begun, imported, tmp_path):
    expected = whole(source, begun, tmp_path)
    with full_disk(imported.folder):
        outcomes, fault = import_runs([str(path) for path in sorted(source.iterdir())], imported.folder)
    assert "space" in str(fault or [outcome.problems for outcome in outcomes])
    assert not {outcome.status for outcome in outcomes} & {"synced"}
    assert_true(expected, imported.folder)
    imported(*sorted(source.iterdir()))
    assert_same(expected, imported.folder)


def test_folder_that_cannot_be_looked_into_is_said_and_the_others_come(source, imported, monkeypatch):
    shut = source / "shut"
    shut.mkdir()
    (source / "open").mkdir()
    shutil.move(source / "a.csv", source / "open" / "metrics.csv")
    (source / "open" / "hparams.yaml").write_text("lr: 1\n")
    real = os.scandir

    def scandir(path):
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    outcomes = imported(source)
    assert outcomes["open"].status == "synced"
    assert "Permission denied" in outcomes["shut"].problems[0]
    assert len([*find_runs(imported.folder)]) == 1
