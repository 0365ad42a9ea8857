"""Runs in an object store, read and edited where they are; addresses that lead nowhere."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

import runfmt
from objectstores import free_ports
from program import clean_environment
from remotes.kinds import Careless, Objects
from runfmt.errors import CommError, UsageError
from runfmt_sync.cli import main
from runfmt_sync.remotes import open_remote
from runfmt_sync.remotes.bucket import Bucket
from runmaker import make_run, read


@pytest.fixture(params=[Objects, Careless])
def kind(request, tmp_path):
    (tmp_path / "disk").mkdir()
    made = request.param(tmp_path / "disk" / "remote")
    yield made
    made.close()


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


def test_place_without_runs_and_wrong_addresses_are_said(kind):
    with pytest.raises(CommError, match="no runs were brought there"):
        runfmt.Api(kind.url).runs()
    with pytest.raises(CommError, match=r"gave up|no bucket"):
        open_remote("s3://nowhere-at-all/x").prepare() if isinstance(kind, Careless) else refused(kind)


def refused(kind):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        return open_remote(kind.url)


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


def test_missing_keys_are_said_with_their_names(runfmt, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    runfmt.environment = clean_environment(Path(runfmt.environment["HOME"]))
    said = runfmt.error("ls", "s3://bucket/runs", code=3)
    assert said.endswith("; give keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
