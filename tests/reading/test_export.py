"""Tables on disk say what was logged, and nothing that was not."""

import csv
import json
import math

import duckdb
import pandas as pd
import polars as pl
import pytest
from pyarrow import parquet

import runfmt
from runfmt_sync.export import export

IMAGE = {"_type": "image-file", "path": "media/image/x.png", "sha256": "0" * 64, "size": 1}
ROWS = [
    {"a": 1, "eval": {"acc": math.nan}, "text": 'a "b",\nc', "x": IMAGE, "mixed": 1, "flag": True},
    {"a": 2**60 + 1, "eval": {"acc": -math.inf}, "list": [1, math.nan], "mixed": "one", "empty": {}},
    {"b": 0.1, "text": "", "huge": 2**64 - 1, "none": None},
    {"b": 3, "list": [], "huge": 0.5, "flag": False},
]


@pytest.fixture
def runs(tmp_path):
    for name, value in (("one", math.nan), ("two", -math.inf)):
        with runfmt.init(project="p", id=name, dir=tmp_path / "runs", config={"lr": 0.1}) as run:
            run.log({"a": 1, "eval": {"acc": value}})
            run.log({"b": 2})
    return tmp_path / "runs"


@pytest.fixture
def odd(tmp_path):
    """A run with values of each kind; gives its folder."""
    with runfmt.init(id="odd", dir=tmp_path / "odd") as run:
        run.log({"a": 0})
    lines = [
        json.dumps({"_step": step, "_timestamp": 1.5 + step, **row}, allow_nan=True).encode() + b"\n"
        for step, row in enumerate(ROWS)
    ]
    lines[0] = lines[0].replace(b"NaN", b"null")[:-2] + b',"_nonfinite":{"/eval/acc":"NaN"}}\n'
    lines[1] = lines[1].replace(b"-Infinity", b"null").replace(b"NaN", b"null")[:-2]
    lines[1] += b',"_nonfinite":{"/eval/acc":"-Infinity","/list/1":"NaN"}}\n'
    run.directory.joinpath("metrics.jsonl").write_bytes(b"".join(lines))
    return run.directory


# JSON Lines


def test_jsonl_tells_a_missing_value_from_nan(runs, tmp_path):
    output = tmp_path / "out.jsonl"
    assert export([runs], output) == 4
    rows = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert [row["run"] for row in rows] == ["one", "one", "two", "two"]
    assert rows[0]["_nonfinite"] == {"/eval/acc": "NaN"}
    assert rows[1].keys() == {"run", "_step", "_timestamp", "b"}


def test_jsonl_of_chosen_keys_leaves_the_others_out(runs, tmp_path):
    output = tmp_path / "out.jsonl"
    assert export([runs / "two"], output, keys=["eval.acc"]) == 1
    row = json.loads(output.read_bytes())
    assert row.keys() == {"_step", "_timestamp", "eval", "_nonfinite"}
    assert row["_nonfinite"] == {"/eval/acc": "-Infinity"}


def test_jsonl_of_runs_is_nested_and_whole(runs, tmp_path):
    output = tmp_path / "out.jsonl"
    assert export([runs], output, runs=True) == 2
    first = json.loads(output.read_bytes().splitlines()[0])
    assert (first["id"], first["state"], first["config"]) == ("one", "finished", {"lr": 0.1})
    assert first["_nonfinite"] == {"/summary/eval/acc": "NaN"}


def test_jsonl_of_a_run_reads_as_the_run(odd, tmp_path):
    output = tmp_path / "out.jsonl"
    export([odd], output)
    lines = (odd / "metrics.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in output.read_bytes().splitlines()] == [*map(json.loads, lines)]


# Tables


def same(one, other):
    return one == other or (one != one and other != other)


def test_parquet_holds_each_value_as_it_was_logged(odd, tmp_path):
    output = tmp_path / "out.parquet"
    assert export([odd], output) == 4
    table = parquet.read_table(output)
    assert table.column_names == [
        "_step", "_timestamp", "a", "b", "empty", "eval.acc", "flag", "huge", "list", "mixed", "none", "text",
        "x",
    ]  # fmt: skip
    found = table.to_pydict()
    assert found["a"] == [1, 2**60 + 1, None, None]
    assert all(map(same, found["eval.acc"], [math.nan, -math.inf, None, None]))
    assert found["flag"] == [True, None, None, False]
    assert found["b"] == [None, None, 0.1, 3]
    assert found["huge"] == [None, None, 2.0**64, 0.5]
    assert found["mixed"] == ["1", '"one"', None, None]
    assert found["text"] == ['a "b",\nc', None, "", None]
    assert found["x"] == [IMAGE, None, None, None]
    assert found["empty"] == [None, "{}", None, None]
    assert found["none"] == [None] * 4
    assert found["list"][1][0] == 1
    assert math.isnan(found["list"][1][1])
    for read in (pd.read_parquet, pl.read_parquet, lambda path: duckdb.sql(f"from '{path}'").df()):
        assert list(read(output)["_step"]) == [0, 1, 2, 3]


def test_csv_holds_each_value_as_it_was_logged(odd, tmp_path):
    output = tmp_path / "out.csv"
    assert export([odd], output) == 4
    rows = list(csv.DictReader(output.read_text().splitlines(keepends=True)))
    assert [row["a"] for row in rows] == ["1", "1152921504606846977", "", ""]
    assert [row["eval.acc"] for row in rows] == ["NaN", "-inf", "", ""]
    assert [row["text"] for row in rows] == ['a "b",\nc', "", "", ""]
    assert [row["list"] for row in rows] == ["", "[1,NaN]", "", "[]"]
    assert json.loads(rows[0]["x"]) == IMAGE
    table = pd.read_csv(output)
    assert table["eval.acc"][1] == -math.inf
    assert table["b"].tolist()[2:] == [0.1, 3]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_table_of_several_runs_says_which(runs, tmp_path, ending):
    output = tmp_path / f"out.{ending}"
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    for paths in ([runs], [runs / "one", runs / "two"]):
        assert export(paths, output, keys=["eval.acc", "a"]) == 2
        table = read(output)
        assert list(table.columns) == ["run", "_step", "_timestamp", "eval.acc", "a"]
        assert list(table["run"]) == ["one", "two"]
        assert math.isnan(table["eval.acc"][0])
        assert table["eval.acc"][1] == -math.inf
    assert export([runs / "one"], output) == 2
    assert "run" not in read(output).columns


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_table_of_runs_has_config_summary_and_times(runs, tmp_path, ending):
    output = tmp_path / f"out.{ending}"
    assert export([runs / "two", runs / "one"], output, runs=True) == 2
    table = (
        pd.read_parquet(output) if ending == "parquet" else pd.read_csv(output, parse_dates=["created_at"])
    )
    assert list(table["id"]) == ["two", "one"]
    assert list(table["config.lr"]) == [0.1, 0.1]
    assert table["summary.eval.acc"][0] == -math.inf
    assert str(table["created_at"].dtype).startswith("datetime64")
    assert table["created_at"][0] == runfmt.read_runs(runs / "two")["created_at"][0]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_export_of_nothing_is_an_empty_table(tmp_path, ending):
    with runfmt.init(dir=tmp_path / "runs", id="empty"):
        pass
    output = tmp_path / f"out.{ending}"
    assert export([tmp_path / "runs"], output) == 0
    if ending == "parquet":
        assert len(pd.read_parquet(output)) == 0


# What goes wrong


def test_unknown_ending_names_the_three_and_writes_nothing(runs, tmp_path):
    with pytest.raises(runfmt.UsageError, match=r"\.parquet, \.csv, \.jsonl"):
        export([runs], tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_lost_rows_and_unknown_keys_are_warned_of(runs, tmp_path, ending):
    with open(runs / "one" / "metrics.jsonl", "ab") as stream:
        stream.write(b"junk\n")
    with pytest.warns(RuntimeWarning) as warned:
        export([runs], tmp_path / f"out.{ending}", keys=["a", "lss"])
    lacking, unknown = (str(warning.message) for warning in warned)
    assert "one lacks rows" in lacking
    assert "no run has a value of lss" in unknown


def test_metric_called_run_is_refused_where_runs_are_told_apart(tmp_path):
    for name in ("one", "two"):
        with runfmt.init(dir=tmp_path / "runs", id=name) as run:
            run.log({"run": 1})
    with pytest.raises(runfmt.UsageError, match="export each run by itself"):
        export([tmp_path / "runs"], tmp_path / "out.csv")
    assert export([tmp_path / "runs" / "one"], tmp_path / "out.csv") == 1
