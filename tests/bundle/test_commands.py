"""bundle, unbundle, receipt and key as a user calls them: words, exit codes, and what they load."""

import json
import os
import subprocess
import sys

import pytest

from runmaker import assert_same, make_run, runs_in


@pytest.fixture
def work(tmp_path, runfmt):
    (tmp_path / "work" / "runs").mkdir()
    return tmp_path / "work"


def names(folder):
    return [path for path in sorted(folder.iterdir()) if path.suffix == ".runfmt"]


def test_runs_are_selected_as_for_sync(runfmt, work):
    for name, project in (("a", "p"), ("b", "p"), ("c", "q")):
        make_run(work / "runs", name, project=project)
    runfmt("bundle", "-o", "out", "--project", "p", "--exclude", "b")
    runfmt("unbundle", *names(work / "out"), "-o", "far")
    assert [run.name for run in runs_in(work / "far").values()] == ["a"]


def test_sync_takes_files_of_bundles_to_any_remote(runfmt, work):
    make_run(work / "runs", "a")
    runfmt("bundle", "-o", "out")
    runfmt("remote", "add", "far", "far")
    runfmt("sync", *names(work / "out"), "--remote", "far")
    assert_same(work / "runs", work / "far")
    assert "runs does not end in .runfmt" in runfmt.error(
        "sync", *names(work / "out"), "runs", "--remote", "far"
    )


def test_exit_codes_tell_data_from_usage_from_places(runfmt, work):
    make_run(work / "runs", "a")
    runfmt("bundle", "-o", "out", "--channel", "lab")
    make_run(work / "runs", "b")
    runfmt("bundle", "-o", "out", "--channel", "lab")
    first, second = names(work / "out")
    assert "--again 1" in runfmt("unbundle", second, "-o", "far", code=1).stdout
    runfmt("unbundle", first, "-o", "far")
    assert "no number 9" in runfmt.error("bundle", "-o", "out", "--channel", "lab", "--again", 9)
    assert "must match" in runfmt.error("bundle", "-o", "out", "--channel", "../x")
    assert "no size" in runfmt.error("bundle", "-o", "out", "--max-size", "7")
    assert "no key" in runfmt.error("bundle", "-o", "out", "--sign", "nobody")
    assert "mount it" in runfmt.error("bundle", "-o", "no/such/out", code=3)
    assert "mount it" in runfmt.error("unbundle", first, "-o", "no/such/far", code=3)
    (work / "x.json").write_text("{}")
    assert "no receipt" in runfmt.error("bundle", "-o", "out", "--since", "x.json", code=1)
    assert "no receipt" in runfmt.error("verify", "--against", "x.json", code=1)
    first.write_bytes(first.read_bytes()[:-20])
    assert "refused" in runfmt("unbundle", first, "-o", "other", code=1).stdout
    assert "No such file" in runfmt("unbundle", "none.runfmt", "-o", "other", code=1).stdout


def test_machines_are_told_all(runfmt, work):
    run = make_run(work / "runs", "a")
    runfmt("bundle", "-o", "out", "--channel", "lab")
    told = runfmt.json("unbundle", *names(work / "out"), "-o", "far")
    uid = json.loads((run / "run.json").read_text())["uid"]
    assert told["files"] == [
        {"file": "lab-000001-1.runfmt", "status": "applied", "runs": [uid], "problems": []}
    ]
    assert told["missing"] == {"lab": []}
    assert told["remote"] == "far"


def test_run_that_is_damaged_costs_only_itself(runfmt, work):
    make_run(work / "runs", "a")
    (make_run(work / "runs", "b") / "run.json").write_text("{")
    said = runfmt("bundle", "-o", "out", code=1).stdout
    assert "runfmt recover" in said
    runfmt("unbundle", *names(work / "out"), "-o", "far")
    assert [run.name for run in runs_in(work / "far").values()] == ["a"]


def test_receipt_of_a_folder_is_written_and_believed(runfmt, work):
    make_run(work / "runs", "a")
    runfmt("sync", "--remote", "./far")
    assert "1 run" in runfmt("receipt", "far", "-o", "r.json").stdout
    runfmt("verify", "--against", "r.json")
    assert "nothing new" in runfmt("bundle", "-o", "out", "--since", "r.json").stdout


def test_keys_are_made_listed_and_trusted(runfmt, work):
    make_run(work / "runs", "a")
    assert "every bundle is believed" in runfmt("key", "list").stderr
    path, line = runfmt("key", "new", "ann").stdout.splitlines()
    assert line.startswith("RW")
    runfmt("key", "trust", "again", line)
    os.unlink(path)
    assert runfmt("key", "list").stdout == f"again\t{line}\n"
    runfmt("bundle", "-o", "out", "--sign", "ann")
    runfmt("unbundle", *names(work / "out"), "-o", "far")
    assert "no public key" in runfmt.error("key", "trust", "x", "RWQ")


def test_other_commands_load_nothing_of_it(work):
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom runfmt_sync.cli import main\n"
        "CliRunner().invoke(main, ['sync', 'runs', '--remote', './far'])\n"
        "print(*{'zstandard', 'cryptography', 'tarfile'} & set(sys.modules))"
    )
    make_run(work / "runs", "a")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
