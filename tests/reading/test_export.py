"""Tables on disk say what was logged, and nothing that was not."""

import json
import math

import pandas as pd
import pytest

import runfmt
from runfmt_sync.export import export


@pytest.fixture
def runs(tmp_path):
    for name, value in (("one", math.nan), ("two", -math.inf)):
        with runfmt.init(project="p", id=name, dir=tmp_path / "runs", config={"lr": 0.1}) as run:
            run.log({"a": 1, "eval": {"acc": value}})
            run.log({"b": 2})
    return tmp_path / "runs"


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


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_tables_keep_numbers(runs, tmp_path, ending):
    output = tmp_path / f"out.{ending}"
    assert export([runs], output, keys=["eval.acc"]) == 2
    table = pd.read_parquet(output) if ending == "parquet" else pd.read_csv(output)
    assert list(table["run"]) == ["one", "two"]
    assert math.isnan(table["eval.acc"][0])
    assert table["eval.acc"][1] == -math.inf


def test_unknown_ending_names_the_three_and_writes_nothing(runs, tmp_path):
    with pytest.raises(runfmt.UsageError, match=r"\.parquet, \.csv, \.jsonl"):
        export([runs], tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()
