"""What a power cut leaves: files are durable before what names them, by the order of the system calls."""

import os

import pytest

import runfmt


@pytest.fixture
def calls(monkeypatch):
    """The ``write``, ``fsync`` and ``fdatasync`` calls of this process, each with the path of its file."""
    found = []

    def recorded(name, call):
        def record(descriptor, *arguments):
            found.append((name, os.readlink(f"/proc/self/fd/{descriptor}")))
            return call(descriptor, *arguments)

        return record

    for name in ("write", "fsync", "fdatasync"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    return found


@pytest.fixture
def start(tmp_path, monkeypatch):
    def start(**options):
        return runfmt.init(project="p", dir=tmp_path / "runs", console="off", **options)

    monkeypatch.chdir(tmp_path)
    yield start
    if runfmt.run is not None:
        runfmt.finish()


def picture(tmp_path):
    path = tmp_path / "p.svg"
    path.write_bytes(b"<svg/>")
    return runfmt.Image(path)


def folders(path, run):
    return [folder for folder in path.parents if folder.is_relative_to(run.directory)]


@pytest.mark.parametrize("kind", ["contents", "copy"])
def test_fsync_mode_makes_media_durable_before_the_row(start, calls, tmp_path, kind):
    run = start(durability="fsync")
    value = runfmt.Html("<p>") if kind == "contents" else picture(tmp_path)
    del calls[:]
    run.log({"m": value})
    [file] = [path for path in (run.directory / "media").rglob("*") if path.is_file()]
    stream = str(run.directory / "metrics.jsonl")
    row = calls.index(("write", stream))
    for path in (file, *folders(file, run)):
        assert ("fsync", str(path)) in calls[:row]
    assert ("fdatasync", stream) in calls[row:]


def test_fsync_mode_makes_media_durable_that_an_earlier_process_may_not_have(start, calls):
    run = start(durability="fsync")
    run.log({"m": runfmt.Html("<p>")})
    del calls[:]
    run.log({"m": runfmt.Html("<p>")})
    [file] = [path for path in (run.directory / "media").rglob("*") if path.is_file()]
    assert calls.index(("fsync", str(file))) < calls.index(("write", str(run.directory / "metrics.jsonl")))


def test_fsync_mode_makes_saved_files_and_artifacts_durable_when_the_call_returns(start, calls, tmp_path):
    run = start(durability="fsync")
    (tmp_path / "a.txt").write_text("a")
    [copy] = run.save("a.txt")
    version = run.directory / "files/artifacts/set/v0"
    run.log_artifact("a.txt", name="set", type="dataset")
    for path in (copy, version / "a.txt", version / "artifact.json", version, version.parent):
        assert ("fsync", str(path)) in calls
    files = calls.index(("fsync", str(version / "a.txt")))
    assert files < calls.index(("fsync", str(version / "artifact.json")))


def test_replaced_copy_is_durable_before_it_takes_the_place_of_the_older(start, calls, tmp_path, monkeypatch):
    run = start()
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append(("replace", str(a))) or replace(a, b))
    (tmp_path / "a.txt").write_text("a")
    run.save("a.txt", policy="now")
    (tmp_path / "a.txt").write_text("another")
    del calls[:]
    run.save("a.txt", policy="now")
    [temporary] = [path for name, path in calls if name == "replace" and ".copy." in path]
    assert calls.index(("fsync", temporary)) < calls.index(("replace", temporary))


def test_default_mode_makes_all_files_durable_by_the_end(start, calls, tmp_path):
    run = start()
    run.log({"m": runfmt.Html("<p>"), "p": picture(tmp_path)})
    (tmp_path / "a.txt").write_text("a")
    run.save("a.txt")
    with open(os.path.join(run.dir, "own.bin"), "wb") as file:
        file.write(b"own")
    run.finish()
    files = [path for name in ("media", "files") for path in (run.directory / name).rglob("*")]
    assert len([path for path in files if path.is_file()]) >= 4
    assert {("fsync", str(path)) for path in files} <= set(calls)
    end = max(index for index, (name, _) in enumerate(calls) if name == "write")
    own = calls.index(("fsync", str(run.directory / "files/own.bin")))
    assert own < end


def test_run_and_config_are_durable_before_the_first_row(start, calls):
    run = start(config={"lr": 1})
    run.log({"v": 1})
    row = calls.index(("write", str(run.directory / "metrics.jsonl")))
    durable = [os.path.basename(path) for name, path in calls[:row] if name == "fsync"]
    assert [name for name in durable if "config.json" in name]
    assert [name for name in durable if "run.json" in name]
    assert {run.directory.name, "runs"} <= set(durable)
