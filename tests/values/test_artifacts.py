"""Named, versioned sets of files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import runfmt
from runfmt.artifacts import Artifact, log_artifact, use_artifact
from runfmt.errors import CommError, Error, FormatError, UsageError


@pytest.fixture
def run(tmp_path):
    return new_run(tmp_path, "r1")


def new_run(tmp_path, name):
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "sub" / "b.bin").write_bytes(b"bb")
    return folder


def logged(run, name="set", aliases=None, contents=b"x", **options):
    artifact = Artifact(name, "dataset", **options)
    with artifact.new_file("f.bin", "wb") as file:
        file.write(contents)
    return log_artifact(run, artifact, aliases=aliases)


def test_an_artifact_is_copied_under_its_name_and_version(run, data):
    artifact = Artifact("set", "dataset", description="d", metadata={"n": 3, "t": (1,)})
    artifact.add_file(data / "a.bin", name="renamed.bin")
    artifact.add_dir(str(data), name="all")
    artifact.add_reference("s3://bucket/key/big.tar")
    with artifact.new_file("labels.txt") as file:
        file.write("cat\n")
    with pytest.raises(Error, match="log it first"):
        _ = artifact.version
    assert log_artifact(run, artifact, aliases="best").wait() is artifact
    folder = run / "files/artifacts/set/v0"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["all/a.bin", "all/sub/b.bin", "artifact.json", "labels.txt", "renamed.bin"]
    document = json.loads((folder / "artifact.json").read_text())
    assert (document["name"], document["type"], document["version"]) == ("set", "dataset", "v0")
    assert (document["aliases"], document["metadata"]) == (["best"], {"n": 3, "t": [1]})
    assert document["entries"]["big.tar"] == {"uri": "s3://bucket/key/big.tar"}
    assert document["entries"]["labels.txt"]["size"] == 4
    assert (artifact.name, artifact.version, artifact.size) == ("set:v0", "v0", 1 + 1 + 2 + 4)
    with pytest.raises(UsageError, match="logged already"):
        artifact.add_file(data / "a.bin")


def test_each_call_makes_a_new_version_and_overwrites_none(run):
    for number in range(3):
        assert logged(run, contents=b"%d" % number).version == f"v{number}"
    found = [path.read_bytes() for path in sorted((run / "files/artifacts/set").rglob("f.bin"))]
    assert found == [b"0", b"1", b"2"]


def test_versions_of_two_processes_at_once_do_not_meet(run, tmp_path):
    program = (
        "import sys, pathlib; from runfmt.artifacts import log_artifact;"
        "[log_artifact(pathlib.Path(sys.argv[1]), sys.argv[2], name='set') for _ in range(20)]"
    )
    sources = [tmp_path / "one", tmp_path / "two"]
    for source in sources:
        source.write_text(source.name)
    both = [subprocess.Popen([sys.executable, "-c", program, str(run), str(source)]) for source in sources]
    assert [process.wait() for process in both] == [0, 0]
    versions = sorted((run / "files/artifacts/set").iterdir())
    assert sorted(int(path.name[1:]) for path in versions) == list(range(40))
    kept = [next(path.glob("[ot][nw][eo]")).read_text() for path in versions]
    assert sorted(kept) == ["one"] * 20 + ["two"] * 20


def test_artifacts_are_found_by_version_and_alias_across_runs(run, tmp_path):
    other = new_run(tmp_path, "r2")
    logged(run, aliases=["best"], contents=b"0")
    logged(other, contents=b"1", metadata={"acc": 0.5})
    runs = tmp_path / "runs"
    contents = {
        name: Path(use_artifact(runs, name).file(tmp_path / name.replace(":", "-"))).read_bytes()
        for name in ("set", "set:latest", "set:v0", "set:v1", "set:best")
    }
    assert contents == {"set": b"1", "set:latest": b"1", "set:v0": b"0", "set:v1": b"1", "set:best": b"0"}
    newest = use_artifact(runs, "team/project/set")
    assert (newest.version, newest.metadata, newest.aliases, newest.type) == (
        "v1",
        {"acc": 0.5},
        ["latest"],
        "dataset",
    )
    assert use_artifact(runs, "set:best").aliases == ["best"]
    for name in ("set:v9", "other", "other:latest"):
        with pytest.raises(CommError, match="log it first"):
            use_artifact(runs, name)


def test_a_version_without_its_document_does_not_exist(run, tmp_path):
    logged(run)
    (run / "files/artifacts/set/v1").mkdir()
    assert use_artifact(tmp_path / "runs", "set").version == "v0"
    assert logged(run).version == "v2"


def test_a_download_is_a_copy_that_was_checked(run, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log_artifact(run, data, name="set", type="dataset")
    found = use_artifact(tmp_path / "runs", "set")
    assert Path(found.download()) == Path("artifacts/set-v0")
    assert Path("artifacts/set-v0/sub/b.bin").read_bytes() == b"bb"
    assert Path(found.get_path("sub/b.bin").download(tmp_path / "x")).read_bytes() == b"bb"
    assert [entry.path for entry in found.files()] == list(found.manifest.entries) == ["a.bin", "sub/b.bin"]
    with pytest.raises(UsageError, match="2 files"):
        found.file()
    with pytest.raises(KeyError):
        found.get_path("absent")
    (run / "files/artifacts/set/v0/a.bin").write_bytes(b"!")
    with pytest.raises(FormatError, match="not what was logged"):
        found.download()


def test_references_are_recorded_and_not_copied(run, tmp_path):
    artifact = Artifact("set", "dataset")
    artifact.add_reference("https://host/x.bin", name="far")
    log_artifact(run, artifact)
    found = use_artifact(tmp_path / "runs", "set")
    assert found.get_path("far").ref == "https://host/x.bin"
    assert list(Path(found.download(tmp_path / "out")).iterdir()) == []
    with pytest.raises(UsageError, match="fetch it from there"):
        found.get_path("far").download(tmp_path)


def test_paths_urls_and_models_are_logged_directly(run, data):
    assert log_artifact(run, str(data / "a.bin")).name == "run-r1-a.bin:v0"
    assert log_artifact(run, data, name="dir").file_count == 2
    assert log_artifact(run, "gs://bucket/x", name="ref").get_path("x").uri == "gs://bucket/x"
    model = log_artifact(run, data / "a.bin", name="net", type="model", aliases=["best"])
    assert (model.type, model.aliases) == ("model", ["best", "latest"])
    with pytest.raises(UsageError, match="no such file"):
        log_artifact(run, "absent")


def test_names_of_entries_are_data_and_never_paths(run, data, tmp_path):
    artifact = Artifact("set", "dataset")
    for name in ("../../../x", "/abs", "artifact.json", "a\\b", ".hidden", "_hidden"):
        artifact.add_file(data / "a.bin", name=name)
    log_artifact(run, artifact)
    folder = run / "files/artifacts/set/v0"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["_hidden", "_hidden_", "a_b", "abs", "artifact.json", "artifact.json_", "x"]
    assert set(use_artifact(tmp_path / "runs", "set").entries) == set(artifact.entries)
    out = tmp_path / "out" / "deep"
    Path(use_artifact(tmp_path / "runs", "set").get_path("../../../x").download(out))
    assert (out / "x").read_bytes() == b"a"


def test_files_may_go_or_change_once_they_are_added(tmp_path, data):
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        artifact = Artifact("set", "dataset")
        artifact.add_dir(data)
        artifact.add_file(data / "a.bin", name="again")
        (data / "a.bin").write_bytes(b"changed")
        (data / "sub" / "b.bin").unlink()
        run.log_artifact(artifact)
        found = run.use_artifact("set:latest")
        assert {name: entry.source.read_bytes() for name, entry in found.entries.items()} == {
            "a.bin": b"a",
            "again": b"a",
            "sub/b.bin": b"bb",
        }
        assert not [path for path in (run.directory / ".cache").rglob("*") if path.is_file()]


def test_what_was_added_and_never_logged_is_removed(tmp_path, data):
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        artifact = Artifact("set", "dataset")
        artifact.add_dir(data)
        assert list((run.directory / ".cache").rglob("runfmt-*"))
        del artifact
        assert not list((run.directory / ".cache").rglob("runfmt-*"))


def test_a_name_that_is_no_text_is_kept_as_near_as_may_be(run, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(folder, os.fsdecode(b"\xff.bin")).write_bytes(b"x")
    log_artifact(run, folder, name="odd")
    assert list(use_artifact(tmp_path / "runs", "odd").entries) == ["\ufffd.bin"]
    assert (run / "files/artifacts/odd/v0/\ufffd.bin").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["a/b", "..", ".a", "a:b", "", "a b"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(UsageError, match="must match"):
        Artifact(name, "t")


def test_entries_of_one_name_are_refused_unless_overwritten(data):
    artifact = Artifact("set", "t")
    artifact.add_file(data / "a.bin")
    artifact.add_file(data / "a.bin")
    with pytest.raises(UsageError, match="already"):
        artifact.add_file(data / "sub/b.bin", name="a.bin")
    artifact.add_file(data / "sub/b.bin", name="a.bin", overwrite=True)
    assert artifact.get_entry("a.bin").source == data / "sub/b.bin"
    for add in (artifact.add_file, artifact.add_dir):
        with pytest.raises(UsageError, match="no such"):
            add(data / "absent")


def test_tables_and_pictures_that_were_added_come_back(tmp_path):
    picture = runfmt.Image([[0, 255]])
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        artifact = Artifact("results", "evaluation")
        artifact.add(runfmt.Table(columns=["a", "b"], data=[[1, "x"], [float("nan"), None]]), "table")
        artifact.add(picture, "picture")
        with pytest.raises(TypeError, match="add_file"):
            artifact.add(5, "number")
        assert artifact.get("table").columns == ["a", "b"]
        run.log_artifact(artifact)
        found = run.use_artifact("results:latest")
    table = found.get("table")
    assert (table.columns, table.data[0], table.data[1][1]) == (["a", "b"], [1, "x"], None)
    assert table.data[1][0] != table.data[1][0]
    assert found.get("picture").about["width"] == 2
    assert found.get("pict") is None
    assert all(entry.source.is_relative_to(run.directory) for entry in found.files())


def test_models_are_linked_by_logging_them_once_and_used_by_name(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        model = run.link_model(data / "a.bin", "registered/net", name="net")
        assert model.version == "v0"
        assert run.link_artifact(model, "portfolio") is model
        assert model.version == "v0"
        assert Path(run.use_model("net:latest")).read_bytes() == b"a"


def test_saved_files_are_restored_from_their_run(tmp_path, data):
    with runfmt.init(project="p", dir=tmp_path / "runs", id="one") as run:
        run.save(str(data / "a.bin"), base_path=str(data))
        with run.restore("a.bin") as file:
            assert file.read() == "a"
    with runfmt.init(project="p", dir=tmp_path / "runs") as run:
        with runfmt.restore("a.bin", run_path="entity/p/one", root=tmp_path / "here") as file:
            assert file.name == str(tmp_path / "here" / "a.bin")
        with pytest.raises(UsageError, match="absent"):
            run.restore("absent")
