"""Remotes and folders that are full, read-only, taken away, or hold what they should not.

Nothing is lost, other runs go on, the text says what is wrong, and the next call finishes.
"""

import ctypes
import errno
import os
import resource
import shutil
import subprocess
import threading

import pytest

from runfmt.reading import StoredRun
from runfmt_sync import applying, push
from runmaker import assert_same, assert_true_prefix, contents, make_run, picture, read, rows, runs_in, write

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def as_anybody():
    """Be bound by permissions, as root is not."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


@pytest.fixture
def anybody(runfmt):
    """Call the program as a user who is bound by permissions."""

    def call(*words, code=0, **options):
        process = runfmt.start(*words, preexec_fn=as_anybody, **options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out, err

    return call


@pytest.fixture
def read_only():
    """Take the right to write from everything below a folder, until the test ends."""
    changed = []

    def protect(folder):
        for path in [*folder.rglob("*"), folder]:
            changed.append((path, path.stat().st_mode))
            path.chmod(path.stat().st_mode & ~0o222)

    yield protect
    for path, mode in reversed(changed):
        path.chmod(mode)


# Full


@pytest.fixture
def room(monkeypatch):
    """Let the remote's disk take only so many bytes more; gives a function that says how many."""
    left = [None]
    original = applying._write

    def limited(file, offset, data):
        if left[0] is not None:
            data, rest = data[: left[0]], data[left[0] :]
            left[0] -= len(data)
            original(file, offset, data)
            if rest:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
            return
        original(file, offset, data)

    monkeypatch.setattr(applying, "_write", limited)
    return lambda size: left.__setitem__(0, size)


@pytest.mark.parametrize("size", [0, 100, 5_000, 100_000, 9_000_000])
def test_full_remote_is_told_and_finished_when_there_is_room(runfmt, runs, stick, room, size):
    old = make_run(runs, "old", state="running")
    runfmt("sync")
    append(old / "metrics.jsonl", picture(old, 21, 1) + rows(22, 500))
    for number in range(5):
        make_run(runs, f"r{number}", count=300)
    (old / "files" / "model.pt").write_bytes(os.urandom(10 * 2**20))
    room(size)
    done = runfmt("sync", code=3)
    assert done.stderr.startswith(f"runfmt: the remote {stick} gave up: No space left on device")
    assert done.stderr.endswith("mend it, then try again\n")
    assert "waiting" in done.stdout
    assert_true_prefix(runs, stick)
    room(None)
    runfmt("sync")
    assert_same(runs, stick)
    runfmt("verify")


def test_file_that_is_too_large_for_the_remote_stops_only_its_run(runfmt, runs, stick):
    make_run(runs, "a")
    run = make_run(runs, "b")
    make_run(runs, "c")
    (run / "files" / "model.pt").write_bytes(os.urandom(200_000))
    process = runfmt.start(
        "sync", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "b: the remote cannot take it: File too large" in out
    assert "2 synced, 1 failed" in out
    assert {path.name for path in runs_in(stick).values()} == {"a", "c"}
    runfmt("sync")
    assert_same(runs, stick)


# Read-only


def test_read_only_remote_that_is_no_store_yet_is_told(runfmt, anybody, runs, stick, read_only):
    make_run(runs)
    stick.mkdir()
    read_only(stick)
    _, err = anybody("sync", code=3)
    assert err == (
        f"runfmt: the remote {stick} gave up: Permission denied ({stick}/.runfmt); mend it, then try again\n"
    )


def test_read_only_remote_is_read_and_not_written(runfmt, anybody, runs, stick, read_only):
    run = make_run(runs, state="running")
    runfmt("sync")
    read_only(stick)
    assert anybody("sync")[0].startswith("1 unchanged")
    assert anybody("verify")[0] == f"first: 8 equal\n1 run verified at {stick}\n"
    assert "first" in anybody("ls", "stick")[0]
    (run / "config.json").unlink()
    assert "config.json restored" in anybody("recover", "runs", "--from", "stick")[0]
    append(run / "metrics.jsonl", rows(21, 1))
    assert "1 planned" in anybody("sync", "--dry-run")[0]
    before = contents(stick / "first")
    _, err = anybody("sync", code=3)
    assert f"the remote {stick} gave up: Permission denied" in err
    assert contents(stick / "first") == before


def test_read_only_copy_without_an_id_is_read(runfmt, anybody, runs, work, read_only):
    """As a plain copy of runs on a CD is: nobody brought it by a sync."""
    run = make_run(runs)
    shutil.copytree(runs, work / "copy")
    read_only(work / "copy")
    assert anybody("verify", "--remote", "copy")[0] == "first: 8 equal\n1 run verified at copy\n"
    assert "1 planned: 0 B" in anybody("sync", "--remote", "copy", "--dry-run")[0]
    (run / "config.json").unlink()
    assert "config.json restored" in anybody("recover", "runs", "--from", "copy")[0]


def test_new_run_is_refused_by_a_remote_where_nothing_can_be_made(runfmt, anybody, runs, stick, read_only):
    make_run(runs, "a")
    runfmt("sync")
    read_only(stick)
    make_run(runs, "b")
    out, err = anybody("sync", code=3)
    assert "Permission denied" in err
    assert "1 unchanged, 1 waiting" in out


@pytest.mark.parametrize("made", [False, True])
def test_remote_that_takes_no_new_folder_is_at_fault_and_not_the_runs(
    runfmt, anybody, runs, stick, read_only, made
):
    make_run(runs)
    runfmt("sync", "--include", "none")
    (stick / ".runfmt" / "locks").mkdir(exist_ok=True)
    if made:
        (stick / ".incoming").mkdir()
    read_only(stick)
    for folder in (stick / ".runfmt" / "locks", *stick.glob(".incoming")):
        folder.chmod(0o755)
    out, err = anybody("sync", code=3)
    assert "1 waiting" in out
    assert f"the remote {stick} gave up: Permission denied" in err


def test_reading_a_remote_makes_nothing_there(runfmt, runs, work):
    make_run(runs)
    shutil.copytree(runs, work / "copy")
    before = sorted(work.joinpath("copy").rglob("*"))
    runfmt("verify", "--remote", "copy")
    runfmt("sync", "--dry-run", "--remote", "copy")
    runfmt("ls", "copy")
    runfmt("recover", "runs", "--from", "copy")
    assert sorted(work.joinpath("copy").rglob("*")) == before
    assert "is not at the remote" in runfmt("verify", "--remote", "./none", code=1).stdout
    assert not (work / "none").exists()


def test_state_that_cannot_be_kept_costs_a_warning(runfmt, anybody, runs, stick, tmp_path, read_only):
    make_run(runs)
    read_only(tmp_path / "home")
    for word in ("synced", "unchanged"):
        out, err = anybody("sync")
        assert f"1 {word}" in out
        assert "what is found now is not kept" in err
        assert all(line.startswith("runfmt: Permission denied") for line in err.splitlines())
    assert_same(runs, stick)


def test_run_that_may_not_be_read_stops_only_itself(runfmt, anybody, runs, stick):
    make_run(runs, "a")
    run = make_run(runs, "b")
    (run / "console.log").chmod(0)
    out, _ = anybody("sync", code=1)
    assert f"b: Permission denied ({run.relative_to(runs.parent)}/console.log)" in out
    assert "1 synced, 1 failed" in out
    assert "b: Permission denied" in anybody("verify", code=1)[0]
    (run / "console.log").chmod(0o644)
    anybody("sync")
    assert_same(runs, stick)


def test_folder_that_may_not_be_looked_into_is_left_out_and_told(runfmt, anybody, runs, stick):
    make_run(runs, "a")
    make_run(runs / "secret", "b")
    (runs / "secret").chmod(0)
    out, err = anybody("sync")
    (runs / "secret").chmod(0o755)
    assert "1 synced" in out
    assert err == "runfmt: Permission denied (runs/secret): runs in it are left out\n"


# Taken away


@pytest.mark.parametrize("extent", [1, 2, 12, 30])
def test_remote_that_vanishes_in_the_middle_is_never_made_again(
    runfmt, runs, stick, work, monkeypatch, extent
):
    for number in range(6):
        make_run(runs, f"r{number}", state="running")
    runfmt("sync", "--include", "r0")
    append(runs / "r0" / "metrics.jsonl", rows(21, 1))
    seen = []

    def vanish(name):
        seen.append(name)
        if name == "push.extent" and seen.count(name) == extent:
            stick.rename(work / "pocket")

    monkeypatch.setattr(push, "fault_point", vanish)
    done = runfmt("sync", "--jobs", "1", code=3)
    assert f"the remote {stick} gave up: " in done.stderr
    assert "waiting" in done.stdout
    assert not stick.exists()
    assert_true_prefix(runs, work / "pocket")
    (work / "pocket").rename(stick)
    runfmt("sync")
    assert_same(runs, stick)


def test_empty_mount_point_is_another_store_and_never_gets_the_rest(runfmt, runs, stick, work, monkeypatch):
    for number in range(3):
        make_run(runs, f"r{number}")

    several = threading.Lock()

    def unmount(name):
        with several:
            if name == "push.planned" and (stick / ".runfmt").exists():
                stick.rename(work / "pocket")
                stick.mkdir()

    monkeypatch.setattr(push, "fault_point", unmount)
    assert "the store is gone" in runfmt("sync", code=3).stderr
    assert list(stick.iterdir()) == []


def test_source_that_vanishes_in_the_middle_stops_only_itself(runfmt, runs, stick, monkeypatch):
    for number in range(3):
        make_run(runs, f"r{number}")

    def vanish(name):
        if name == "push.planned" and (runs / "r1").exists():
            shutil.rmtree(runs / "r1")

    monkeypatch.setattr(push, "fault_point", vanish)
    out = runfmt("sync", "--jobs", "1", code=1).stdout
    assert "2 synced, 1 failed" in out
    assert_same(runs, stick)


# What should not be there


def test_paths_that_lead_out_of_a_run_bring_nothing(runfmt, runs, stick, work):
    run = make_run(runs)
    (work / "secret").write_bytes(b"secret")
    (run / "media" / "up").symlink_to(work)
    for step, path in enumerate(["../../secret", str(work / "secret"), "media/up/secret", "files/../../x"]):
        append(run / "metrics.jsonl", rows(21 + step, 1, y={"_type": "image-file", "path": path}))
    out = runfmt("sync").stdout
    assert "note: media/up: a symbolic link is not part of a run" in out
    assert all(path.read_bytes() != b"secret" for path in stick.rglob("*") if path.is_file())
    assert contents(stick / "first") == contents(run)
    assert {problem.rule for problem in StoredRun(stick / "first").problems} == {"R070"}
    runfmt("verify")


def test_links_to_runs_are_followed_only_when_named(runfmt, runs, stick, work):
    make_run(work / "elsewhere", "real")
    (runs / "link").symlink_to(work / "elsewhere" / "real")
    make_run(runs, "own")
    runfmt("sync")
    assert {path.name for path in runs_in(stick).values()} == {"own"}
    runfmt("sync", "runs/link")
    assert {path.name for path in runs_in(stick).values()} == {"own", "real"}


def test_private_names_stay_here(runfmt, runs, stick):
    run = make_run(runs)
    make_run(runs / ".trash", "old")
    make_run(runs, ".hidden")
    for path in (".lock", ".cache/x", "files/.ipynb_checkpoints/y", "media/.z"):
        (run / path).parent.mkdir(exist_ok=True)
        (run / path).write_bytes(b"private")
    assert "note" not in runfmt("sync").stdout
    assert all(b"private" not in path.read_bytes() for path in stick.rglob("*") if path.is_file())
    assert list(runs_in(stick).values()) == [stick / "first"]


@pytest.mark.parametrize("depth", [900, 1500, 3000])
def test_folders_in_folders_without_end_stop_only_their_run(runfmt, runs, stick, depth):
    make_run(runs, "good")
    run = make_run(runs, "deep")
    folder = os.open(run / "files", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("leaf", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    try:
        out = runfmt("sync", code=1).stdout
        assert "1 synced, 1 failed" in out
        assert "File name too long" in out if depth == 3000 else "folders in folders" in out
        assert [path.name for path in runs_in(stick).values()] == ["good"]
    finally:  # deeper than pytest can remove
        subprocess.run(["rm", "-rf", run, stick / ".incoming"], check=True)


def test_link_in_place_of_run_json_makes_no_run(runfmt, runs, stick, work):
    run = make_run(runs)
    document = read(run / "run.json")
    (run / "run.json").unlink()
    write(work / "outside.json", document)
    (run / "run.json").symlink_to(work / "outside.json")
    assert "`runfmt recover runs/first`" in runfmt("sync", code=1).stdout


def test_remote_may_lie_behind_a_link(runfmt, runs, work):
    make_run(runs)
    (work / "real").mkdir()
    (work / "link").symlink_to(work / "real")
    runfmt("sync", "--remote", "link")
    assert runfmt("sync", "--remote", "real").stdout.startswith("1 unchanged")
    assert_same(runs, work / "real")
