"""Runs in an object store: read where they are, and what only such a store does."""

import hashlib
import json
import os
from datetime import timedelta

import obstore
import pytest
from click.testing import CliRunner

import runfmt
from remotes.checks import append
from remotes.kinds import Careless, Objects
from runfmt.errors import CommError, UsageError
from runfmt_sync.cli import main
from runfmt_sync.remotes import open_remote, placing
from runfmt_sync.remotes.bucket import Bucket
from runfmt_sync.remotes.segments import Segment, chain, name_of, parse, to_merge
from runfmt_sync.verify import verify
from runmaker import make_run, read, rows


@pytest.fixture(params=[Objects, Careless])
def kind(request, tmp_path):
    (tmp_path / "disk").mkdir()
    made = request.param(tmp_path / "disk" / "remote")
    yield made
    made.close()


def names(kind, below=""):
    return sorted(one["path"] for page in obstore.list(kind._objects, below or None) for one in page)


def test_runs_are_read_where_they_are(source, kind, sync, tmp_path):
    make_run(source, "first", count=20)
    make_run(source, "second", project="other")
    sync()
    frame = runfmt.read_metrics(f"{kind.url}/p/first")
    assert frame["loss"].tolist() == pytest.approx([1 / (step + 1) for step in range(21)])
    assert len(runfmt.read_metrics(kind.url)) == 42
    assert runfmt.read_runs(kind.url)["config.lr"].tolist() == [0.1, 0.1]
    api = runfmt.Api(kind.url)
    assert {run.id for run in api.runs("other")} == {"second"}
    run = api.run("first")
    assert (run.config["lr"], run.state) == (0.1, "finished")
    with run.file("files/requirements.txt").download(root=tmp_path / "got") as file:
        assert file.read() == "torch\n"


def test_edits_and_deletions_are_made_where_the_runs_are(source, kind, sync):
    run = make_run(source, "first")
    make_run(source, "second")
    sync()
    api = runfmt.Api(kind.url)
    there = api.run("first")
    there.config["lr"] = 0.2
    there.update()
    sync()
    assert read(run / "edits.json")["/config/lr"]["value"] == 0.2
    api.run("second").delete()
    assert sync()["second"].status == "deleted"
    assert {one.id for one in api.runs()} == {"first"}


def test_commands_take_the_url(source, kind, sync, tmp_path):
    make_run(source, "first")
    ran = CliRunner().invoke(main, ["sync", str(source), "--remote", kind.url])
    assert (ran.exit_code, "1 synced" in ran.output) == (0, True), ran.output
    assert json.loads(CliRunner().invoke(main, ["ls", kind.url, "--json"]).output)[0]["id"] == "first"
    ran = CliRunner().invoke(main, ["verify", str(source), "--remote", kind.url])
    assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(main, ["pull", kind.url, "-o", str(tmp_path / "back")])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "back" / "first" / "metrics.jsonl").read_bytes() == (
        source / "first" / "metrics.jsonl"
    ).read_bytes()


def test_many_small_segments_become_one_and_go_later(source, kind, sync, monkeypatch):
    run = make_run(source, state="running")
    sync()
    uid = read(run / "run.json")["uid"]
    for step in range(21, 60):
        append(run / "metrics.jsonl", rows(step, 1))
        sync()
    there = [parse(name.rpartition("/")[2]) for name in names(kind, f"runs/{uid}/metrics.jsonl")]
    assert len(chain(there)) < 20 < len(there)
    monkeypatch.setattr(placing, "COVERED_FOR", timedelta(0))
    for step in range(60, 80):
        append(run / "metrics.jsonl", rows(step, 1))
        sync()
    assert len(names(kind, f"runs/{uid}/metrics.jsonl")) < 40
    [verdict] = verify([run], kind.remote())
    assert verdict.is_good
    assert (kind.run("first") / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_growing_stream_reads_nothing_back(source, kind, monkeypatch):
    run = make_run(source, state="running")
    append(run / "metrics.jsonl", rows(21, 3, text="x" * 3_000_000))
    remote, read_back = kind.remote(), []
    real = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, name: read_back.append(name) or real(self, name))
    from runfmt_sync.push import Push

    push = Push(remote)
    for step in range(30, 34):
        append(run / "metrics.jsonl", rows(step, 1))
        [outcome] = push.run([run])
        assert outcome.status == "synced"
    assert [name for name in read_back if "metrics.jsonl" in name] == []


def test_lost_note_costs_reading_and_a_wrong_one_is_not_believed(source, kind, sync, state):
    run = make_run(source)
    sync()
    uid = read(run / "run.json")["uid"]
    obstore.delete(kind._objects, f"runs/{uid}/.note.json")
    assert sync()["first"].status == "unchanged"
    obstore.put(kind._objects, f"runs/{uid}/summary.json", b'{"loss":0}')
    assert sync()["first"].status == "synced"
    assert [verdict.is_good for verdict in verify([run], kind.remote())] == [True]


def test_place_without_runs_and_wrong_addresses_are_said(kind):
    with pytest.raises(CommError, match="no runs were brought there"):
        runfmt.Api(kind.url).runs()
    with pytest.raises(CommError, match=r"gave up|no bucket"):
        open_remote("s3://nowhere-at-all/x").prepare() if isinstance(kind, Careless) else refused(kind)


def refused(kind):
    os.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    try:
        return open_remote(kind.url)
    finally:
        os.environ.update(kind._store.environment)


@pytest.mark.parametrize(("url", "kept"), [("gs://runs/lab", "GCSStore"), ("az://runs/lab", "AzureStore")])
def test_other_stores_are_opened_by_their_scheme(url, kept, monkeypatch):
    opened = []
    monkeypatch.setattr(Bucket, "document", lambda self, name: opened.append(self._store) or {})
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    open_remote(url)
    assert [type(store).__name__ for store in opened] == [kept]


def test_address_that_cannot_be_opened_is_said():
    with pytest.raises(UsageError, match="cannot be opened"):
        open_remote("s3://")


def test_names_of_segments_are_read_as_they_are_written():
    segment = Segment(0, 12, hashlib.sha256(b"x").hexdigest()[:16])
    assert parse(name_of(segment)) == segment
    for wrong in (
        "",
        "0-1-x",
        name_of(segment) + "0",
        name_of(segment).upper(),
        name_of(Segment(5, 2, "0" * 16)),
    ):
        assert parse(wrong) is None


def test_chain_ends_at_a_gap_and_leaves_out_what_it_has():
    a, b, all_of, late = (Segment(*ends, "0" * 16) for ends in ((0, 5), (5, 9), (0, 9), (12, 15)))
    assert chain([late, b, a]) == [(a, 0), (b, 0)]
    assert chain([a, b, all_of]) == [(all_of, 0)]
    assert chain([a, Segment(3, 9, "0" * 16)]) == [(a, 0), (Segment(3, 9, "0" * 16), 2)]
    assert chain([late]) == []


def test_only_many_small_segments_at_the_end_are_merged():
    small = [Segment(10 * n, 10 * n + 10, "0" * 16) for n in range(40)]
    assert to_merge(chain(small), 2**23) == small
    assert to_merge(chain(small[:15]), 2**23) == []
    large = Segment(400, 400 + 2**21, "0" * 16)
    assert to_merge(chain([*small, large]), 2**23) == []
