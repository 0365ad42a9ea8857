"""What every mirror does with whole runs, and more of them: many, grown, replaced, large."""

import json
import os
import random

import pytest

from remotes.checks import append, assert_quiet, lost_and_doubled, moved
from runfmt.errors import CommError
from runfmt.reading import find_runs
from runfmt_sync.digests import prove_file
from runfmt_sync.extents import MAX_EXTENT
from runfmt_sync.push import Push
from runmaker import make_run, picture, read, rows, settle, write

LARGE = int(os.environ.get("RUNFMT_TEST_LARGE", "67108864"))
"""Bytes of the large file; the soak takes 2 GiB."""


def test_sync_makes_both_sides_equal_and_gives_true_receipts(source, kind, sync):
    for number in range(3):
        make_run(source, f"r{number}")
    assert {outcome.status for outcome in sync().values()} == {"synced"}
    assert_quiet(source, kind, sync)


def test_again_moves_nothing(source, kind, sync):
    make_run(source)
    sync()
    outcomes = sync()
    assert (outcomes["first"].status, moved(outcomes)) == ("unchanged", (0, 0))


def test_grown_stream_moves_only_what_is_new(source, kind, sync):
    run = make_run(source)
    sync()
    new = rows(21, 5)
    append(run / "metrics.jsonl", new + b'{"_step":26,"_ti')
    assert moved(sync()) == (1, len(new))
    assert_quiet(source, kind, sync)


def test_stream_grown_over_blocks_moves_only_what_is_new(source, kind, sync):
    run = make_run(source)
    append(run / "metrics.jsonl", rows(21, 3, text="x" * 3_000_000))
    sync()
    new = rows(24, 1, text="y" * 3_000_000)
    append(run / "metrics.jsonl", new)
    assert moved(sync()) == (1, len(new))
    assert_quiet(source, kind, sync)


def test_replaced_and_new_files_move_whole(source, kind, sync):
    run = make_run(source, state="running")
    sync()
    write(run / "run.json", {**read(run / "run.json"), "state": "finished"})
    append(run / "metrics.jsonl", picture(run, 21, 7))
    (run / "unknown.bin").write_bytes(b"from the future")
    (run / "files" / "empty").touch()
    assert moved(sync())[0] == 5
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("size", [0, 10, 9_000_000])
def test_files_with_equal_bytes_all_arrive(source, kind, sync, size):
    run = make_run(source, state="running")
    sync()
    for name in ("a", "b", "c"):
        (run / "files" / name).write_bytes(b"x" * size)
    assert sync()["first"].status == "synced"
    assert_quiet(source, kind, sync)


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"\xff\xfe\n\n\r\n\0\n", b"x" * 3_000_000], ids=len)
def test_any_bytes_may_be_a_stream(source, kind, sync, data):
    run = make_run(source)
    (run / "metrics.jsonl").write_bytes(data)
    assert sync()["first"].status == "synced"
    assert_quiet(source, kind, sync)


def test_line_longer_than_an_extent_moves(source, kind, sync):
    run = make_run(source)
    append(run / "metrics.jsonl", rows(21, 1, text="x" * 9 * 2**20))
    assert sync()["first"].status == "synced"
    assert_quiet(source, kind, sync)


def test_thousand_tiny_runs_are_moved_and_listed(source, kind, sync):
    for number in range(1000):
        run = source / f"tiny{number}"
        run.mkdir()
        uid = f"00000000-0000-4000-8000-{number:012x}"
        (run / "run.json").write_text(
            json.dumps({"runfmt": 1, "requires": [], "uid": uid, "id": run.name, "state": "finished"})
        )
        (run / "metrics.jsonl").write_bytes(rows(0, 1))
    settle(source)
    assert {outcome.status for outcome in sync().values()} == {"synced"}
    assert_quiet(source, kind, sync)
    assert set(kind.remote().ids().values()) == {f"tiny{number}" for number in range(1000)}


@pytest.mark.soak
def test_large_file_moves_in_pieces_and_goes_on_where_it_was_cut(source, kind, sync, counted):
    run = make_run(source)
    with (run / "files" / "model.pt").open("wb") as file:
        block = random.Random(1).randbytes(2**20)
        for number in range(LARGE // 2**20):
            file.write(number.to_bytes(8, "big") + block[8:])
    push = Push(Cut(kind.remote(), "files/model.pt", LARGE // 2))
    [cut] = push.run(list(find_runs(source)))
    assert str(push.fault) == "cable pulled"
    kind.restart()
    outcome = sync()["first"]
    assert outcome.status == "synced"
    assert outcome.size < LARGE / 2 + MAX_EXTENT  # of the piece that was cut nothing is there
    assert digest_of(run / "files" / "model.pt") == digest_of(kind.run("first") / "files" / "model.pt")
    lost, doubled = lost_and_doubled(source, kind.root)
    counted(syncs=2, faults=1, bytes=cut.size + outcome.size, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


def digest_of(path):
    with path.open("rb") as file:
        return prove_file(file)


class Cut:
    """A remote whose cable is pulled when a path has come to an offset; what came before is there."""

    def __init__(self, remote, path, offset):
        self.remote, self.path, self.offset = remote, path, offset

    def __getattr__(self, name):
        return getattr(self.remote, name)

    def apply(self, pieces):
        refused = self.remote.apply(self.before(pieces))
        if self.is_cut:
            raise CommError("cable pulled")
        return refused

    is_cut = False

    def before(self, pieces):
        for extent, body in pieces:
            if extent.path == self.path and extent.offset + extent.length > self.offset:
                self.is_cut = True
                return
            yield extent, body
