"""Questions in SQL, and the Parquet files that others may ask."""

import json
import math
import threading
from itertools import pairwise

import duckdb
import numpy as np
import polars as pl
import pytest

import runfmt as client
from runfmt.errors import RunNotFound, UsageError
from runfmt_sync.dataset import GROUP, write_dataset
from runfmt_sync.query import query
from runfmt_sync.server.serve import Server
from runmaker import make_run, read, write


@pytest.fixture
def runs(tmp_path):
    """Two runs, with all that is hard about numbers."""
    folder = tmp_path / "runs"
    for name, rate in (("slow", 0.1), ("fast", 0.5)):
        with client.init(dir=folder, id=name, project="p", config={"lr": rate, "net": {"depth": 3}}) as run:
            for step in range(10):
                run.log({"loss": rate**step, "eval": {"acc": step / 10}, "ok": step > 5, "word": "text"})
            run.log({"odd": math.nan}, step=20)
            run.log({"odd": -math.inf, "loss": None}, step=21)
    return folder


def test_runs_are_asked_by_config_and_summary(runs):
    found = query(
        "select id, (config->>'lr')::double, config->>'$.net.depth', state from runs order by id", [runs]
    )
    assert found.columns[0] == "id"
    assert found.rows == [("fast", 0.5, "3", "finished"), ("slow", 0.1, "3", "finished")]
    best = query("select id from runs order by (summary->>'loss')::double limit 1", [runs]).rows
    assert best == [("slow",)]


def test_every_point_is_there_once_with_its_step_time_and_value(runs):
    found = query(
        "select step, value, time from metrics where run = 'fast' and key = 'loss' order by step", [runs]
    )
    frame = client.read_metrics(runs / "fast", keys=["loss"])
    assert [row[:2] for row in found.rows] == [(step, 0.5**step) for step in range(10)]
    assert [row[2] for row in found.rows] == list(frame["_timestamp"])
    odd = query(
        "select step, value from metrics where run = 'fast' and key = 'odd' order by step", [runs]
    ).rows
    assert math.isnan(odd[0][1])
    assert odd[1] == (21, -math.inf)
    keys = query("select distinct key from metrics order by key", [runs]).rows
    assert keys == [("eval.acc",), ("loss",), ("odd",), ("ok",)]


def test_run_that_goes_on_is_read_again_and_the_others_are_not(runs, monkeypatch):
    count = "select count(*) from metrics where key = 'loss'"
    assert query(count, [runs]).rows == [(20,)]
    with client.init(dir=runs, id="fast", resume="must") as run:
        run.log({"loss": 1.0}, step=30)
    written = []
    monkeypatch.setattr("runfmt_sync.query.write_points", _counting(written))
    assert query(count, [runs]).rows == [(21,)]
    assert sorted(written) == [("fast", True), ("slow", False)]


def _counting(written):
    from runfmt_sync.dataset import write_points

    def write(run, path):
        written.append((run.id, write_points(run, path)))

    return write


def test_rewound_rows_are_no_points(tmp_path):
    run = make_run(tmp_path, count=9)
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(
            b'{"_step":4,"_timestamp":1732417999,"_rewind":4}\n{"_step":5,"_timestamp":1732418000,"loss":9}\n'
        )
    assert query("select max(step), max(value) from metrics", [tmp_path]).rows == [(5, 9.0)]


def test_writers_are_told_apart(tmp_path):
    run = make_run(tmp_path, count=3)
    (run / "metrics.rank1.jsonl").write_bytes(b'{"_step":1,"_timestamp":1732417999,"loss":7}\n')
    found = query("select writer, count(*) from metrics group by writer order by writer", [tmp_path])
    assert found.rows == [("main", 4), ("rank1", 1)]


def test_broken_run_is_warned_of_and_left_out(runs):
    (runs / "slow" / "run.json").write_text('{"runfmt": 2}')
    with pytest.warns(RuntimeWarning, match="slow"):
        assert query("select id from runs", [runs]).rows == [("fast",)]
    with pytest.raises(RunNotFound):
        query("select 1", [runs / "fast" / "media"])


def test_damaged_run_has_its_points_too(runs):
    (runs / "slow" / "run.json").write_text("{garbage")
    found = query("select run, count(*) from metrics where key = 'loss' group by run order by run", [runs])
    assert found.rows == [("fast", 10), ("slow", 10)]


@pytest.mark.parametrize(
    ("code", "expected"), [(True, 1), (3, 3), ("x", None), (1.5, None), (2**70, None), ([], None), ({}, None)]
)
def test_exit_code_that_is_none_costs_no_run(runs, code, expected):
    document = read(runs / "slow" / "run.json")
    write(runs / "slow" / "run.json", {**document, "exit_code": code})
    found = query("select id, exit_code from runs order by id", [runs])
    assert found.rows == [("fast", 0), ("slow", expected)]


def test_file_that_was_cut_is_made_again(runs, state):
    count = "select count(*) from metrics where key = 'loss'"
    assert query(count, [runs]).rows == [(20,)]
    for path in (state / "parquet").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert query(count, [runs]).rows == [(20,)]


def test_question_that_is_none_is_a_mistake(runs):
    with pytest.raises(UsageError, match="ask something"):
        query("", [runs])
    with pytest.raises(UsageError, match="syntax error"):
        query("selec", [runs])


def test_runs_of_a_server_are_asked_in_the_same_words(runs):
    server = Server(runs, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        found = query(
            "select run, count(*) from metrics where key = 'loss' group by run order by run", [server.url]
        )
    finally:
        server.stop()
        thread.join(60)
    assert found.rows == [("fast", 10), ("slow", 10)]


def test_dataset_is_read_by_duckdb_and_polars_alone(runs, tmp_path):
    folder = tmp_path / "dataset"
    assert write_dataset([runs], folder) == (2, 2)
    assert write_dataset([runs], folder) == (2, 0)
    loss = f"""
        select id, sum(value) from read_parquet('{folder}/metrics/*.parquet')
        join read_parquet('{folder}/runs.parquet') using (uid) where key = 'loss' group by id order by id
    """
    assert duckdb.sql(loss).fetchall() == [
        ("fast", sum(0.5**n for n in range(10))),
        ("slow", sum(0.1**n for n in range(10))),
    ]
    table = pl.read_parquet(folder / "metrics" / "*.parquet")
    assert table.schema == {
        "uid": pl.String, "writer": pl.String, "key": pl.String,
        "step": pl.Int64, "time": pl.Float64, "value": pl.Float64,
    }  # fmt: skip
    assert pl.read_parquet(folder / "runs.parquet")["id"].to_list() == ["fast", "slow"]


def test_dataset_forgets_runs_that_are_gone_and_keeps_files_of_others(runs, tmp_path):
    folder = tmp_path / "dataset"
    write_dataset([runs], folder)
    (folder / "metrics" / "notes.parquet").write_bytes(b"mine")
    write_dataset([runs / "fast"], folder)
    assert len([*(folder / "metrics").iterdir()]) == 2
    assert (folder / "metrics" / "notes.parquet").read_bytes() == b"mine"


def test_points_of_a_metric_lie_together(tmp_path):
    """So that a reader of one metric skips the others."""
    from pyarrow import parquet

    run = make_run(tmp_path / "runs", count=0)
    values = ",".join(f'"m{k}":{k}' for k in range(40))
    rows = (f'{{"_step":{n},"_timestamp":1,{values}}}\n' for n in range(60_000))
    (run / "metrics.jsonl").write_text("".join(rows))
    write_dataset([tmp_path / "runs"], tmp_path / "dataset")
    [path] = (tmp_path / "dataset" / "metrics").iterdir()
    about = parquet.ParquetFile(path).metadata
    assert about.num_rows == 40 * 60_000
    assert about.num_row_groups == math.ceil(40 * 60_000 / (math.ceil(GROUP / 60_000) * 60_000))
    keys = [about.row_group(n).column(2).statistics for n in range(about.num_row_groups)]
    assert all(one.max < other.min for one, other in pairwise(keys))
    assert path.stat().st_size < 12 * about.num_rows
    assert np.isclose(
        query("select avg(value) from metrics where key = 'm7'", [tmp_path / "runs"]).rows[0][0], 7
    )


def test_commands_print_tables_json_and_what_was_written(runs, runfmt):
    sql = "select run, key, count(*) as n from metrics where key = 'odd' group by all order by all"
    done = runfmt("query", sql, runs)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "key", "n"],
        ["fast", "odd", "2"],
        ["slow", "odd", "2"],
    ]
    [row] = json.loads(
        runfmt("query", "select max(value) as top, 'a' as b from metrics", runs, "--json").stdout
    )
    assert row == {"top": None, "b": "a", "_nonfinite": {"/top": "NaN"}}
    sql = "select 100000000000000000000::hugeint as x, 1 as a, 2 as a"
    assert json.loads(runfmt("query", sql, runs, "--json").stdout) == [{"x": 10**20, "a": 1, "a (2)": 2}]
    assert runfmt("export", runs, "-o", "dataset/").stdout == "2 runs in dataset/, 2 of them written anew\n"
    assert "--runs and --keys" in runfmt("export", runs, "-o", "dataset/", "--runs", code=2).stderr
