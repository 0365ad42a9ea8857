"""What every mirror does, whatever it is: one suite for all kinds, each with a real counterpart."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading

import pytest

from runfmt.errors import CommError
from runfmt.reading import StoredRun, find_runs
from runfmt_sync import extents
from runfmt_sync.digests import prove_file
from runfmt_sync.extents import Extent
from runfmt_sync.plan import Ask
from runfmt_sync.push import Push
from runfmt_sync.receipts import Receipts
from runfmt_sync.verify import verify
from runmaker import (
    assert_same,
    assert_true_prefix,
    contents,
    make_run,
    picture,
    read,
    rows,
    runs_in,
    settle,
    write,
)

LARGE = int(os.environ.get("RUNFMT_TEST_LARGE", 64 * 2**20))
"""Bytes of the large file; the soak takes 2 GiB."""
DRIVER = """
import sys
from pathlib import Path
from runfmt.reading import find_runs
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
push = Push(open_remote(sys.argv[2]), jobs=2)
outcomes = push.run(list(find_runs(Path(sys.argv[1]))))
sys.exit(any(outcome.problems for outcome in outcomes) or push.fault is not None)
"""


def moved(outcomes):
    return sum(o.extents for o in outcomes.values()), sum(o.size for o in outcomes.values())


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def edit(run, pointer, value, time):
    path = run / "edits.json"
    before = read(path) if path.exists() else {}
    write(path, {**before, pointer: {"value": value, "time": time, "author": "a"}})


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_receipts_true(source, kind):
    """Of every run the tool keeps what the mirror holds, neither less nor more."""
    receipts = Receipts(kind.remote().store_id)
    for uid, copy in runs_in(kind.root).items():
        said = {path: (proof.size, proof.digest) for path, proof in receipts.get(uid).files.items()}
        assert said == {path: (len(data), proof_of(path, data)) for path, data in contents(copy).items()}
    assert runs_in(kind.root).keys() == runs_in(source).keys()


def proof_of(path, data):
    whole = len(data) - len(data) % 2**22 if "/" not in path and path.endswith((".jsonl", ".log")) else 0
    parts = [data[at : at + 2**22] for at in range(0, whole, 2**22)] + [data[whole:]]
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if whole else digests[0]


def assert_quiet(source, kind, sync):
    """Both sides are equal, receipts true, nothing is left lying about, and nothing more moves."""
    assert_same(source, kind.root)
    assert_receipts_true(source, kind)
    left = [path for path in kind.root.rglob("*") if path.is_file() and "incoming" in str(path)]
    assert left == []
    assert moved(sync()) == (0, 0)


# Whole runs, and more of them


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


def test_large_file_moves_in_pieces_and_goes_on_where_it_was_cut(source, kind, sync):
    run = make_run(source)
    with (run / "files" / "model.pt").open("wb") as file:
        block = random.Random(1).randbytes(2**20)
        for number in range(LARGE // 2**20):
            file.write(number.to_bytes(8, "big") + block[8:])
    push = Push(Cut(kind.remote(), "files/model.pt", LARGE // 2))
    push.run(list(find_runs(source)))
    assert str(push.fault) == "cable pulled"
    kind.restart()
    outcome = sync()["first"]
    assert outcome.status == "synced"
    assert outcome.size < LARGE * 0.6
    assert digest_of(run / "files" / "model.pt") == digest_of(kind.root / "first" / "files" / "model.pt")


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
