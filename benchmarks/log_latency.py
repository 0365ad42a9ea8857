"""Measure what recording costs a training loop, beside the least that it could cost.

    python benchmarks/log_latency.py [--json]

The floor is ``orjson.dumps`` and one ``os.write`` a row. It is called in turn with
``log``, in the same process and folder, so that both meet the same machine: trust
the ratios, not the microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import orjson

import runfmt

CALLS = {10: 20_000, 1_000: 2_000}
"""Calls of ``log`` for each number of scalars."""
REPEATS = 15
"""Fresh processes for the import; runs for ``init`` and ``finish``."""
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
FIRST_RUN = IMPORT.replace("import {}", "import runfmt; runfmt.init(); runfmt.finish(quiet=True)")


def spread(nanoseconds: list[int]) -> dict[str, float]:
    """p50, p99 and max in microseconds."""
    ordered = sorted(nanoseconds)
    at = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100, "max": len(ordered) - 1}
    return {name: ordered[index] / 1000 for name, index in at.items()}


def timed(call: Callable[[dict[str, float]], object], data: dict[str, float]) -> int:
    """Nanoseconds of one call."""
    begun = time.perf_counter_ns()
    call(data)
    return time.perf_counter_ns() - begun


def log_beside_floor(scalars: int, calls: int) -> dict[str, dict[str, float]]:
    """Spread of ``log``, of the floor, and log over floor, in turns in one process."""
    run = runfmt.init(project="benchmark", reinit="create_new")
    descriptor = os.open(Path(run.dir, "floor.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def floor(row: dict[str, float]) -> None:
        os.write(descriptor, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    rows = [{f"metric_{i}": random.random() for i in range(scalars)} for _ in range(100)]
    full = [{"_step": number, "_timestamp": time.time(), **row} for number, row in enumerate(rows)]
    times: dict[str, list[int]] = {"floor": [], "log": []}
    for number in range(calls + 100):
        index = number % len(rows)
        took = {"floor": timed(floor, full[index]), "log": timed(run.log, rows[index])}
        if number >= 100:  # the first ones warm up
            for name, nanoseconds in took.items():
                times[name].append(nanoseconds)
    os.close(descriptor)
    run.finish(quiet=True)
    result = {name: spread(taken) for name, taken in times.items()}
    result["ratio"] = {name: result["log"][name] / result["floor"][name] for name in result["log"]}
    return result


def fresh(code: str) -> float:
    """Milliseconds that a piece of code measures in a fresh process; the median of several."""
    taken = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        taken.append(float(done.stdout.split()[-1]) * 1000)
    return statistics.median(taken)


def init_and_finish() -> float:
    """Milliseconds of ``init`` and ``finish`` in a process that has done it before; the median."""
    taken = []
    for number in range(REPEATS + 1):
        begun = time.perf_counter()
        runfmt.init(project="benchmark")
        runfmt.finish(quiet=True)
        if number:
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def measure() -> dict[str, object]:
    """All figures: microseconds for ``log``, milliseconds for the rest."""
    result: dict[str, object] = {
        f"log of {scalars:,} scalars": log_beside_floor(scalars, calls) for scalars, calls in CALLS.items()
    }
    result["import orjson"] = fresh(IMPORT.format("orjson"))
    result["import runfmt"] = fresh(IMPORT.format("runfmt"))
    result["first init + finish of a process"] = fresh(FIRST_RUN)
    result["init + finish"] = init_and_finish()
    with mock.patch("os.fsync"), mock.patch("os.fdatasync"):
        result["init + finish, without fsync"] = init_and_finish()
    return result


def show(result: dict[str, object]) -> None:
    """Print the figures for people."""
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name:<34}{'p50':>10}{'p99':>10}{'max':>10}")
            for row, times in value.items():
                print(f"    {row:<30}" + "".join(f"{time:>10.1f}" for time in times.values()))
        else:
            print(f"{name:<34}{value:>10.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure log(), import, init and finish.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(RUNFMT_DIR=folder, RUNFMT_CONSOLE="off")
        result = measure()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
