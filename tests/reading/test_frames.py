"""DataFrames of runs: whole, torn, live and broken ones, alone and together."""

import json
import math
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

import runfmt
from runfmt import frames
from runfmt.reading import StoredRun
from runfmt.rows import encode
from runmaker import write


@pytest.fixture
def store(tmp_path):
    """Write a run with these rows into ``runs``; gives its folder."""

    def stored(run_id, *rows, parent="runs", state="finished", streams=None, **documents):
        folder = tmp_path / parent / run_id
        folder.mkdir(parents=True)
        uid = f"0193572c-7c8e-7cc1-a4a5-{abs(hash((parent, run_id))) % 16**12:012x}"
        head = {"runfmt": 1, "requires": [], "uid": uid, "id": run_id, "state": state, "name": "n"}
        write(folder / "run.json", head | documents.pop("run", {}))
        for name, document in documents.items():
            write(folder / f"{name}.json", document)
        for name, of_stream in {"metrics": rows, **(streams or {})}.items():
            lines = [{"_step": step, "_timestamp": 1.5 + step, **row} for step, row in enumerate(of_stream)]
            (folder / f"{name}.jsonl").write_bytes(b"".join(encode(line, normal=True) for line in lines))
        return folder

    return stored


def append(run, text):
    with open(run / "metrics.jsonl", "ab") as stream:
        stream.write(text.encode())


def by_row(frame):
    """The values of a frame, row by row, without missing ones."""
    records = frame.drop(columns=["_step", "_timestamp"]).to_dict("records")
    return [
        {k: v for k, v in row.items() if isinstance(v, (dict, list)) or not pd.isna(v)} for row in records
    ]


# What a run is like


def test_frame_has_a_row_a_step_and_a_column_a_metric(store):
    run = store("one", {"loss": 1, "eval": {"acc": 0.5}}, {"loss": 2, "a": "x"})
    frame = runfmt.read_metrics(run)
    assert list(frame.columns) == ["_step", "_timestamp", "a", "eval.acc", "loss"]
    assert list(frame.index) == [0, 1]
    assert frame.loc[1, "_timestamp"] == 2.5
    assert by_row(frame) == [{"loss": 1, "eval.acc": 0.5}, {"loss": 2, "a": "x"}]


def test_torn_run_is_read_up_to_its_last_whole_row(store, recwarn):
    run = store("torn", {"a": 1}, {"a": 2})
    append(run, '{"_step":2,"a":3')
    assert list(runfmt.read_metrics(run)["a"]) == [1, 2]
    assert not recwarn


def test_live_run_is_read_after_each_row(tmp_path):
    with runfmt.init(dir=tmp_path, id="live") as run:
        for step in range(3):
            run.log({"a": step})
            assert list(runfmt.read_metrics(tmp_path)["a"]) == [*range(step + 1)]
        assert list(runfmt.read_runs(tmp_path)["state"]) == ["running"]


def test_crashed_run_is_read_and_called_so(store):
    run = store("old", {"a": 1}, state="running")
    assert list(runfmt.read_metrics(run)["a"]) == [1]
    assert list(runfmt.read_runs(run)["state"]) == ["crashed"]


def test_damaged_run_is_read_with_a_warning_that_says_how_to_mend_it(store):
    run = store("damaged", {"a": 1})
    (run / "run.json").write_text("{")
    with pytest.warns(RuntimeWarning, match=r"damaged is damaged.*runfmt recover .*damaged`") as warned:
        assert list(runfmt.read_metrics(run)["a"]) == [1]
    assert warned[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert list(runfmt.read_runs(run)["state"]) == ["damaged"]


@pytest.mark.parametrize(
    "line", ["junk", '{"a":1}', '{"_step":2,"_timestamp":1,"_gap":{"rows":7,"reason":"disk"}}']
)
def test_run_that_lacks_rows_is_read_with_a_warning_that_names_the_place(store, line):
    run = store("lacking", {"a": 1}, {"a": 2})
    append(run, line + "\n" + line + "\n")
    with pytest.warns(
        RuntimeWarning, match=r"lacking lacks rows: metrics.jsonl at byte 70:.*1 more"
    ) as warned:
        assert list(runfmt.read_metrics(run)["a"]) == [1, 2]
    assert [warning.filename for warning in warned] == [__file__]


def test_later_rows_of_a_step_and_rewinds_are_applied(store):
    run = store("rewound", {"a": 1, "b": 1}, {"a": 2}, {"a": 3}, {"_rewind": 1})
    append(run, '{"_step":1,"_timestamp":9.5,"b":2}\n{"_step":4,"_timestamp":9.5,"a":5}\n')
    frame = runfmt.read_metrics(run)
    assert list(frame["_step"]) == [0, 1, 4]
    assert by_row(frame) == [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 5}]
    assert frame["_timestamp"][1] == 9.5


@pytest.mark.parametrize("extra", [{}, {"list": [1]}])
def test_numbers_that_are_not_finite_are_what_was_logged(store, extra):
    run = store("odd", {"a": math.inf, **extra}, {"a": -math.inf}, {"a": math.nan, "b": 1}, {"a": 1})
    frame = runfmt.read_metrics(run)
    assert list(frame["a"][[0, 1, 3]]) == [math.inf, -math.inf, 1]
    assert math.isnan(frame["a"][2])
    assert frame["a"].dtype == "float64"


def test_run_without_rows_is_a_frame_without_rows(store):
    frame = runfmt.read_metrics(store("empty"))
    assert frame.dtypes.astype(str).to_dict() == {"_step": "int64", "_timestamp": "float64"}
    assert len(frame) == 0
    with pytest.warns(RuntimeWarning, match="no run has a value of loss"):
        assert list(runfmt.read_metrics(store("none"), keys=["loss"]).columns)[2:] == ["loss"]


def test_rows_without_times_are_rows(store, recwarn):
    run = store("timeless")
    append(run, '{"_step":0,"a":1}\n{"_step":1,"_timestamp":null,"a":2}\n')
    frame = runfmt.read_metrics(run)
    assert list(frame["a"]) == [1, 2]
    assert frame["_timestamp"].isna().all()
    assert not recwarn


def test_media_lists_and_empty_objects_are_values(store):
    image = {"_type": "image-file", "path": "media/image/x.png", "sha256": "0" * 64, "size": 1}
    run = store("media", {"x": image, "l": [1, None], "e": {}}, {"l": [2]})
    frame = runfmt.read_metrics(run)
    assert by_row(frame) == [{"x": image, "l": [1, None], "e": {}}, {"l": [2]}]
    assert frame["x"].isna().tolist() == [False, True]


# Types


@pytest.mark.parametrize("extra", [{}, {"list": [1]}])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"), ([1, 0.5], "float64"), ([True, False], "bool"), ([1, None], "float64"),
        ([True, None], "object"), ([2**60 + 1, None], "Int64"), ([2**60 + 1, 1], "int64"),
        ([1, "x"], "object"), ([None, None], "float64"),
    ],
)  # fmt: skip
def test_columns_have_the_type_that_holds_their_values(store, values, dtype, extra):
    run = store("typed", *({"a": value, **extra} for value in values))
    column = runfmt.read_metrics(run)["a"]
    assert column.dtype == dtype
    assert column.dropna().tolist() == [value for value in values if value is not None]


def test_texts_have_the_type_that_pandas_gives_them(store):
    column = runfmt.read_metrics(store("texts", {"a": "x"}, {"a": "2024-01-01"}))["a"]
    assert column.dtype == pd.Series(["x"]).dtype
    assert column.tolist() == ["x", "2024-01-01"]


# Chosen keys


def test_keys_choose_columns_in_their_order_and_rows_with_a_value(store):
    run = store("keyed", {"a": 1, "b": 1}, {"b": None, "c": 2}, {"b": math.nan}, {"c": 1})
    frame = runfmt.read_metrics(run, keys=["b", "a"])
    assert list(frame.columns) == ["_step", "_timestamp", "b", "a"]
    assert list(frame["_step"]) == [0, 2]


def test_key_with_a_dot_is_told_from_a_nested_one(store):
    run = store("dotted", {"a.b": 1, "a": {"b": 2}})
    assert by_row(runfmt.read_metrics(run)) == [{"a.b": 2, r"a\.b": 1}]
    assert by_row(runfmt.read_metrics(run, keys=[r"a\.b"])) == [{r"a\.b": 1}]


def test_unknown_key_is_an_empty_column_and_a_warning(store):
    run = store("keyed", {"a": 1})
    with pytest.warns(RuntimeWarning, match="no run has a value of lss") as warned:
        frame = runfmt.read_metrics(run, keys=["lss", "a"])
    assert list(frame.columns)[2:] == ["lss", "a"]
    assert warned[0].filename == __file__


def test_unknown_key_with_a_dot_is_told_how_a_literal_one_is_written(store):
    run = store("dotted", {"train.loss": 1})
    with pytest.warns(RuntimeWarning, match=r"no run has a value of train\.loss: .* written train\\\.loss$"):
        runfmt.read_metrics(run, keys=["train.loss"])


def test_keys_as_one_text_and_unknown_writers_are_refused(store):
    run = store("keyed", {"a": 1})
    with pytest.raises(runfmt.UsageError, match=r"keys=\['a'\]"):
        runfmt.read_metrics(run, keys="a")
    with pytest.raises(runfmt.UsageError, match="'main' or 'all'"):
        runfmt.read_metrics(run, writers="rank1")


# Several writers, several runs


def test_writers_stay_apart_and_only_the_main_one_is_read_unasked(store):
    streams = {"metrics.rank1": [{"a": 10}, {"a": 20}, {"_rewind": 0}], "metrics.rank0x": [{"b": 1}]}
    run = store("ranks", {"a": 1}, {"a": 2}, streams=streams)
    assert list(runfmt.read_metrics(run)["a"]) == [1, 2]
    frame = runfmt.read_metrics(run, writers="all")
    assert frame.index.names == ["writer", None]
    assert list(frame.loc["main", "a"]) == [1, 2]
    assert list(frame.loc["rank1", "a"]) == [10]
    assert list(frame.loc["rank0x", "b"]) == [1]
    both = runfmt.read_metrics(run.parent, writers="all")
    assert both.index.names == ["run", "writer", None]
    assert both.loc[("ranks", "rank1", 0), "a"] == 10


def test_runs_of_different_keys_stand_below_each_other(store, tmp_path):
    store("one", {"a": 1, "big": 2**60 + 1}, {"a": 2, "big": 1})
    store("two", {"b": True, "a": 3})
    store("without-rows")
    frame = runfmt.read_metrics(tmp_path / "runs")
    assert frame.index.names == ["run", None]
    assert frame.index.tolist() == [("one", 0), ("one", 1), ("two", 0)]
    assert list(frame.columns) == ["_step", "_timestamp", "a", "b", "big"]
    assert frame.dtypes["a"] == "int64"
    assert by_row(frame) == [{"a": 1, "big": 2**60 + 1}, {"a": 2, "big": 1}, {"a": 3, "b": True}]


def test_folder_of_one_run_is_read_as_a_folder(store, tmp_path):
    run = store("one", {"a": 1})
    assert runfmt.read_metrics(run).index.names == [None]
    assert runfmt.read_metrics(tmp_path / "runs").index.names == ["run", None]
    assert runfmt.read_metrics([run]).index.names == ["run", None]
    assert list(runfmt.read_metrics((run / "metrics.jsonl").parent.as_uri())["a"]) == [1]


def test_runs_are_read_once_and_told_apart_by_path_where_ids_are_equal(store, tmp_path):
    first, second = store("one", {"a": 1}), store("one", {"a": 2}, parent="others")
    frame = runfmt.read_metrics([first, tmp_path / "runs", second, f"{second}/../one"])
    assert frame.index.get_level_values("run").tolist() == [str(first), str(second)]
    assert len(runfmt.read_runs([first, tmp_path / "runs"])) == 1


@pytest.mark.parametrize("read", [runfmt.read_metrics, runfmt.read_runs])
def test_broken_run_among_good_ones_is_named_and_left_out(store, tmp_path, read):
    store("good", {"a": 1})
    store("later", {"a": 2}, run={"runfmt": 2})
    store("strange", {"a": 3}, run={"requires": ["magic"]})
    with pytest.warns(RuntimeWarning) as warned:
        frame = read(tmp_path / "runs")
    assert len(frame) == 1
    texts = [str(warning.message) for warning in warned]
    assert "later was left out: format version 2" in texts[0]
    assert "strange was left out: the run requires magic" in texts[1]
    assert {warning.filename for warning in warned} == {__file__}
    shutil.rmtree(tmp_path / "runs" / "good")
    with pytest.warns(RuntimeWarning), pytest.raises(runfmt.RunNotFound, match="no run that can be read"):
        read(tmp_path / "runs")


@pytest.mark.parametrize("read", [runfmt.read_metrics, runfmt.read_runs])
def test_place_without_runs_says_what_to_do(tmp_path, read):
    with pytest.raises(runfmt.RunNotFound, match="there is no folder"):
        read(tmp_path / "missing")
    with pytest.raises(runfmt.RunNotFound, match="name a run or a folder of runs"):
        read(tmp_path)
    with pytest.raises(runfmt.UsageError, match="gopher://host/runs"):
        read("gopher://host/runs")


# The table of runs


def test_table_of_runs_has_a_row_a_run_with_the_edits_laid_over(store, tmp_path):
    about = {"tags": ["t"], "created_at": "2024-11-24T03:05:54.000001Z", "exit_code": 0, "project": "p"}
    edits = {
        "/config/lr": {"value": 9, "time": 1, "author": "ann"},
        "/name": {"value": "edited", "time": 1, "author": "ann"},
        "/summary/best": {"value": 0.5, "time": 1, "author": "ann"},
    }
    store("one", {"a": 1, "n": {"b": 2}}, run=about, config={"lr": 1, "net": {"depth": 3}}, edits=edits)
    store("two", {"a": math.nan}, config={"lr": 2, "a.b": "x"})
    table = runfmt.read_runs(tmp_path / "runs")
    assert list(table["id"]) == ["one", "two"]
    assert list(table["name"]) == ["edited", "n"]
    assert list(table["project"]) == ["p", ""]
    assert list(table["tags"]) == [["t"], []]
    assert table["created_at"][0] == pd.Timestamp("2024-11-24T03:05:54.000001Z")
    assert pd.isna(table["created_at"][1])
    assert list(table["path"]) == [str(tmp_path / "runs" / name) for name in ("one", "two")]
    of_config = [name for name in table if name.startswith("config.")]
    assert of_config == [r"config.a\.b", "config.lr", "config.net.depth"]
    assert table["config.lr"].tolist() == [9, 2]
    assert table["config.lr"].dtype == "int64"
    of_summary = [name for name in table if name.startswith("summary.")]
    assert table.loc[0, of_summary].to_dict() == {"summary.a": 1, "summary.best": 0.5, "summary.n.b": 2}
    assert pd.isna(table.loc[1, "summary.a"])


def test_summary_of_the_table_is_computed_and_not_believed(store):
    run = store("one", {"a": 1}, summary={"a": 99})
    assert runfmt.read_runs(run)["summary.a"].tolist() == [1]


def test_table_of_live_run_has_no_end(tmp_path):
    with runfmt.init(dir=tmp_path, id="live"):
        [row] = runfmt.read_runs(tmp_path).to_dict("records")
    assert row["state"] == "running"
    assert pd.isna(row["finished_at"])
    assert pd.isna(row["exit_code"])
    assert abs(row["created_at"].timestamp() - time.time()) < 3600


def test_table_is_as_json_says_where_documents_are_odd(store):
    run = store("odd", {"a": 1}, run={"tags": "no list", "created_at": 5, "name": None}, config={"x": None})
    [row] = runfmt.read_runs(run).to_dict("records")
    assert (row["tags"], row["name"]) == ([], "")
    assert pd.isna(row["created_at"])
    assert pd.isna(row["config.x"])
    assert json.loads((run / "run.json").read_text())["tags"] == "no list"


def test_config_that_nobody_can_read_is_warned_of(tmp_path):
    with runfmt.init(id="a", dir=tmp_path, config={"lr": 0.1}) as run:
        run.log({"loss": 1})
    (run.directory / "config.json").write_text('{"lr": ')
    with pytest.warns(RuntimeWarning, match=r"a: config\.json: .*runfmt recover"):
        runs = runfmt.read_runs(tmp_path)
    assert runs["summary.loss"].tolist() == [1]


# The table again


@pytest.fixture
def opened(monkeypatch):
    """The runs that were opened."""
    opened = []
    monkeypatch.setattr(frames, "StoredRun", lambda path: opened.append(Path(path).name) or StoredRun(path))
    return opened


def make_older(folder):
    """Make all files look as if they were written an hour ago."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 3600, time.time() - 3600))


def test_runs_that_have_ended_are_not_read_again(store, tmp_path, opened):
    for number in range(3):
        store(f"r{number}", {"a": number}, config={"x": [number]}, run={"tags": ["t"]})
    store("live", {"a": 1}, state="running")
    make_older(tmp_path / "runs")
    first = runfmt.read_runs(tmp_path / "runs")
    assert opened == ["live", "r0", "r1", "r2"]
    opened.clear()
    again = runfmt.read_runs(tmp_path / "runs")
    assert opened == ["live"]
    pd.testing.assert_frame_equal(first, again)


CHANGES = {
    "run.json": lambda run: write(
        run / "run.json", json.loads((run / "run.json").read_text()) | {"name": "m"}
    ),
    "config.json": lambda run: write(run / "config.json", {"lr": 2}),
    "edits.json": lambda run: write(
        run / "edits.json", {"/name": {"value": "m", "time": 1, "author": "ann"}}
    ),
    "metrics.jsonl": lambda run: append(run, '{"_step":1,"_timestamp":3,"a":7}\n'),
    "no config.json": lambda run: (run / "config.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_run_that_has_changed_is_read_again(store, tmp_path, opened, change):
    run = store("one", {"a": 1}, config={"lr": 1})
    make_older(run)
    before = runfmt.read_runs(tmp_path / "runs")
    opened.clear()
    CHANGES[change](run)
    after = runfmt.read_runs(tmp_path / "runs")
    assert opened == ["one"]
    assert repr(before.to_dict()) != repr(after.to_dict())


def test_run_that_has_just_changed_may_change_again_and_look_the_same(store, tmp_path, opened):
    store("one", {"a": 1})
    for _ in range(2):
        runfmt.read_runs(tmp_path / "runs")
    assert opened == ["one", "one"]


def test_what_is_changed_in_a_table_is_not_in_the_next(store, tmp_path):
    store("one", {"a": 1}, run={"tags": ["t"]}, config={"layers": [1, 2]})
    make_older(tmp_path / "runs")
    for _ in range(2):
        table = runfmt.read_runs(tmp_path / "runs")
        assert (table["tags"][0], table["config.layers"][0]) == (["t"], [1, 2])
        table["tags"][0].append("u")
        table["config.layers"][0].clear()
