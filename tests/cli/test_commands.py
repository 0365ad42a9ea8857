"""The commands beside `sync`: remotes, looking, checking."""

import json
import os
import shutil

import pytest

from runmaker import make_run, read, rows, write


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


# remote


def test_first_remote_is_the_default_until_it_is_removed(runfmt, work):
    assert runfmt("remote", "add", "stick", "./stick").stdout == f"stick is {work}/stick\n"
    runfmt("remote", "add", "share", "file:///mnt/share")
    assert runfmt("remote", "list").stdout == f"stick\t{work}/stick\t(default)\nshare\tfile:///mnt/share\n"
    assert runfmt("remote", "remove", "stick").stdout == "stick is forgotten\n"
    assert runfmt.json("remote", "list") == [{"name": "share", "url": "file:///mnt/share", "default": True}]


def test_no_remotes_are_told(runfmt):
    assert runfmt.error("remote", "list", code=0).startswith("no remote is known: `runfmt remote add")
    assert runfmt.json("remote", "list") == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["add", "stick", "y"], "there is a remote stick already: `runfmt remote remove stick` first"),
        (["add", "a b", "y"], "a remote's name 'a b' must match"),
        (["add", "-x", "y"], "No such option"),
        (["remove", "share"], "there is no remote share: `runfmt remote list` says which there are"),
    ],
)
def test_wrong_names_of_remotes_are_called_wrongly(runfmt, stick, words, text):
    assert text in runfmt("remote", *words, code=2).stderr


def test_remotes_that_cannot_be_read_are_told_and_kept(runfmt, tmp_path):
    names = tmp_path / "home" / ".config" / "runfmt" / "remotes.json"
    names.parent.mkdir(parents=True)
    names.write_text("{")
    for words in (["remote", "list"], ["remote", "add", "x", "y"], ["sync"], ["ls"]):
        assert str(names) in runfmt.error(*words, code=1)
    assert names.read_text() == "{"


@pytest.mark.parametrize(
    "document", [{"remotes": []}, {"remotes": {"x": 1}}, {"remotes": {}, "default": "y"}]
)
def test_remotes_of_another_form_are_told(runfmt, tmp_path, document):
    names = tmp_path / "home" / ".config" / "runfmt" / "remotes.json"
    names.parent.mkdir(parents=True)
    names.write_text(json.dumps(document))
    assert str(names) in runfmt.error("sync", code=1)


# ls and show


def test_ls_is_a_table_of_runs_the_newest_last(runfmt, runs):
    make_run(runs, "b", count=3)
    make_run(runs, "a", count=5, name="[red]odd[/]", project="q")
    make_run(runs, "c", requires=["crypt"])
    lines = runfmt("ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "c", "b", "a"]
    assert lines[0].split() == ["run", "name", "project", "state", "steps", "age"]
    assert lines[1].split()[1] == "refused"
    assert lines[3].split()[1:5] == ["[red]odd[/]", "q", "finished", "6"]


def test_ls_says_states(runfmt, runs):
    make_run(runs, "crashed", state="running")
    (make_run(runs, "damaged") / "run.json").unlink()
    states = {row["id"]: row["state"] for row in runfmt.json("ls")}
    assert states == {"crashed": "crashed", "damaged": "damaged"}
    assert runfmt.json("ls", "runs/crashed")[0]["path"] == "runs/crashed"


def test_ls_takes_a_remote_by_its_name(runfmt, runs, work):
    make_run(runs)
    runfmt("remote", "add", "mine", "stick")
    runfmt("sync")
    assert runfmt("ls", "mine").stdout == runfmt("ls").stdout
    assert runfmt.json("ls", "mine")[0]["path"] == str(work / "stick" / "first")
    shutil.rmtree(work / "stick")
    assert f"there is no folder {work}/stick" in runfmt.error("ls", "mine")


def test_show_says_all_but_the_rows(runfmt, runs):
    run = make_run(runs, tags=["a", "b"])
    text = runfmt("show", "runs/first").stdout
    for line in ("id: first", "state: finished", "tags: a, b", "  lr: 0.1", "rows: 21", "writers: main"):
        assert f"\n{line}\n" in text
    found = runfmt.json("show", run)
    assert found["config"] == {"lr": 0.1}
    assert found["summary"]["loss"] == 1 / 21
    assert "files/requirements.txt" in found["files"]
    assert found["problems"] == []


def test_show_json_is_strict_where_numbers_are_not_finite(runfmt, runs):
    run = make_run(runs)
    write(run / "config.json", {"clip": None, "_nonfinite": {"/clip": "Infinity"}})
    found = runfmt.json("show", run)
    assert found["config"] == {"clip": None, "_nonfinite": {"/clip": "Infinity"}}


def test_show_raw_is_the_whole_rows_of_a_writer(runfmt, runs):
    run = make_run(runs)
    whole = (run / "metrics.jsonl").read_bytes()
    append(run / "metrics.jsonl", b'{"_step":')
    (run / "metrics.rank1.jsonl").write_bytes(rows(0, 2))
    assert runfmt("show", "--raw", run).stdout_bytes == whole
    assert runfmt("show", "--raw", "--writer", "rank1", run).stdout_bytes == rows(0, 2)
    assert runfmt.json("show", "--writer", "rank1", run)["rows"] == 2
    for option in (["--raw"], []):
        text = runfmt.error("show", *option, "--writer", "rank2", run)
        assert text == f"{run} has no metrics of a writer rank2; there is: main, rank1"


def test_show_takes_one_run(runfmt, runs):
    for name in ("a", "b"):
        make_run(runs, name)
    assert runfmt.error("show", "runs") == "runs is not one run but 2: `runfmt ls runs` lists them"
    (runs.parent / "empty").mkdir()
    assert runfmt.error("show", "empty").startswith("no runs in empty: name a run")
    assert "there is no folder a" in runfmt.error("show", "a")


def test_show_of_a_run_to_refuse_says_why(runfmt, runs):
    make_run(runs, requires=["crypt"])
    assert "the run requires crypt: upgrade runfmt" in runfmt.error("show", "runs/first", code=1)


def test_names_do_not_steer_the_terminal(runfmt, runs, stick):
    run = make_run(runs, name="\x1b[2Jname", notes="two\r\nlines")
    (run / "files" / "\x1b]0;x\x07").touch()
    for words in (["sync"], ["ls"], ["show", run], ["verify"]):
        out = runfmt(*words).output
        assert "\x1b" not in out
        assert "\r" not in out
    assert "\ufffd[2Jname" in runfmt("ls").stdout
    assert "\x1b" not in runfmt("validate", code=1).output


# export


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_export_writes_a_table(runfmt, runs, work, ending):
    import pandas as pd

    make_run(runs, count=5)
    runfmt("export", "runs", "-o", f"t.{ending}")
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet}
    if ending == "jsonl":
        table = pd.DataFrame(map(json.loads, (work / "t.jsonl").read_text().splitlines()))
    else:
        table = readers[ending](work / f"t.{ending}").reset_index()
    assert sorted(table["loss"]) == [1 / (step + 1) for step in range(5, -1, -1)]


def test_export_takes_keys_and_runs(runfmt, runs, work):
    make_run(runs, count=3)
    runfmt("export", "runs", "-o", "t.jsonl", "--keys", "loss")
    row = json.loads((work / "t.jsonl").read_text().splitlines()[0])
    assert "loss" in row
    assert "x" not in row
    runfmt("export", "runs", "-o", "t.jsonl", "--runs")
    [row] = map(json.loads, (work / "t.jsonl").read_text().splitlines())
    assert (row["id"], row["state"]) == ("first", "finished")


def test_export_of_nothing_or_into_nothing_is_called_wrongly(runfmt, runs, work):
    make_run(runs)
    (work / "empty").mkdir()
    assert ".parquet" in runfmt.error("export", "runs", "-o", "t.xls")
    assert "nowhere" in runfmt.error("export", "nowhere", "-o", "t.csv")
    assert "empty" in runfmt.error("export", "empty", "-o", "t.csv")
    assert "nowhere" in runfmt.error("export", "runs", "-o", "nowhere/t.csv", code=1)
    assert sorted(os.listdir(work)) == ["empty", "runs"]


# validate


def test_validate_says_rule_path_and_offset(runfmt, runs):
    run = make_run(runs)
    make_run(runs, "good")
    size = (run / "metrics.jsonl").stat().st_size
    append(run / "metrics.jsonl", b"[]\n" + rows(22, 1) + b'{"_step":')
    (run / "files" / "link").symlink_to("x")
    (run / "files" / "a\\b").touch()
    out = runfmt("validate", code=1).stdout.splitlines()
    assert out[-1] == "1 run as the specification demands, 1 not"
    assert all(line.startswith("runs/first: ") for line in out[:-1])
    found = runfmt.json("validate", code=1)
    assert found["runs/good"] == []
    assert [(p["path"], p["offset"], p["rule"]) for p in found["runs/first"]] == [
        ("files/a\\b", -1, "R007"),
        ("files/link", -1, "R006"),
        ("metrics.jsonl", size, "R023"),
        ("metrics.jsonl", size + 3 + len(rows(22, 1)), "R020"),
    ]


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"runfmt": 2}, "R011"), ({"requires": ["x"]}, "R012"), ({"uid": 1}, "R010"), ({"id": "other"}, "R014")],
)
def test_validate_judges_run_json(runfmt, runs, change, rule):
    make_run(runs, **change)
    [problem] = runfmt.json("validate", code=1)["runs/first"]
    assert (problem["path"], problem["rule"]) == ("run.json", rule)


def test_validate_of_good_runs_is_one_line(runfmt, runs):
    for name in ("a", "b"):
        make_run(runs, name)
    assert runfmt("validate").stdout == "2 runs as the specification demands\n"


# all


def test_commands_take_the_folder_of_the_environment(runfmt, work):
    make_run(work / "elsewhere")
    for name in ("WANDB_DIR", "RUNFMT_DIR"):
        runfmt.environment[name] = "elsewhere"
        assert [run["id"] for run in runfmt.json("ls")] == ["first"]
        runfmt.environment["WANDB_DIR"] = "nowhere"


def test_version_and_help_are_there(runfmt):
    assert runfmt("--version").stdout.startswith("runfmt, version 0.")
    for words in (["-h"], ["sync", "--help"], ["remote", "-h"], ["remote", "add", "-h"]):
        assert runfmt(*words).stdout.startswith("Usage: ")
    assert "No such command 'syn'" in runfmt("syn", code=2).stderr


def test_uid_survives_in_json(runfmt, runs):
    run = make_run(runs)
    assert runfmt.json("show", run)["uid"] == read(run / "run.json")["uid"]
