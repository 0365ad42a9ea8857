"""Runs in event files that PyTorch's writer wrote."""

import json
import math

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from runfmt_sync.cli import main


@pytest.fixture
def source(tmp_path):
    """A run with a training and a validation part, as many trainers write it."""
    folder = tmp_path / "logs" / "exp1"
    with SummaryWriter(str(folder / "train")) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1 / (step + 1), step * 10, walltime=1_700_000_000 + step * 60)
            writer.add_scalar("lr", 0.1, step * 10, walltime=1_700_000_000.25 + step * 60)
        writer.add_scalar("odd", math.nan, 50, walltime=1_700_000_600)
        writer.add_text("note", "hello", 50, walltime=1_700_000_600)
        writer.add_image("pic", np.zeros((3, 4, 6), np.uint8), 50, walltime=1_700_000_600)
        writer.add_histogram("w", np.array([0.0, 1.0, 1.0]), 50, bins=[0, 0.5, 2], walltime=1_700_000_600)
    with SummaryWriter(str(folder / "val")) as writer:
        writer.add_scalar("acc", 0.75, 40, walltime=1_700_000_500)
        writer.add_hparams({"lr": 0.1, "net": "small"}, {}, run_name=".")
    return folder.parent


def test_each_folder_of_event_files_is_a_run(source, imported):
    assert {id: one.status for id, one in imported(source).items()} == {"train": "synced", "val": "synced"}
    imported.again(source)
    assert imported.run("val").config == {"lr": 0.1, "net": "small"}
    assert imported.rows("val") == [{"_step": 40, "acc": 0.75}]
    assert imported.run("train").document["project"] == "exp1"
    assert imported.run("train").document["created_at"] <= "2023-11-14T22:13:20.000000Z"


def test_scalars_keep_steps_times_and_the_digits_that_were_written(source, imported):
    imported(source)
    rows = imported.rows("train")
    assert [row["_step"] for row in rows] == [0, 10, 20, 30, 40, 50]
    assert [np.float32(row["loss"]) for row in rows[:5]] == [np.float32(1 / n) for n in range(1, 6)]
    assert [row["lr"] for row in rows[:5]] == [0.1] * 5
    assert math.isnan(rows[5]["odd"])
    lines = (imported.run("train").path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["_timestamp"] for line in lines[:10:2]] == [
        1_700_000_000 + n * 60 for n in range(5)
    ]


def test_media_and_texts_come_along(source, imported):
    imported(source)
    row, folder = imported.rows("train")[-1], imported.run("train").path
    assert row["note/text_summary"] == "hello"
    assert (row["pic"]["width"], row["pic"]["height"], row["pic"]["format"]) == (6, 4, "png")
    assert (folder / row["pic"]["path"]).read_bytes().startswith(b"\x89PNG")
    assert sum(row["w"]["values"]) == 3


def test_run_that_went_on_goes_on_here(source, imported):
    imported(source)
    with SummaryWriter(str(source / "exp1" / "val")) as writer:
        writer.add_scalar("acc", 0.8, 50)
    assert {id: one.status for id, one in imported(source).items()} == {"train": "unchanged", "val": "synced"}
    assert [row["_step"] for row in imported.rows("val")] == [40, 50]


def test_point_of_a_step_that_came_before_is_taken_too(tmp_path, imported):
    with SummaryWriter(str(tmp_path / "live")) as writer:
        writer.add_scalar("a", 1, 5)
        writer.flush()
        imported(tmp_path / "live")
        writer.add_scalar("b", 2, 5)
    assert imported(tmp_path / "live")["live"].problems == []
    assert imported.rows("live") == [{"_step": 5, "a": 1, "b": 2}]


def test_damaged_event_file_is_said_and_the_others_come(source, imported):
    [log] = (source / "exp1" / "train").glob("*")
    data = log.read_bytes()
    log.write_bytes(data[:200] + b"\xff" * 40 + data[240:])
    outcomes = imported(source)
    assert outcomes["val"].status == "synced"
    [note] = outcomes["train"].notes
    assert note.startswith("left out what comes behind event ")
    assert len(imported.rows("train")) < 6


def test_what_else_tensorboard_has_is_taken_or_said(tmp_path, imported):
    with SummaryWriter(str(tmp_path / "odd")) as writer:
        for step in (5, 3, -1, 5):
            writer.add_scalar("loss", step / 2, step)
        writer.add_audio("tone", np.zeros((1, 80), np.float32), 6, sample_rate=8000)
        writer.add_histogram("many", np.linspace(-1, 1, 5000), 7, bins=[n / 300 - 1 for n in range(601)])
        writer.add_histogram("one", np.array([1.0]), 7)
        writer.add_images("grid", np.zeros((3, 3, 4, 4), np.uint8), 8)
        writer.add_pr_curve("curve", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3]), 9)
        writer.add_scalars("group", {"a": 1, "b": 2}, 9)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "events.out.tfevents.1.host").write_bytes(b"")
    outcomes = imported(tmp_path)
    imported.again(tmp_path)
    assert outcomes.keys() == {"odd", "group_a", "group_b"}
    assert outcomes["odd"].notes == [
        "left out 'curve', which is for TensorBoard's pr_curves plugin",
        "left out a row of step -1: steps are 0 to 2^53-1",
    ]
    rows = {row["_step"]: row for row in imported.rows("odd")}
    assert [rows[step]["loss"] for step in (3, 5)] == [1.5, 2.5]
    assert rows[6]["tone"]["path"].endswith(".wav")
    assert len(rows[7]["many"]["values"]) <= 512
    assert sum(rows[7]["many"]["values"]) == 5000
    assert (rows[7]["one"]["bins"], rows[7]["one"]["values"]) == ([0.5, 1.5], [1])
    assert rows[8]["grid"]["format"] == "png"


def test_command_says_what_became_of_them(source, runfmt, work):
    done = runfmt("import", source, "--project", "old", "--json")
    said = json.loads(done.stdout)
    assert {run["status"] for run in said["runs"]} == {"synced"}
    assert {json.loads(path.read_text())["project"] for path in work.glob("runs/*/run.json")} == {"old"}
    assert main.commands["import"] is not None
