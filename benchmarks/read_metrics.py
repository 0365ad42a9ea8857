"""Measure reading one stream whole, beside what other tools take for its bytes.

    python benchmarks/read_metrics.py [--json]

``runfmt`` merges, rewinds and puts NaN back; the others give the rows as they lie
on disk. All are called in turns in one process, best of several: trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl

import runfmt

ROWS = 100_000
REPEATS = 5


def stdlib(path: str) -> Any:
    with open(path, "rb") as stream:
        return [json.loads(line) for line in stream]


READERS: dict[str, Callable[[str], Any]] = {
    "runfmt.read_metrics": lambda path: runfmt.read_metrics(Path(path).parent),
    "polars, full inference": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    "DuckDB, full inference": lambda path: duckdb.sql(
        f"from read_ndjson('{path}', sample_size=-1, map_inference_threshold=-1)"
    ).df(),
    "pandas, pyarrow": lambda path: pd.read_json(path, lines=True, engine="pyarrow"),
    "pandas, exact": lambda path: pd.read_json(path, lines=True, dtype=False, precise_float=True),
    "json, line by line": stdlib,
}
"""What reads a stream, by its name."""


def usual(run: runfmt.Run, step: int) -> None:
    run.log({"loss": random.random(), "accuracy": random.random(), "epoch": step // 1000})


def diverging(run: runfmt.Run, step: int) -> None:
    """The loss is NaN in every hundredth row, and in all of the last tenth."""
    is_odd = step % 100 == 99 or step > ROWS * 9 // 10
    run.log({"loss": math.nan if is_odd else random.random(), "accuracy": 0.5, "epoch": step // 1000})


def described(run: runfmt.Run, step: int) -> None:
    """Metrics are defined, and the best value is set by hand now and then."""
    if step == 0:
        run.define_metric("loss", summary="min")
    if step % 1000 == 0:
        run.summary["best"] = random.random()
    usual(run, step)


def nested(run: runfmt.Run, step: int) -> None:
    run.log({"train": {"loss": random.random()}, "eval": {"accuracy": random.random(), "f1": 0.5}})


STREAMS = {"usual": usual, "nested": nested, "defined": described, "NaN": diverging, "rewound": usual}


def write(name: str) -> str:
    """Log a run of a kind; gives the path of its stream."""
    with runfmt.init(project="benchmark", id=name.lower()) as run:
        for step in range(ROWS if name != "rewound" else ROWS // 2):
            STREAMS[name](run, step)
        path = run.directory / "metrics.jsonl"
    if name == "rewound":
        with runfmt.init(project="benchmark", resume_from=f"{name}?_step={ROWS * 4 // 10}") as run:
            for step in range(ROWS // 2):
                usual(run, step)
    return str(path)


def measure(path: str) -> dict[str, float]:
    """Milliseconds of each reader, the best of several."""
    taken: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(REPEATS):
        for name, read in READERS.items():
            begun = time.perf_counter()
            read(path)
            taken[name].append((time.perf_counter() - begun) * 1000)
    return {name: min(times) for name, times in taken.items()}


def show(name: str, size: int, times: dict[str, float]) -> None:
    """Print the figures for people."""
    print(f"{name}: {ROWS:,} rows, {size / 1e6:.1f} MB{'ms':>20}{'ratio':>10}")
    for reader, milliseconds in sorted(times.items(), key=lambda item: item[1]):
        print(f"    {reader:<34}{milliseconds:>10.0f}{milliseconds / min(times.values()):>10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reading a stream whole.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(RUNFMT_DIR=folder, RUNFMT_CONSOLE="off", RUNFMT_SILENT="1")
        for name in STREAMS:
            path = write(name)
            result[name] = measure(path)
            if not options.json:
                show(name, os.path.getsize(path), result[name])
    if options.json:
        json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
