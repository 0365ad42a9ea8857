"""The one rule that applies extents, and the order in which a run appears."""

import errno
import hashlib
import os

import pytest

from runfmt.layout import is_stream, phase
from runfmt_sync import durability
from runfmt_sync.digests import KnownDigests, Proof, prove_bytes
from runfmt_sync.extents import Extent
from runfmt_sync.plan import Ask
from runfmt_sync.store import Store
from runmaker import contents, make_run, read, rows, write

LINES = rows(0, 10)
CUT = len(rows(0, 4))


@pytest.fixture
def store(remote):
    """A store that holds one run, with the first four lines of its metrics."""
    run = make_run(remote)
    (run / "metrics.jsonl").write_bytes(LINES[:CUT])
    return Store(remote)


@pytest.fixture
def uid(store):
    return next(iter(store.runs))


def piece(uid, path, offset, data, whole=None, *chunks):
    digest = hashlib.sha256(data).hexdigest()
    return Extent(uid, path, offset, len(data), digest, whole), chunks or (data,)


def apply(store, uid, path, offset, data, whole=None, *chunks):
    """Apply one extent; gives the text of the refusal, or None."""
    refused = store.apply([piece(uid, path, offset, data, whole, *chunks)])
    return str(refused[uid]) if refused else None


def metrics(store, uid):
    return (store.runs[uid] / "metrics.jsonl").read_bytes()


def test_extent_at_the_end_is_appended(store, uid):
    assert apply(store, uid, "metrics.jsonl", CUT, LINES[CUT:]) is None
    assert metrics(store, uid) == LINES


@pytest.mark.parametrize("start", [0, len(rows(0, 2)), CUT])
@pytest.mark.parametrize("end", [CUT, len(LINES)])
def test_extents_may_come_again_and_overlap(store, uid, start, end):
    for _ in range(2):
        assert apply(store, uid, "metrics.jsonl", start, LINES[start:end]) is None
    assert metrics(store, uid) == LINES[: max(end, CUT)]


def test_extent_behind_a_hole_is_refused_and_says_what_is_there(store, uid):
    assert f"only {CUT} bytes are here" in apply(store, uid, "metrics.jsonl", CUT + 9, b"{}\n")
    assert metrics(store, uid) == LINES[:CUT]


@pytest.mark.parametrize("start", [0, CUT - 9])
def test_other_bytes_have_diverged(store, uid, start):
    assert "diverged" in apply(store, uid, "metrics.jsonl", start, b"x" * 50 + b"\n")
    assert metrics(store, uid) == LINES[:CUT]


@pytest.mark.parametrize("tail", [b"{", LINES[CUT:-3], b"\0" * 100_000])
def test_unterminated_tail_is_cut_and_never_a_line(store, uid, tail):
    with (store.runs[uid] / "metrics.jsonl").open("ab") as stream:
        stream.write(tail)
    assert apply(store, uid, "metrics.jsonl", CUT, LINES[CUT:]) is None
    end = LINES[: CUT + tail.rfind(b"\n") + 1] if LINES[CUT:].startswith(tail) else b""
    assert metrics(store, uid) == LINES
    assert LINES.startswith(end)


def test_extent_with_another_digest_leaves_the_stream_as_it_was(store, uid):
    extent, _ = piece(uid, "metrics.jsonl", CUT, LINES[CUT:])
    for body in (LINES[CUT:-3] + b"9}\n", LINES[CUT:-9], LINES[CUT:] + b"\n"):
        assert "another digest" in str(store.apply([(extent, (body,))])[uid])
        assert metrics(store, uid) == LINES[:CUT]


def test_bytes_that_end_in_the_middle_of_a_line_are_refused(store, uid):
    assert apply(store, uid, "metrics.jsonl", CUT, LINES[CUT:-1]) is not None
    assert metrics(store, uid) == LINES[:CUT]


def test_long_line_in_chunks_is_no_line_before_its_digest_is_right(store, uid):
    line = b"x" * 3000 + b"\n"
    chunks = (line[:1000], line[1000:2000], line[2000:])
    seen = []

    def body():
        for chunk in chunks:
            yield chunk
            seen.append(metrics(store, uid).count(b"\n"))

    extent, _ = piece(uid, "metrics.jsonl", CUT, line)
    assert store.apply([(extent, body())]) == {}
    assert set(seen) == {4}
    assert metrics(store, uid) == LINES[:CUT] + line


DATA = bytes(range(256)) * 10
WHOLE = prove_bytes(DATA)


def test_file_appears_when_its_pieces_are_whole(store, uid):
    target = store.runs[uid] / "files" / "model.pt"
    for start in range(0, 2000, 500):
        assert apply(store, uid, "files/model.pt", start, DATA[start : start + 500], WHOLE) is None
        assert not target.exists()
    assert apply(store, uid, "files/model.pt", 1000, DATA[1000:1500], WHOLE) is None
    assert apply(store, uid, "files/model.pt", 2000, DATA[2000:], WHOLE) is None
    assert target.read_bytes() == DATA
    assert not store.parts(uid).exists()


def test_piece_behind_a_hole_is_refused(store, uid):
    assert "only 0 bytes of it" in apply(store, uid, "files/model.pt", 500, DATA[500:], WHOLE)


def test_pieces_of_something_else_never_appear(store, uid):
    wrong = b"z" * 500
    assert apply(store, uid, "files/model.pt", 0, wrong, WHOLE) is None
    assert "starts anew" in apply(store, uid, "files/model.pt", 500, DATA[500:], WHOLE)
    assert not (store.runs[uid] / "files" / "model.pt").exists()
    assert not list(store.parts(uid).iterdir())


def test_file_keeps_its_old_contents_until_the_new_are_whole(store, uid):
    target = store.runs[uid] / "files" / "requirements.txt"
    apply(store, uid, "files/requirements.txt", 0, DATA[:500], WHOLE)
    assert target.read_bytes() == b"torch\n"
    apply(store, uid, "files/requirements.txt", 500, DATA[500:], WHOLE)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", ".lock", "files/.x", "a//b", "a\\b", "C:x", "a\nb", ""]
)
def test_path_that_leads_elsewhere_is_refused(store, uid, path):
    assert "R007" in apply(store, uid, path, 0, b"x\n", prove_bytes(b"x\n"))


@pytest.mark.parametrize(
    ("path", "whole"), [("metrics.jsonl", WHOLE), ("files/x", None), ("files/x.jsonl", None)]
)
def test_stream_and_file_are_not_confused(store, uid, path, whole):
    assert "R003" in apply(store, uid, path, 0, DATA, whole)


@pytest.mark.parametrize("uid", ["../../x", "", "0" * 36, "A" * 36])
def test_uid_that_is_none_is_refused(store, uid):
    assert "R010" in apply(store, uid, "metrics.jsonl", 0, b"{}\n")


def test_links_of_the_remote_are_not_followed(store, uid, tmp_path):
    (tmp_path / "secret.log").write_bytes(b"secret\n")
    (store.runs[uid] / "x.log").symlink_to(tmp_path / "secret.log")
    assert apply(store, uid, "x.log", 7, b"more\n") is not None
    assert (tmp_path / "secret.log").read_bytes() == b"secret\n"


def pieces_of(run):
    document = read(run / "run.json")
    for path, data in sorted(contents(run).items(), key=lambda item: phase(item[0])):
        whole = None if is_stream(path) else prove_bytes(data)
        yield piece(document["uid"], path, 0, data, whole)


def test_run_appears_by_one_rename_with_everything_in_it(remote, source, monkeypatch):
    run = make_run(source, "new")
    store = Store(remote_of(remote))
    seen = []
    monkeypatch.setattr(os, "rename", lambda old, new: (seen.append(contents(old)), os.replace(old, new)))
    assert store.apply(pieces_of(run)) == {}
    assert seen == [contents(run)]
    assert contents(remote / "new") == contents(run)


def remote_of(path):
    path.mkdir()
    return path


def test_run_without_run_json_stays_unseen_and_is_found_again(remote, source):
    run = make_run(source, "new")
    store = Store(remote_of(remote))
    pieces = list(pieces_of(run))
    store.apply(pieces[:-1])
    assert [path.name for path in remote.iterdir() if not path.name.startswith(".")] == []
    uid = pieces[0][0].uid
    again = Store(remote)
    have = again.have([Ask(uid, "", {})], KnownDigests(source / "known"))[uid]
    assert have.entries.keys() == contents(run).keys() - {"run.json"}
    again.apply(pieces[-1:])
    assert contents(remote / "new") == contents(run)


def test_run_json_of_another_run_does_not_make_it_appear(remote, source):
    run = make_run(source, "new")
    pieces = [
        (Extent("01" * 4 + "-0000-0000-0000-000000000000", *vars_of(e)), body) for e, body in pieces_of(run)
    ]
    store = Store(remote_of(remote))
    assert "R016" in str(next(iter(store.apply(pieces).values())))
    assert not (remote / "new").exists()


def vars_of(extent):
    return extent.path, extent.offset, extent.length, extent.sha256, extent.whole


def test_everything_is_durable_before_the_next_phase(store, uid, monkeypatch):
    """The order of fsyncs and renames of a run that readers see."""
    order = []
    monkeypatch.setattr(durability, "sync", lambda path: order.append(f"fsync {path.name}"))
    original = os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (order.append(f"rename {new.name}"), original(old, new))
    )
    document = (store.runs[uid] / "run.json").read_bytes()
    store.apply(
        [
            piece(uid, "files/x", 0, DATA, WHOLE),
            piece(uid, "metrics.jsonl", CUT, LINES[CUT:]),
            piece(uid, "run.json", 0, document, prove_bytes(document)),
        ]
    )
    assert order == [
        f"fsync {WHOLE.digest}", "rename x", "fsync files",
        "fsync metrics.jsonl", "fsync first",
        f"fsync {prove_bytes(document).digest}", "rename run.json", "fsync first",
    ]  # fmt: skip


def confirmed(store, uid):
    return store.have([Ask(uid, "", {})], KnownDigests(store.private / "known"))[uid].entries


@pytest.fixture
def durable(monkeypatch):
    """What was made durable since, by name; files each by itself."""
    found = []
    monkeypatch.setattr(durability, "PROMISING", ())
    monkeypatch.setattr(durability, "sync", lambda path: found.append(path.name))
    return found


def test_what_a_killed_sync_left_is_durable_before_it_is_confirmed(store, uid, durable):
    confirmed(store, uid)
    with (store.runs[uid] / "metrics.jsonl").open("ab") as stream:
        stream.write(LINES[CUT:])  # and the writer was killed before its fsync
    durable.clear()
    assert confirmed(store, uid)["metrics.jsonl"].length == len(LINES)
    assert durable == ["metrics.jsonl", store.root.name, "first"]


def test_what_was_confirmed_before_is_not_made_durable_again(store, uid, durable):
    for path in store.runs[uid].rglob("*"):
        os.utime(path, (0, 0))
    for expected in (True, False):
        durable.clear()
        confirmed(store, uid)
        assert bool(durable) is expected


def test_nothing_is_confirmed_that_the_disk_did_not_take(store, uid, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "the disk failed", str(path))

    monkeypatch.setattr(durability, "sync", fail)
    with pytest.raises(OSError, match="the disk failed"):
        confirmed(store, uid)
    monkeypatch.undo()
    assert KnownDigests(store.private / "known").of("first") == {}


@pytest.mark.parametrize("promised", [True, False])
def test_many_files_are_made_durable_by_one_call_where_that_is_promised(
    remote, source, monkeypatch, durable, promised
):
    monkeypatch.setattr(durability, "_promises", lambda _: promised)
    monkeypatch.setattr(durability, "_sync_all", lambda *_: durable.append("all"))
    made = [make_run(source, f"r{number}") for number in range(4)]
    runs = sorted(made, key=lambda run: read(run / "run.json")["uid"])
    Store(remote_of(remote)).apply([one for run in runs for one in pieces_of(run)])
    files = [path.rpartition("/")[2] for run in runs for path in contents(run)]
    assert (durable.count("all"), set(files) <= set(durable)) == (promised, not promised)
    assert durable[-2:] == [remote.name, ".incoming"]  # the names under which they appeared


def test_runs_are_locked_in_one_file_and_leave_no_state_in_a_run(remote, source):
    store = Store(remote_of(remote))
    for number in range(30):
        store.apply(pieces_of(make_run(source, f"r{number}")))
    assert sorted(path.name for path in (remote / "r0").iterdir()) == sorted(
        path.name for path in (source / "r0").iterdir()
    )
    assert {path.name for path in (remote / ".runfmt").iterdir()} == {".lock"}


def test_one_refused_run_does_not_stop_the_others_of_a_batch(remote, source):
    runs = [make_run(source, name) for name in ("a", "b", "c")]
    write(runs[1] / "run.json", {**read(runs[1] / "run.json"), "id": "../b"})
    store = Store(remote_of(remote))
    refused = store.apply([one for run in runs for one in pieces_of(run)])
    assert list(refused) == [read(runs[1] / "run.json")["uid"]]
    assert {path.name for path in store.runs.values()} == {"a", "c"}


def test_proof_of_a_longer_stream_covers_what_was_asked(store, uid, tmp_path):
    digests = KnownDigests(tmp_path / "known")
    asked = len(rows(0, 2))
    for _ in range(2):
        held = store.have([Ask(uid, "", {"metrics.jsonl": asked})], digests)[uid].entries["metrics.jsonl"]
        assert (held.length, held.proof) == (CUT, prove_bytes(LINES[:asked]))
        full = store.have([Ask(uid, "", {"metrics.jsonl": CUT})], digests)[uid].entries["metrics.jsonl"]
        assert full.proof == Proof(CUT, (), hashlib.sha256(LINES[:CUT]).hexdigest())


def test_run_of_another_format_that_was_mended_by_hand_is_taken(store, tmp_path):
    folder = make_run(store.root, "other", runfmt=2)
    store.look()
    document = read(folder / "run.json")
    ask = Ask(document["uid"], "", {})
    assert "R011" in store.have([ask], KnownDigests(None))[ask.uid].refused
    write(folder / "run.json", document | {"runfmt": 1})
    store.look()
    assert store.have([ask], KnownDigests(None))[ask.uid].refused == ""
