"""Runs in tables: Lightning's CSVLogger, other CSV files, JSON Lines."""

import json
import math
import os

import pytest
from pytorch_lightning.loggers import CSVLogger

from runfmt.errors import UsageError


@pytest.fixture
def lightning(tmp_path):
    logger = CSVLogger(str(tmp_path), name="logs")
    logger.log_hyperparams({"lr": 0.1, "layers": (1, 2), "net": {"act": "relu"}})
    for step in range(4):
        logger.log_metrics({"train_loss": 1 / (step + 1), "epoch": step // 2}, step=step)
    logger.log_metrics({"val_acc": 0.5, "epoch": 1}, step=3)
    logger.save()
    return tmp_path / "logs"


def test_folder_of_lightning_is_a_run(lightning, imported):
    assert imported(lightning)["version_0"].status == "synced"
    imported.again(lightning)
    run = imported.run("version_0")
    assert run.config == {"lr": 0.1, "layers": [1, 2], "net": {"act": "relu"}}
    assert run.document["project"] == "logs"
    rows = imported.rows("version_0")
    assert [row["train_loss"] for row in rows] == [1 / n for n in range(1, 5)]
    assert [row["epoch"] for row in rows] == [0, 0, 1, 1]
    assert rows[3]["val_acc"] == 0.5


def test_table_that_grew_goes_on_though_it_tells_no_times(lightning, imported):
    imported(lightning)
    table = lightning / "version_0" / "metrics.csv"
    with table.open("a") as file:
        file.write(table.read_text().splitlines()[-1].replace("3", "9") + "\n")
    os.utime(table, (2e9, 2e9))
    assert imported(lightning)["version_0"].status == "synced"
    assert imported.rows("version_0")[-1]["_step"] == 9


def test_csv_gives_numbers_words_and_gaps(tmp_path, imported):
    table = tmp_path / "a run.csv"
    table.write_text(
        "Step,timestamp,loss,note,good,_rewind\n"
        "0,2024-11-24T03:05:54Z,0.5,first,true,1\n5,1732417560.5,,second,False,2\n7,1732417570,nan,,,3\n"
    )
    [(run_id, outcome)] = imported(table).items()
    assert outcome.status == "synced"
    assert run_id.startswith("a-run-")
    imported.again(table)
    first, second, third = imported.rows(run_id)
    assert first == {"_step": 0, "loss": 0.5, "note": "first", "good": True, "_rewind_": 1}
    assert second == {"_step": 5, "note": "second", "good": False, "_rewind_": 2}
    assert math.isnan(third["loss"])
    lines = (imported.run(run_id).path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["_timestamp"] for line in lines] == [1732417554, 1732417560.5, 1732417570]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("\ufeffstep,loss\n3,1\n", [{"_step": 3, "loss": 1}]),
        ("step;loss\n0;1,5\n", [{"_step": 0, "loss": 1.5}]),
        ("step\tloss\n0\t1.5\n", [{"_step": 0, "loss": 1.5}]),
        ('"a;b;c",loss\n1,2\n', [{"_step": 0, "a;b;c": 1, "loss": 2}]),
        ('step,"a,b",note\n0,1,"x ""y""\nz"\n', [{"_step": 0, "a,b": 1, "note": 'x "y"\nz'}]),
        ("step,loss,loss\n0,1,2\n", [{"_step": 0, "loss": 1, "loss (2)": 2}]),
        ("step,id,n\n0,007,1_000\n", [{"_step": 0, "id": "007", "n": "1_000"}]),
        (
            "epoch,loss\n0.5,1\n1.0,2\n",
            [{"_step": 0, "epoch": 0.5, "loss": 1}, {"_step": 1, "epoch": 1.0, "loss": 2}],
        ),
        ("step,loss\n", []),
        ("", []),
    ],
)
def test_csv_of_any_make_is_read(tmp_path, imported, text, rows):
    (tmp_path / "x.csv").write_text(text)
    outcome = imported(tmp_path / "x.csv")["x"]
    assert (outcome.status, outcome.notes) == ("synced", [])
    assert imported.rows("x") == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("step,loss\n0,1\n,2\n10,4\n", [(0, 1), (1, 2), (2, 4)]),
        ("epoch,loss\n1,5\n1,4\n2,3\n", [(0, 5), (1, 4), (2, 3)]),
        ("step,loss\n5,1\n3,2\n5,3\n", [(0, 1), (1, 2), (2, 3)]),
        ("step,loss,acc\n1,5,\n1,,7\n2,3,\n", [(1, 5), (2, 3)]),
    ],
)
def test_no_row_hides_another(tmp_path, imported, text, rows):
    (tmp_path / "x.csv").write_text(text)
    imported(tmp_path / "x.csv")
    assert [(row["_step"], row["loss"]) for row in imported.rows("x")] == rows


def test_last_line_that_may_still_be_written_is_taken_when_it_is_whole(tmp_path, imported):
    table = tmp_path / "x.csv"
    table.write_text("step,loss\n0,1\n1,0.5")
    [note] = imported(table)["x"].notes
    assert note == "left out the last line, which has no end: if it is whole, end it"
    assert [row["loss"] for row in imported.rows("x")] == [1]
    table.write_text("step,loss\n0,1\n1,0.5423\n")
    assert imported(table)["x"].notes == []
    assert [row["loss"] for row in imported.rows("x")] == [1, 0.5423]


def test_numbers_that_are_no_dates_stay_numbers(tmp_path, imported):
    (tmp_path / "x.csv").write_text("epoch,time,date,loss\n1,10.5,20240101,3\n2,11.5,20240102,2\n")
    imported(tmp_path / "x.csv")
    assert imported.rows("x")[0] == {"_step": 1, "epoch": 1, "time": 10.5, "date": 20240101, "loss": 3}


def test_table_is_the_same_by_any_name_of_its_place(tmp_path, imported):
    (tmp_path / "a").mkdir()
    (tmp_path / "x.csv").write_text("loss\n1\n")
    (tmp_path / "link").symlink_to(tmp_path)
    imported(tmp_path / "x.csv")
    imported.again(tmp_path / "a" / ".." / "x.csv")
    imported.again(tmp_path / "link" / "x.csv")


def test_file_that_cannot_be_read_stops_no_other(tmp_path, imported):
    (tmp_path / "deep.jsonl").write_text(
        '{"a":' + "[" * 100_000 + '\n{"path":{"_type":"image-file","path":"../x"},"b":1}\n'
    )
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    (tmp_path / "latin.csv").write_bytes("gr\u00f6\u00dfe\n1\n".encode("latin-1"))
    (tmp_path / "wide.csv").write_text("loss\n1\n", encoding="utf-16")
    names = ("deep.jsonl", "latin.csv", "wide.csv")
    outcomes = imported(tmp_path, *(tmp_path / name for name in names))
    assert outcomes["deep"].notes == [
        "left out line 1, which is no JSON object", "left out 'path', which names a file that is not known"
    ]  # fmt: skip
    assert imported.rows("deep") == [{"_step": 0, "path": None, "b": 1}]
    assert "not in UTF-8" in outcomes["latin"].notes[0]
    assert imported.rows("wide") == [{"_step": 0, "loss": 1}]
    [bad] = (outcome for outcome in outcomes.values() if outcome.status == "failed")
    assert "not a database" in bad.problems[0]


def test_what_a_table_has_too_much_is_left_out_and_said(tmp_path, imported):
    (tmp_path / "x.csv").write_text("step,loss\n-1,1\n0,2,3\n")
    (tmp_path / "y.jsonl").write_text('{"step":1,"deep":' + "[" * 80 + "]" * 80 + '}\n{"step":2,"loss":1}\n')
    outcomes = imported(tmp_path / "x.csv", tmp_path / "y.jsonl")
    assert outcomes["x"].notes == [
        "left out cells in line 3 that have no column",
        "left out a row of step -1: steps are 0 to 2^53-1",
    ]
    assert imported.rows("x") == [{"_step": 0, "loss": 2}]
    [note] = outcomes["y"].notes
    assert note.startswith("left out the row of step 1: 'deep' nests deeper")
    assert imported.rows("y") == [{"_step": 2, "loss": 1}]


def test_rows_without_steps_are_counted(tmp_path, imported):
    (tmp_path / "x.csv").write_text("loss\n3\n2\n1\n")
    imported(tmp_path / "x.csv")
    assert [(row["_step"], row["loss"]) for row in imported.rows("x")] == [(0, 3), (1, 2), (2, 1)]


def test_json_lines_keep_their_nests_and_bad_lines_are_counted(tmp_path, imported):
    (tmp_path / "x.jsonl").write_text(
        '{"step": 1, "eval": {"acc": 0.5}}\n[1]\n\n{"step": 2, "loss": NaN}\n{"step": 3, "lo'
    )
    outcome = imported(tmp_path / "x.jsonl")["x"]
    assert outcome.notes == [
        "left out line 2, which is no JSON object",
        "left out line 5, which is no JSON object",
    ]
    rows = imported.rows("x")
    assert rows[0] == {"_step": 1, "eval": {"acc": 0.5}}
    assert math.isnan(rows[1]["loss"])


def test_runs_of_one_name_lie_beside_each_other(tmp_path, imported):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text(f"step,loss\n0,{len(folder)}\n")
    imported(tmp_path / "a" / "log.csv", tmp_path / "b" / "log.csv")
    imported.again(tmp_path / "a" / "log.csv", tmp_path / "b" / "log.csv")
    assert len([*imported.folder.rglob("metrics.jsonl")]) == 2


def test_source_that_is_none_is_a_mistake(tmp_path, imported):
    (tmp_path / "x.pdf").write_text("x")
    with pytest.raises(UsageError, match="no kind that can be imported"):
        imported(tmp_path / "x.pdf")
    with pytest.raises(UsageError, match="there is no"):
        imported(tmp_path / "nowhere")
    assert imported(tmp_path) == {}
