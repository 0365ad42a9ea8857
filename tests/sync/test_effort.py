"""How much a sync reads and writes, counted: opened files and listed folders, for each run more."""

import io
import json
import os
import subprocess
import sys
import time
from functools import partial

import pytest

from runfmt_sync import applying, digests, inventory
from runfmt_sync.digests import BLOCK
from runfmt_sync.extents import MAX_EXTENT
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
from runmaker import make_run, read, rows

COUNT = """
import collections, json, sys
from pathlib import Path
from runfmt_sync.cli import main
counts = collections.Counter()
roots = tuple(sys.argv[1:4])
def count(event, arguments):
    if event in ("open", "os.scandir", "os.listdir") and str(arguments[0]).startswith(roots):
        writes = event == "open" and (arguments[2] & 3) != 0
        counts["write" if writes else event.removeprefix("os.")] += 1
sys.addaudithook(count)
try:
    main(["sync", sys.argv[1], "--remote", sys.argv[2], "--json"])
finally:
    print(json.dumps({**counts, "modules": sorted(sys.modules)}), file=sys.stderr)
"""
FILES, FOLDERS = 8, 4
"""What a run of runmaker has, the run's own folder included."""


@pytest.fixture
def effort(source, remote, state):
    """Sync that many runs; gives what was counted in runs, remote and state."""

    def sync(count):
        for number in range(len(list(source.iterdir())), count):
            make_run(source, f"r{number}")
        done = subprocess.run(
            [sys.executable, "-c", COUNT, source, remote, state], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stderr)
        sync.modules = set(found["modules"])
        return {name: found.get(name, 0) for name in ("open", "write", "scandir", "listdir")}

    return sync


def more(effort, counts):
    """What each run costs more, from the difference of two syncs."""
    few, many = (effort(count) for count in counts)
    return {name: (many[name] - few[name]) / (counts[1] - counts[0]) for name in few}


def rest(remote):
    """Let the remote's files come of age, as they do between two syncs."""
    for path in remote.rglob("*"):
        os.utime(path, (time.time() - 60,) * 2)


def test_sync_of_runs_that_stand_lists_their_folders_and_opens_one_file(effort, source, remote):
    found = []
    for count in (5, 25):
        effort(count)
        rest(remote)
        effort(count)
        found.append(effort(count))
    each = {name: (found[1][name] - found[0][name]) / 20 for name in found[0]}
    assert each == {"open": 1, "write": 0, "scandir": 2 * FOLDERS, "listdir": 0}


def test_sync_of_runs_that_stand_loads_only_what_it_needs(effort, remote):
    heavy = {"rich", "filelock", "importlib.metadata", "pandas", "numpy", "ctypes"}
    effort(2)
    assert effort.modules & heavy == {"ctypes"}
    rest(remote)
    effort(2)
    effort(2)
    assert effort.modules & heavy == set()


def test_second_sync_right_after_the_first_reads_what_was_written_once(effort):
    effort(30)
    # At the remote, as far as it was written in the last moment; here the run.json of each.
    assert effort(30)["open"] <= 30 * (FILES + 1) + 30


def test_first_sync_reads_each_file_a_few_times(effort):
    each = more(effort, (0, 30))
    # Here for its digest and to be sent; there to be made durable: its digest is known from writing it.
    assert each["open"] <= 2 * FILES + 2 * FOLDERS + 6
    assert each["write"] <= FILES + 5


def test_grown_run_is_read_alone(effort, source, remote):
    effort(20)
    rest(remote)
    effort(20)
    before = effort(20)
    with (source / "r0" / "metrics.jsonl").open("ab") as file:
        file.write(b'{"_step":30,"_timestamp":1}\n')
    after = effort(20)
    assert after["open"] - before["open"] < 20
    assert after["write"] - before["write"] < 8


def test_growing_stream_is_read_on_from_its_last_block(source, remote, sync, monkeypatch):
    run = make_run(source, state="running")
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(21, 2, text="x" * BLOCK))
    os.utime(run / "metrics.jsonl", (time.time() + 60,) * 2)  # young, as that of a run being written
    sync()
    proved = []
    original = digests._read_digest
    monkeypatch.setattr(
        digests, "_read_digest", lambda file, length: (proved.append(length), original(file, length))[1]
    )
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(25, 1))
    assert sync()["first"].extents == 1
    assert BLOCK not in proved


@pytest.mark.parametrize(
    ("after", "is_read"),
    [(10**11 + 1, True), (10**11, True), (-(10**11) + 1, False), (-(10**11), False)],
    ids=["young", "young and coarse", "old", "old and coarse"],
)
def test_file_is_believed_only_when_its_time_can_tell(source, remote, sync, after, is_read):
    changed_at = time.time_ns() // 10**9 * 10**9 + after
    run = make_run(source)
    file = run / "files" / "requirements.txt"
    os.utime(file, ns=(changed_at, changed_at))
    sync()
    with file.open("r+b") as stream:
        stream.write(b"T")
    os.utime(file, ns=(changed_at, changed_at))
    assert sync()["first"].extents == is_read


@pytest.mark.parametrize(("age", "is_settled"), [(0.05, False), (0.5, True), (3, True)])
def test_coarse_times_need_two_seconds_and_fine_ones_a_tenth(age, is_settled):
    whole = 1_800_000_000 * 10**9
    fine = digests.Signature(1, whole + 1, 1)
    coarse = digests.Signature(1, whole, 1)
    now = whole + int(age * 10**9) + 1
    assert digests._is_settled(fine, now) is is_settled
    assert digests._is_settled(coarse, now) is (age > 2)


def test_lost_receipt_is_given_again(source, remote, sync, state):
    run = make_run(source)
    sync()
    rest(remote)
    sync()
    [receipts] = state.rglob("receipts.jsonl")
    receipts.unlink()
    assert sync()["first"].status == "unchanged"
    assert read(run / "run.json")["uid"] in receipts.read_text()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"state": "running", "environment": {"host": os.uname().nodename}}, {"metrics.jsonl"}),
        ({"state": "running", "environment": {"host": "elsewhere"}}, set()),
        ({"state": "finished"}, set()),
    ],
)
def test_grown_stream_of_a_run_of_this_host_is_durable_before_it_is_sent(
    source, remote, sync, monkeypatch, about, expected
):
    run = make_run(source, **about)
    sync()
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(21, 1))
    made_durable = set()
    monkeypatch.setattr(
        os, "fdatasync", lambda descriptor: made_durable.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    sync()
    assert made_durable == {str(run / name) for name in expected}


def test_rows_that_are_appended_cost_one_wait_for_the_disk(source, remote, sync, monkeypatch):
    run = make_run(source, state="running", environment={"host": "elsewhere"})
    place = open_remote(str(remote))
    bring = partial(Push(place).run, [run])
    bring()
    for path in remote.rglob("*"):
        if path.name != "metrics.jsonl":  # which alone is young, as that of a run being written
            os.utime(path, (time.time() - 60,) * 2)
    grow(run)
    bring()
    waits = []
    asked = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (waits.append(os.readlink(f"/proc/self/fd/{file}")), asked(file))
    )
    grow(run)
    [outcome] = bring()
    assert (outcome.status, outcome.extents) == ("synced", 1)
    # The stream and the name of it; that it is confirmed costs none, as it is known what was written.
    assert waits == [str(remote / "first" / "metrics.jsonl"), str(remote / "first")]


def grow(run):
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(len(read_lines(run)), 1))


def read_lines(run):
    return (run / "metrics.jsonl").read_bytes().splitlines()


def test_large_file_that_came_in_pieces_is_not_read_for_its_digest(source, remote, sync, monkeypatch):
    (make_run(source) / "files" / "last.ckpt").write_bytes(os.urandom(3 * MAX_EXTENT))
    monkeypatch.setattr(applying, "prove_file", lambda file: pytest.fail("it was read again"))
    proved = []
    original = inventory.prove_file
    monkeypatch.setattr(inventory, "prove_file", lambda file: (proved.append(file.name), original(file))[1])
    assert sync()["first"].status == "synced"
    assert [name for name in proved if name.endswith("last.ckpt")] == [
        str(source / "first" / "files" / "last.ckpt")
    ]


def test_file_whose_pieces_came_to_several_servers_is_read_for_its_digest(source, remote, sync, monkeypatch):
    (make_run(source) / "files" / "last.ckpt").write_bytes(os.urandom(3 * MAX_EXTENT))
    monkeypatch.setattr(applying.Written, "keep", lambda *_: None)
    read_again = []
    original = applying.prove_file
    monkeypatch.setattr(applying, "prove_file", lambda file: (read_again.append(file), original(file))[1])
    assert sync()["first"].status == "synced"
    assert len(read_again) == 1


def test_file_that_somebody_changed_between_two_pieces_is_read_for_its_digest(tmp_path):
    written, part = applying.Written(), tmp_path / "part"
    part.write_bytes(b"")
    with part.open("r+b", buffering=0) as file:
        proving = written.take(("uid", "digest"), 0, file)
        file.write(b"abc")
        proving.update(b"abc")
        written.keep(("uid", "digest"), proving, file)
        os.utime(part, ns=(1, 1))
        assert written.take(("uid", "digest"), 3, file) is None


@pytest.mark.parametrize("sizes", [[0], [5], [BLOCK], [BLOCK - 1, 2, 3 * BLOCK], [7, 2 * BLOCK - 7, 1]])
def test_proof_of_what_comes_in_pieces_is_that_of_the_whole(sizes):
    pieces = [os.urandom(size) for size in sizes]
    for is_stream in (True, False):
        proving = digests.Proving(is_stream=is_stream)
        for piece in pieces:
            proving.update(piece)
        whole = io.BytesIO(b"".join(pieces))
        expected = digests.prove_stream(whole, sum(sizes)) if is_stream else digests.prove_file(whole)
        assert proving.proof == expected


def test_state_of_another_version_is_taken_as_none(source, remote, sync, state):
    make_run(source)
    sync()
    for journal in state.rglob("*.jsonl"):
        kept = [json.loads(line) for line in journal.read_text().split("\n") if line]
        if journal.name != "stores.jsonl":
            journal.write_text("".join(json.dumps([key, {"version": 9}]) + "\n" for key, _ in kept))
    assert sync()["first"].status == "unchanged"
    assert read(source / "first" / "run.json")["id"] == "first"
