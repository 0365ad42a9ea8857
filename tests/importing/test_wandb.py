"""Runs that W&B's own package wrote offline."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys

import pytest

from runfmt.reading import StoredRun, find_runs
from runfmt_sync.importing.wandb_media import Values

WRITER = """
import sys, numpy, wandb
quiet = wandb.Settings(silent=True)
run = wandb.init(
    id="abc", project="digits", name="first", mode="offline", dir=sys.argv[1], settings=quiet, group="g",
    config={"lr": 0.1, "net": {"depth": 3}}, tags=["good", "old"], notes="why", job_type="train",
)
run.define_metric("val/*", step_metric="epoch", summary="min")
for step in range(6):
    run.log({"loss": 1 / (step + 1), "val/acc": step / 10, "epoch": step // 2, "eval": {"f1": step}})
run.log({"odd": float("nan"), "large": float("inf"), "text": "words"}, step=10)
black = numpy.zeros((4, 6, 3), numpy.uint8)
box = {"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}
picture = wandb.Image(
    black, caption="black", boxes={"seen": {"box_data": [box], "class_labels": {1: "cat"}}},
    masks={"where": {"mask_data": numpy.ones((4, 6), numpy.uint8), "class_labels": {1: "cat"}}},
)
run.log({
    "one": picture, "many": [wandb.Image(black + n, caption=str(n)) for n in range(3)],
    "spread": wandb.Histogram(np_histogram=([1, 2], [0, 1, 2])), "page": wandb.Html("<b>x</b>", inject=False),
    "table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2.5, None]]),
}, step=11)
run.summary["best"] = 3.5
run.config.update({"late": True})
run.alert("look", "at this", level=wandb.AlertLevel.WARN)
print("hello console")
open(sys.argv[1] + "/weights.bin", "w").write("weights")
run.save(sys.argv[1] + "/weights.bin", base_path=sys.argv[1])
model = wandb.Artifact("model", "model", metadata={"size": 7})
model.add_file(sys.argv[1] + "/weights.bin")
run.log_artifact(model, aliases=["best"])
run.finish()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    environment = {"WANDB_ERROR_REPORTING": "false", "HOME": str(folder), "WANDB_DATA_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", WRITER, folder], check=True, env=os.environ | environment)
    return folder


@pytest.fixture
def source(written, tmp_path):
    return shutil.copytree(written, tmp_path / "source", symlinks=True)


def test_run_of_wandb_is_a_run_of_ours(source, imported):
    outcomes = imported(source / "wandb")
    assert [(one.status, one.notes, one.problems) for one in outcomes.values()] == [("synced", [], [])]
    imported.again(source / "wandb")
    run = imported.run("abc")
    assert run.problems == []
    about = {
        key: run.document[key] for key in ("project", "name", "notes", "tags", "group", "job_type", "state")
    }
    assert about == {
        "project": "digits", "name": "first", "notes": "why", "tags": ["good", "old"], "group": "g",
        "job_type": "train", "state": "finished",
    }  # fmt: skip
    assert run.config == {"lr": 0.1, "net": {"depth": 3}, "late": True}
    assert "hello console" in (run.path / "console.log").read_text()
    alert = json.loads((run.path / "events.jsonl").read_text())
    assert (alert["event"], alert["title"], alert["text"], alert["level"]) == (
        "alert",
        "look",
        "at this",
        "WARN",
    )


def test_every_row_has_its_step_and_its_values(source, imported):
    imported(source)
    *rows, odd, media = imported.rows("abc")
    assert rows == [
        {"_step": n, "loss": 1 / (n + 1), "val/acc": n / 10, "epoch": n // 2, "eval": {"f1": n}}
        for n in range(6)
    ]
    assert math.isnan(odd.pop("odd"))
    assert odd == {"_step": 10, "large": math.inf, "text": "words"}
    assert media["_step"] == 11
    assert imported.run("abc").summary["best"] == 3.5
    assert imported.run("abc").summary["val/acc"] == {"min": 0.0}


def test_media_keep_their_bytes_and_what_is_said_of_them(source, imported):
    imported(source)
    value = imported.rows("abc")[-1]
    one, folder = value["one"], imported.run("abc").path
    [original] = source.glob("wandb/offline-*/files/media/images/one_*.png")
    assert (folder / one["path"]).read_bytes() == original.read_bytes()
    assert (one["caption"], one["width"], one["height"]) == ("black", 6, 4)
    assert one["boxes"]["seen"]["box_data"][0]["class_id"] == 1
    assert one["masks"]["where"]["class_labels"] == {"1": "cat"}
    assert value["many"]["captions"] == ["0", "1", "2"]
    assert (value["spread"]["values"], value["spread"]["bins"]) == ([1, 2], [0, 1, 2])
    assert (folder / value["page"]["path"]).read_text() == "<b>x</b>"
    table = json.loads((folder / value["table"]["path"]).read_bytes())
    assert (table["columns"], table["data"]) == (["a", "b"], [[1, "x"], [2.5, None]])


def test_files_and_artifacts_come_along(source, imported):
    imported(source)
    files = imported.run("abc").path / "files"
    assert (files / "weights.bin").read_text() == "weights"
    version = files / "artifacts" / "model" / "v0"
    assert (version / "weights.bin").read_text() == "weights"
    said = json.loads((version / "artifact.json").read_bytes())
    assert (said["type"], said["aliases"], said["metadata"]) == ("model", ["best"], {"size": 7})
    assert said["entries"]["weights.bin"]["sha256"] == hashlib.sha256(b"weights").hexdigest()


def test_run_that_was_killed_comes_as_far_as_it_is_whole_and_goes_on_later(source, imported):
    [log] = source.glob("wandb/offline-*/*.wandb")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 3])
    imported(source)
    assert imported.run("abc").document["state"] == "running"
    before = (imported.run("abc").path / "metrics.jsonl").read_bytes()
    log.write_bytes(whole)
    assert imported(source)["abc"].status == "synced"
    assert (imported.run("abc").path / "metrics.jsonl").read_bytes().startswith(before)
    assert imported.run("abc").document["state"] == "finished"


def test_what_is_missing_or_lies_elsewhere_is_left_out_and_said(source, imported):
    [page] = source.glob("wandb/offline-*/files/media/html/*")
    page.unlink()
    outcome = imported(source)["abc"]
    assert len(outcome.notes) == 1
    assert "left out 'page', a html-file" in outcome.notes[0]
    assert imported.rows("abc")[-1]["page"] is None


def test_damaged_log_gives_what_comes_before_and_stops_no_other(source, imported):
    [folder] = source.glob("wandb/offline-*")
    other = shutil.copytree(folder, folder.with_name("offline-run-0-bad"), symlinks=True)
    [log] = other.glob("*.wandb")
    log.rename(other / "run-bad.wandb")
    (other / "run-bad.wandb").write_bytes(log.with_name("run-bad.wandb").read_bytes()[:30] + b"damaged")
    [log] = folder.glob("*.wandb")
    data = bytearray(log.read_bytes())
    data[data.index(b'"words"')] ^= 1
    log.write_bytes(data)
    outcomes = imported(source)
    assert outcomes["abc"].status == "synced"
    [note] = outcomes["abc"].notes
    assert note.startswith("left out what comes behind: ")
    assert [row["_step"] for row in imported.rows("abc")] == [0, 1, 2, 3, 4, 5]
    [problem] = outcomes["offline-run-0-bad"].problems
    assert "says nothing of a run" in problem


def test_run_that_was_resumed_is_one_run_with_all_its_rows(source, imported):
    environment = {"WANDB_ERROR_REPORTING": "false", "HOME": str(source)}
    code = """
import glob, os, sys, time, wandb
for step in (20, 30):
    while glob.glob(sys.argv[1] + time.strftime("/wandb/offline-run-%Y%m%d_%H%M%S-abc")):
        os.sched_yield()  # W&B writes over one that began in the same second
    quiet = wandb.Settings(silent=True)
    run = wandb.init(id="abc", project="digits", mode="offline", dir=sys.argv[1], settings=quiet)
    run.log({"loss": step}, step=step)
    run.log({"pages": [wandb.Html("a", inject=False), wandb.Html("b", inject=False)]}, step=step + 1)
    print("step", step)
    run.finish(exit_code=int(step == 30))
"""
    imported(source)  # what was set by hand stands where the first process ended
    before = (imported.run("abc").path / "metrics.jsonl").read_bytes()
    subprocess.run([sys.executable, "-c", code, source], check=True, env=os.environ | environment)
    assert len([*source.glob("wandb/offline-run-*-abc")]) == 3
    outcomes = imported(source)
    assert [(one.status, one.notes) for one in outcomes.values()] == [("synced", [])]
    assert (imported.run("abc").path / "metrics.jsonl").read_bytes().startswith(before)
    assert imported.run("abc").summary["best"] == 3.5
    rows = imported.rows("abc")
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5, 10, 11, 20, 21, 30, 31]
    assert [(imported.run("abc").path / one["path"]).read_text() for one in rows[-1]["pages"]["html"]] == [
        "a",
        "b",
    ]
    run = imported.run("abc")
    assert (run.document["state"], run.config["lr"]) == ("failed", 0.1)
    printed = (run.path / "console.log").read_text().splitlines()
    assert [line for line in printed if not line.startswith("wandb:")] == [
        "hello console",
        "step 20",
        "step 30",
    ]
    last = max(source.glob("wandb/offline-run-*-abc"))
    imported.again(last)
    shutil.rmtree(last)
    [problem] = imported(source)["abc"].problems
    assert problem.endswith("remove the run here, and import again")


def test_runs_of_one_id_in_two_projects_are_two_runs(tmp_path, imported):
    environment = {"WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}
    code = """
import sys, wandb
for number, project in enumerate(("one", "two")):
    quiet = wandb.Settings(silent=True, console="off")
    with wandb.init(id="same", project=project, mode="offline", dir=sys.argv[1], settings=quiet) as run:
        run.log({"loss": number})
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=os.environ | environment)
    assert [*imported(tmp_path / "wandb")] == ["same"]
    found = {
        run.document["project"]: run.history().rows[0]["loss"]
        for run in map(StoredRun, find_runs(imported.folder))
    }
    assert found == {"one": 0, "two": 1}


def test_run_that_is_imported_while_it_is_written_goes_on(tmp_path, imported):
    environment = {"WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}
    code = """
import sys, wandb
quiet = wandb.Settings(silent=True, console="off")
run = wandb.init(id="live", project="p", mode="offline", dir=sys.argv[1], settings=quiet)
run.summary["best"] = 1
for step in range(3000):
    run.log({"loss": step})
print("look", flush=True)
sys.stdin.readline()
run.define_metric("m", summary="max")
run.summary["best"] = 2
run.summary["_private"] = 3
run.log({"m": 1, "gone": 1})
del run.summary["gone"]
run.finish()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], env=os.environ | environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    outcome = imported(tmp_path / "wandb")["live"]
    assert (outcome.status, outcome.problems) == ("synced", [])
    # W&B writes what it makes of the rows now and then, so its loss may be one of before.
    left_out = ("best", "best, loss")
    assert outcome.notes in [
        [f"left out of the summary {names}, as the run has not ended"] for names in left_out
    ]
    assert imported.run("live").document["state"] == "running"
    process.communicate("\n", timeout=60)
    outcome = imported(tmp_path / "wandb")["live"]
    assert (outcome.status, outcome.problems) == ("synced", [])
    summary = imported.run("live").summary
    assert (summary["loss"], summary["best"], summary["m"], summary["_private"]) == (2999, 2, {"max": 1}, 3)
    assert "gone" not in summary
    assert len(imported.rows("live")) == 3001


def test_paths_in_a_log_lead_to_no_other_files(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    losses = []
    value = {"_type": "html-file", "path": "../secret.html"}
    assert Values(tmp_path / "files", {}, losses).logged("page", value) is None
    assert losses == ["'page', a html-file ('../secret.html' lies elsewhere)"]
