"""A stream opens in pandas, polars, DuckDB and jq as ``docs/reading.md`` says, with what was logged."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
COUNT = 36_000
TRAINER = """
import json
import runfmt

run = runfmt.init(project="p", id="first")
for line in open("logged.jsonl"):
    run.log(json.loads(line))
print("logged", flush=True)
input()
"""
STREAM = "runs/first/metrics.jsonl"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("RUNFMT_", "WANDB_"))} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}


def logged(step):
    """What makes guessing from the first rows go wrong, all of it after row 30,000."""
    row = {"loss": 1 / (step + 1), "count": step, "eval": {"acc": step / COUNT}, "text": "1.50"}
    if step >= 30_100:
        row |= {"late": step, "step_time": 40_000_000.5 + step}
        row["eval"]["f1"] = math.sqrt(step)
    if step >= 31_000:
        row["count"] += 0.5
    if step >= 32_000:
        row["found"] = {"at": {"last": step % 2 == 0}}
    return row | {33_000: {"loss": math.nan}, 33_001: {"loss": -math.inf}}.get(step, {})


ROWS = [logged(step) for step in range(COUNT)]


def expected(row, step):
    """The row as it lies in the stream: without values that are not finite."""
    if math.isfinite(row["loss"]):
        return {"_step": step, **row}
    word = "NaN" if row["loss"] != row["loss"] else "-Infinity"
    return {"_step": step, **{k: v for k, v in row.items() if k != "loss"}, "_nonfinite": {"/loss": word}}


def shell(command, folder):
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    return done.stdout


def train(folder):
    folder.mkdir()
    (folder / "logged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert trainer.stdout.readline() == b"logged\n"
    return trainer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with a finished stream, a torn one, what ``show --raw`` made of it, and recovered."""
    root = tmp_path_factory.mktemp("tools")
    with train(root / "finished") as trainer:
        trainer.communicate(b"\n")
    with train(root / "recovered") as trainer:
        live = root / "recovered" / STREAM
        with open(live, "ab") as stream:
            stream.write(b'{"_step":36000,"_timestamp":17')  # as a look in the middle of a write sees it
        for name in ("torn", "raw"):
            (root / name / STREAM).parent.mkdir(parents=True)
        (root / "torn" / STREAM).write_bytes(live.read_bytes())
        (root / "raw" / STREAM).write_bytes(shell("runfmt show --raw runs/first", root / "recovered"))
        trainer.send_signal(signal.SIGKILL)
    assert b"unfinished" in subprocess.run(
        ["runfmt", "validate", "runs/first"], cwd=root / "recovered", env=ENVIRONMENT, check=False, stdout=-1
    ).stdout  # fmt: skip
    shell("runfmt recover runs/first", root / "recovered")
    return root


WHOLE = ("finished", "recovered", "raw")


def documented(tool):
    """What the page's block for a tool calls ``table``."""
    [code] = re.findall(rf"^```python\nimport {tool}\n\n(.*?)^assert", PAGE, re.MULTILINE | re.DOTALL)
    names = {tool: sys.modules[tool]}
    exec(code, names)
    return names["table"]


def rows_of(table):
    """The rows of a table, nested as in the stream, nulls left out."""
    if isinstance(table, pd.DataFrame):
        rows = table.to_dict("records")
    elif isinstance(table, pl.DataFrame):
        rows = table.to_dicts()
    else:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    return [whole(row) for row in rows]


def whole(row):
    kept = {key: whole(value) if isinstance(value, dict) else value for key, value in row.items()}
    return {key: value for key, value in kept.items() if value is not None and value == value and value != {}}


def assert_as_logged(rows):
    times = [row.pop("_timestamp") for row in rows]
    assert times == sorted(times)
    assert rows == [expected(row, step) for step, row in enumerate(ROWS)]


TABLES = {
    "pandas": lambda: documented("pandas"),
    "polars": lambda: documented("polars"),
    "polars.scan": lambda: pl.scan_ndjson(STREAM, infer_schema_length=None).collect(),
    "duckdb": lambda: documented("duckdb"),
    "duckdb.read_json": lambda: duckdb.sql(
        f"from read_json('{STREAM}', format='newline_delimited', sample_size=-1, map_inference_threshold=-1)"
    ),
}


@pytest.mark.parametrize("tool", TABLES)
@pytest.mark.parametrize("stream", WHOLE)
def test_table_of_a_tool_has_the_values_that_were_logged(folders, monkeypatch, stream, tool):
    monkeypatch.chdir(folders / stream)
    table = TABLES[tool]()
    kinds = dict(zip(table.columns, map(str, table.dtypes), strict=True))
    assert {kinds[name].lower() for name in ("loss", "count", "step_time")} <= {"float64", "double"}
    assert kinds["_step"].lower() in ("int64", "bigint")
    assert_as_logged(rows_of(table))


@pytest.mark.parametrize("stream", WHOLE)
def test_jq_has_the_values_that_were_logged(folders, stream):
    lines = shell(f"jq -c . {STREAM}", folders / stream).splitlines()
    assert_as_logged([whole(json.loads(line)) for line in lines])


@pytest.mark.parametrize("stream", ["finished", "recovered"])
def test_documented_pipe_into_jq_gives_one_metric(folders, stream):
    command = re.search(r"^\$ (runfmt show --raw .*jq.*)$", PAGE, re.MULTILINE)[1]
    found = [json.loads(line) for line in shell(command, folders / stream).split()]
    assert found == [row["loss"] if math.isfinite(row["loss"]) else None for row in ROWS]


@pytest.mark.parametrize(
    ("tool", "refusal"),
    [
        ("pandas", ValueError), ("polars", pl.exceptions.ComputeError),
        ("polars.scan", pl.exceptions.ComputeError), ("duckdb", duckdb.Error),
        ("duckdb.read_json", duckdb.Error),
    ],
)  # fmt: skip
def test_torn_stream_needs_show_raw(folders, monkeypatch, tool, refusal):
    monkeypatch.chdir(folders / "torn")
    with pytest.raises(refusal):
        rows_of(TABLES[tool]())
    with pytest.raises(subprocess.CalledProcessError):
        shell(f"jq -c . {STREAM}", folders / "torn")


# Each option of the page is needed for what the page says


def write(folder, rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"_step": step, **row}) + "\n" for step, row in enumerate(rows)))
    return str(path)


@pytest.mark.parametrize("read", [pl.read_ndjson, lambda path: pl.scan_ndjson(path).collect()])
def test_polars_without_its_option_leaves_late_keys_out_and_fails_on_late_floats(tmp_path, read):
    late = write(tmp_path, [{}] * 31_000 + [{"late": 1}])
    assert "late" not in read(late).columns
    with pytest.raises(pl.exceptions.ComputeError, match="Int64"):
        read(write(tmp_path, [{"count": 1}] * 31_000 + [{"count": 0.5}]))


def test_duckdb_without_its_sample_size_fails_on_late_keys_and_rounds_late_floats(tmp_path):
    late = write(tmp_path, [{}] * 31_000 + [{"late": 1}])
    with pytest.raises(duckdb.InvalidInputException, match="late"):
        duckdb.sql(f"from read_ndjson_auto('{late}')").fetchall()
    floats = write(tmp_path, [{"count": 1}] * 31_000 + [{"count": 2.75}])
    for options, last in (("", 3), (", sample_size=-1", 2.75)):
        assert duckdb.sql(f"from read_ndjson_auto('{floats}'{options})").fetchall()[-1] == (31_000, last)


@pytest.mark.parametrize(
    "rows", [[{f"k{key}": key for key in range(200)}], [{f"k{step % 60}": step} for step in range(600)]]
)
def test_duckdb_without_its_map_threshold_makes_one_column_of_many_keys(tmp_path, rows):
    path = write(tmp_path, rows)
    read = f"from read_ndjson('{path}', sample_size=-1"
    assert duckdb.sql(f"{read})").columns == ["json"]
    table = duckdb.sql(f"{read}, map_inference_threshold=-1)")
    assert rows_of(table) == [{"_step": step, **row} for step, row in enumerate(rows)]


def test_pandas_without_its_options_converts_texts_and_loses_digits(tmp_path):
    rows = [{"x": 1 / n, "text": "1.50", "step_time": 40_000_000.5} for n in range(3, 300)]
    path = write(tmp_path, rows)
    table = pd.read_json(path, lines=True)
    assert list(table["x"]) != [row["x"] for row in rows]
    assert table["text"][0] == 1.5
    assert table["step_time"].dtype.kind == "M"
    table = pd.read_json(path, lines=True, dtype=False, precise_float=True)
    assert rows_of(table) == [{"_step": step, **row} for step, row in enumerate(rows)]
