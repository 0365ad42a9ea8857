"""Write runs to look at: so many runs, metrics and rows, with values like those of training.

    python benchmarks/make_runs.py FOLDER [--runs 100] [--metrics 100] [--rows 10000]

The streams are written at once, as the specification says, and not by the client: that takes seconds
where training would take days. ``runfmt validate FOLDER`` finds nothing wrong.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import orjson

from runfmt.layout import CONFIG, METRICS, RUN, new_uid

BEGIN = 1_732_417_554.0
PIECE = 1000
"""Rows that are held at a time."""
GROUPS = ("train", "eval", "optimizer", "layer")


def names_of(count: int) -> list[str]:
    """The keys of the metrics: ``train/m0``, ``eval/m1``, ..."""
    return [f"{GROUPS[number % len(GROUPS)]}/m{number}" for number in range(count)]


def make_run(folder: Path, number: int, metrics: int, rows: int) -> None:
    """Write one finished run."""
    random = np.random.default_rng(number)
    run = folder / f"run-{number:05}"
    run.mkdir(parents=True)
    config = {
        "lr": float(10 ** random.uniform(-5, -1)),
        "layers": int(random.integers(2, 12)),
        "seed": number,
    }
    document = {
        "runfmt": 1, "requires": [], "uid": new_uid(), "id": run.name, "project": "benchmark", "entity": "",
        "name": f"run {number}", "notes": "", "tags": [f"tag{number % 5}"], "group": f"group{number % 10}",
        "job_type": "", "created_at": "2024-11-24T03:05:54.000000Z", "state": "finished", "exit_code": 0,
        "finished_at": "2024-11-24T06:05:54.000000Z", "environment": {},
    }  # fmt: skip
    (run / CONFIG).write_text(json.dumps(config) + "\n")
    names = names_of(metrics)
    scale, noise = random.uniform(0.1, 3, metrics), random.uniform(0.01, 0.1, metrics)
    with open(run / METRICS, "wb") as stream:
        for first in range(0, rows, PIECE):
            steps = np.arange(first, min(first + PIECE, rows))
            decay = np.exp(-4 * np.outer(steps / rows, scale))
            values = decay + noise * random.standard_normal(decay.shape)
            stream.write(lines(steps.tolist(), names, values.tolist()))
    (run / RUN).write_text(json.dumps(document) + "\n")


def lines(steps: list[int], names: list[str], values: list[list[float]]) -> bytes:
    """Rows as they lie in a stream."""
    return b"".join(
        orjson.dumps(
            {"_step": step, "_timestamp": BEGIN + step, **dict(zip(names, row, strict=True))},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for step, row in zip(steps, values, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write runs to look at.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    for number in range(options.runs):
        make_run(options.folder, number, options.metrics, options.rows)


if __name__ == "__main__":
    main()
