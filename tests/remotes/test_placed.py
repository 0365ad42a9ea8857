"""What is put into an object store: how much is read and asked for it, who else puts, what is removed."""

import hashlib
import json
import threading
from collections import Counter
from datetime import timedelta

import obstore
import pytest

from remotes.checks import append, extent
from remotes.kinds import Careless, Objects
from runfmt.reading import find_runs
from runfmt_sync.digests import Proof
from runfmt_sync.extents import MAX_EXTENT
from runfmt_sync.push import Push
from runfmt_sync.remotes import bucket, placing
from runfmt_sync.remotes.bucket import Bucket
from runfmt_sync.remotes.segments import chain, parse
from runfmt_sync.verify import verify
from runmaker import contents, make_run, read, rows


@pytest.fixture(params=[Objects, Careless])
def kind(request, tmp_path):
    (tmp_path / "disk").mkdir()
    made = request.param(tmp_path / "disk" / "remote")
    yield made
    made.close()


@pytest.fixture
def gets(monkeypatch):
    """Bytes that are read, by the name of the object."""
    found, real = Counter(), Bucket.get

    def get(self, name):
        data = real(self, name)
        found[name] += len(data)
        return data

    monkeypatch.setattr(Bucket, "get", get)
    return found


def names(kind, below=""):
    return sorted(one["path"] for page in obstore.list(kind._objects, below or None) for one in page)


def uid_of(run):
    return read(run / "run.json")["uid"]


def put_segment(kind, run, start, data):
    digest = hashlib.sha256(data).hexdigest()[:16]
    name = f"runs/{uid_of(run)}/metrics.jsonl/{start:020}-{start + len(data):020}-{digest}"
    obstore.put(kind._objects, name, data)


def of_stream(found):
    return sum(size for name, size in found.items() if "/metrics.jsonl/" in name)


# Streams


def test_growing_stream_reads_nothing_back(source, kind, gets):
    run = make_run(source, state="running")
    append(run / "metrics.jsonl", rows(21, 3, text="x" * 3_000_000))
    push = Push(kind.remote())
    for step in range(30, 34):
        append(run / "metrics.jsonl", rows(step, 1))
        [outcome] = push.run([run])
        assert outcome.status == "synced"
    assert of_stream(gets) == 0


def test_stream_gone_on_with_by_another_process_reads_only_what_is_in_its_last_block(
    source, kind, sync, gets
):
    run = make_run(source, state="running")
    append(run / "metrics.jsonl", rows(21, 3, text="x" * 3_000_000))
    sync()
    last = (run / "metrics.jsonl").stat().st_size - 2**22 * 2
    append(run / "metrics.jsonl", rows(30, 1))
    sync()
    assert last < of_stream(gets) < 4_000_000  # of three rows the last, which is a segment
    [verdict] = verify([run], kind.remote())
    assert verdict.is_good


def test_many_small_segments_become_one_and_go_later(source, kind, sync, monkeypatch, gets):
    run = make_run(source, state="running")
    sync()
    place = f"runs/{uid_of(run)}/metrics.jsonl"
    for step in range(21, 60):
        append(run / "metrics.jsonl", rows(step, 1))
        sync()
    there = [parse(name.rpartition("/")[2]) for name in names(kind, place)]
    assert len(chain(there)) < 20 < len(there)
    other = b"x" * (there[0].end - there[0].start)
    put_segment(kind, run, 0, other)  # nobody has these bytes but the store
    monkeypatch.setattr(placing, "COVERED_FOR", timedelta(0))
    for step in range(60, 80):
        append(run / "metrics.jsonl", rows(step, 1))
        sync()
    assert len(names(kind, place)) < 40
    assert any(hashlib.sha256(other).hexdigest()[:16] in name for name in names(kind, place))
    [verdict] = verify([run], kind.remote())
    assert verdict.is_good
    assert (kind.run("first") / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_two_copies_that_put_other_rows_at_one_moment_make_no_mixture(source, kind, sync, tmp_path):
    run = make_run(source, state="running")
    sync()
    reached = (run / "metrics.jsonl").stat().st_size
    ours, theirs = rows(21, 4), [rows(21, 2, theirs=1), rows(23, 6, theirs=1)]
    assert len(theirs[0]) < len(ours) < sum(map(len, theirs))
    append(run / "metrics.jsonl", ours)
    sync()
    for data in theirs:  # they listed before
        put_segment(kind, run, reached, data)
        reached += len(data)
    assert (kind.run("first") / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    append(run / "metrics.jsonl", rows(25, 1))
    assert sync()["first"].status == "synced"
    copy = make_run(tmp_path / "copy", uid=uid_of(run), state="running")
    append(copy / "metrics.jsonl", b"".join(theirs))
    [outcome] = Push(kind.remote()).run([copy])
    assert "diverged" in outcome.problems[0]
    assert kind.remote().read(uid_of(run), "metrics.jsonl").read() == (run / "metrics.jsonl").read_bytes()


# Large files


def large_run(source, size=3 * MAX_EXTENT - 5, fill=b"abcdefg"):
    run = make_run(source)
    (run / "files" / "model.pt").write_bytes((fill * size)[:size])
    return run


def test_pieces_that_make_another_file_are_refused_and_removed(source, kind, sync):
    run = make_run(source)
    sync()
    uid, parts = uid_of(run), [b"a" * MAX_EXTENT, b"b" * 5]
    whole = Proof(MAX_EXTENT + 5, (), hashlib.sha256(b"another").hexdigest())
    pieces = [
        extent(uid, "files/x", parts[0], 0, whole=whole),
        extent(uid, "files/x", parts[1], MAX_EXTENT, whole=whole),
    ]
    refused = kind.remote().apply(pieces)
    assert "not the one that was announced" in str(refused[uid])
    assert refused[uid].again
    assert [name for name in names(kind) if ".pieces" in name or ".large" in name] == []
    assert contents(kind.run("first")) == contents(run)


def test_large_file_is_proved_by_what_passed_and_noted(source, kind, sync, gets):
    run = large_run(source)
    sync()
    sync(believe=True)
    assert [name for name in gets if ".pieces" in name] == []
    obstore.delete(kind._objects, f"runs/{uid_of(run)}/.note.json")
    sync()
    assert sum(size for name, size in gets.items() if ".pieces" in name) == 3 * MAX_EXTENT - 5


def test_replaced_large_file_leaves_no_pieces_for_long(source, kind, sync, monkeypatch):
    run = large_run(source)
    sync()
    large_run_again = (run / "files" / "model.pt").read_bytes()[::-1]
    (run / "files" / "model.pt").write_bytes(large_run_again)
    sync()
    digests = {name.split("/")[3] for name in names(kind) if ".pieces" in name}
    assert len(digests) == 2
    monkeypatch.setattr(placing, "UNUSED_FOR", timedelta(0))
    append(run / "metrics.jsonl", rows(21, 1))
    sync()
    digests = {name.split("/")[3] for name in names(kind) if ".pieces" in name}
    assert digests == {hashlib.sha256(large_run_again).hexdigest()}
    (run / "files" / "model.pt").write_bytes(b"small")
    sync()
    assert [name for name in names(kind) if ".pieces" in name or ".large" in name] == []
    assert contents(kind.run("first")) == contents(run)


# Notes


def test_lost_note_costs_reading_once_and_a_wrong_one_is_not_believed(source, kind, sync, gets):
    run = make_run(source)
    sync()
    note = f"runs/{uid_of(run)}/.note.json"
    for lost in (None, b"{", b"[]", b'{"runfmt":1,"files":[],"large":{},"streams":{"metrics.jsonl":[1]}}'):
        if lost is None:
            obstore.delete(kind._objects, note)
        else:
            obstore.put(kind._objects, note, lost)
        assert sync()["first"].status == "unchanged"
        gets.clear()
        assert sync()["first"].status == "unchanged"
        assert {name.rpartition("/")[2] for name in gets} == {"store.json", ".note.json"}
    obstore.put(kind._objects, f"runs/{uid_of(run)}/summary.json", b'{"loss":0}')
    assert sync()["first"].status == "synced"
    assert [verdict.is_good for verdict in verify([run], kind.remote())] == [True]


def test_readers_write_nothing(source, kind, sync):
    make_run(source)
    sync()
    obstore.delete(kind._objects, names(kind, "runs")[0])
    before = names(kind)
    assert "/.note.json" not in "".join(before)
    kind.remote().have([])
    verify([*find_runs(source)], kind.remote())
    assert names(kind) == before


def test_store_that_heeds_no_precondition_is_warned_of_once(source, kind, sync, tmp_path):
    make_run(source)
    edits = {"/name": {"value": "x", "time": 1, "author": "a"}}
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket, "warn", said.append)
        push = Push(kind.remote())
        for name in ("x", "y"):
            edits["/name"] |= {"value": name, "time": edits["/name"]["time"] + 1}
            (source / "first" / "edits.json").write_text(json.dumps(edits))
            assert [outcome.status for outcome in push.run([source / "first"])] == ["synced"]
    assert len(said) == (isinstance(kind, Careless))
    assert "/name" in json.dumps(read(kind.run("first") / "edits.json"))


# Requests


def test_small_runs_are_put_many_at_once_and_take_few_requests_each(source, kind, monkeypatch):
    for number in range(32):
        make_run(source, f"r{number}")
    asked, at_once = Counter(), threading.Barrier(8, timeout=30)
    for name in ("run", "get", "tagged", "put"):
        monkeypatch.setattr(Bucket, name, counting(getattr(Bucket, name), asked, name, at_once))
    [*outcomes] = Push(kind.remote()).run([*find_runs(source)])
    assert {outcome.status for outcome in outcomes} == {"synced"}
    files = sum(outcome.files for outcome in outcomes)
    assert asked["put"] == files + 32 + 1  # a note each, and the store's id
    assert asked["run"] == 3 * 32  # before, when it is put, and to have it confirmed
    assert asked["get"] + asked["tagged"] <= 2 * 32 + 2  # whether it was deleted


def counting(real, asked, name, at_once):
    """A request that is counted; what shows a run is put only when eight are."""

    def request(self, *words, **options):
        asked[name] += 1
        if name == "put" and words[0].endswith("/run.json"):
            at_once.wait()
        return real(self, *words, **options)

    return request
