"""Measure what recording costs a training, beside the least that it could cost: four minutes.

    python benchmarks/recording.py [--json]

The floor is ``orjson.dumps`` and one ``os.write`` a row. Both are called in turns, some hundred calls
each, in one process and folder, so that they meet the same machine: trust the ratios.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from lines import Line, main, scratch

import runfmt

Row = dict[str, float]
CALLS = {10: 1000, 1000: 50}
"""Calls in a row, by how many scalars a row has."""
ROUNDS = 40
REPEATS = 15
"""Fresh processes for the import; runs for ``init`` and ``finish``."""
SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
MANY = 100_000 if SMALL else 10_000_000
"""Calls after which memory is looked at."""
SLOW = 0.02
"""Seconds that each write of a slow disk takes."""


def rows_of(scalars: int) -> list[Row]:
    return [{f"metric_{i}": random.random() for i in range(scalars)} for _ in range(100)]


def timed(call: Callable[[Row], object], rows: list[Row], calls: int) -> list[float]:
    """Microseconds of each call, in order of size."""
    taken = []
    for number in range(calls):
        row = rows[number % len(rows)]
        begun = time.perf_counter_ns()
        call(row)
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return sorted(taken)


def in_turns(calls: dict[str, Callable[[Row], object]], scalars: int) -> dict[str, list[list[float]]]:
    """The times of several functions, in rounds, in changing order."""
    rows, found = rows_of(scalars), {name: [] for name in calls}
    for round_ in range(ROUNDS + 1):
        for name in random.sample(list(calls), len(calls)):
            times = timed(calls[name], rows, CALLS[scalars])
            if round_:  # the first warms up
                found[name].append(times)
    return found


def at(times: dict[str, list[list[float]]], share: float) -> dict[str, list[float]]:
    """The percentile of each round."""
    return {name: [one[int(len(one) * share)] for one in rounds] for name, rounds in times.items()}


def floor(folder: Path) -> Callable[[Row], object]:
    descriptor = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return lambda row: os.write(descriptor, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def logging() -> Iterator[Line]:
    """``log`` beside the floor, and with statistics beside without."""
    for scalars, (middle, high) in ((10, (2.5, 3.0)), (1000, (3.0, None))):
        plain, defined = (runfmt.init(project="benchmark", reinit="create_new") for _ in range(2))
        defined.define_metric("*", summary="min,max,mean")
        calls = {"runfmt": plain.log, "floor": floor(plain.directory), "with": defined.log}
        times = in_turns(calls, scalars)
        with_statistics = times.pop("with")
        yield Line(f"`log` of {scalars:,} scalars, p50", "µs", at(times, 0.5), middle)
        if high:
            yield Line(f"`log` of {scalars:,} scalars, p99", "µs", at(times, 0.99), high)
        beside = {"runfmt": with_statistics, "without": times["runfmt"]}
        yield Line(
            f"the same with min, max, mean of all {scalars:,}, p50", "µs", at(beside, 0.5), 1.2,
            "counted later, from the disk, by columns",
        )  # fmt: skip
        plain.finish(quiet=True)
        defined.finish(quiet=True)


def pauses() -> Iterator[Line]:
    """The longest of many calls, with and without the fsync of each second."""
    found: dict[str, list[float]] = {"runfmt": [], "without fsync": []}
    for _ in range(3):
        for name, target in (("runfmt", "builtins.id"), ("without fsync", "os.fdatasync")):
            with mock.patch(target), runfmt.init(project="benchmark", reinit="create_new") as run:
                found[name].append(timed(run.log, rows_of(10), 50_000 if SMALL else 500_000)[-1] / 1000)
    yield Line("longest of 500,000 calls of `log`", "ms", found, note="about two seconds each")


STALLS = f"""
import os, sys, time, runfmt
write = os.write
def slow(descriptor, data):
    time.sleep({SLOW})
    return write(descriptor, data)
run = runfmt.init(project="benchmark", durability=sys.argv[1])
os.write = slow
begun = time.perf_counter()
for step in range(100):
    run.log({{"loss": 0.5, "accuracy": 0.5}})
print((time.perf_counter() - begun) * 1000)
"""


def slow_disk() -> Iterator[Line]:
    """A hundred rows on a disk whose writes take 20 ms each, which a pause before each write stands for."""
    samples = {
        name: [float(output(STALLS, durability)) for _ in range(3)]
        for name, durability in (("runfmt", "buffered"), ("unbuffered", "second"))
    }
    yield Line("100 calls of `log` on a disk of 20 ms a write, `buffered`", "ms", samples, 0.1)


def output(code: str, *arguments: str) -> str:
    """What a program prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.split()[-1]


def system_calls() -> Iterator[Line]:
    """Writes a row, as the system counts them for this thread; ``tests/client/test_effort.py`` holds it."""

    def writes() -> int:
        return int(Path("/proc/thread-self/io").read_text().split("syscw: ")[1].split()[0])

    with runfmt.init(project="benchmark") as run:
        before = writes()
        for row in rows_of(10):
            run.log(row)
        yield Line("system calls of `log`", "writes", {"runfmt": [(writes() - before) / 100]}, 1)


IMPORT = "import time; t = time.perf_counter(); import {}; print((time.perf_counter() - t) * 1000)"


def beginnings() -> Iterator[Line]:
    """Import, ``init`` and ``finish``, and many short runs; each with and without fsync."""
    found = {
        name: [float(output(IMPORT.format(name))) for _ in range(REPEATS + 1)][1:]
        for name in ("runfmt", "orjson")
    }
    yield Line("`import runfmt`", "ms", {"runfmt": found["runfmt"]}, 40, _of_orjson(found["orjson"]))
    for name, limit in (("`init` and `finish`", 5.0), ("200 runs of 20 rows", 1000.0)):
        measure = short_runs if limit > 5 else init_and_finish
        durable = measure()
        with mock.patch("os.fsync"), mock.patch("os.fdatasync"):
            quick = measure()
        yield Line(f"{name}, without fsync", "ms", {"runfmt": quick}, limit)
        yield Line(f"{name}, with fsync", "ms", {"runfmt": durable})


def _of_orjson(times: list[float]) -> str:
    return f"of this orjson alone {statistics.median(times):.0f} ms"


def init_and_finish() -> list[float]:
    taken = []
    for number in range(REPEATS * 3 + 1):
        begun = time.perf_counter()
        runfmt.init(project="benchmark").finish(quiet=True)
        if number:
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


def short_runs() -> list[float]:
    found, rows = [], rows_of(10)[:20]
    for _ in range(3):
        folder = tempfile.mkdtemp(dir=os.environ["RUNFMT_DIR"])
        begun = time.perf_counter()
        for _ in range(200):
            with runfmt.init(project="benchmark", dir=folder) as run:
                for row in rows:
                    run.log(row)
        found.append((time.perf_counter() - begun) * 1000)
    return found


GROWTH = """
import os, sys, runfmt
def figures():
    said = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(said["VmRSS"].split()[0]) / 1024, int(said["Threads"])
run = runfmt.init(project="benchmark")
row, calls = {f"metric_{i}": i / 7 for i in range(10)}, int(sys.argv[1])
for number in range(calls):
    if number == calls // 10:
        before, threads = figures()
    run.log(row)
after, threads = figures()
run.finish(quiet=True)
print(f"{after - before},{figures()[0] - before},{threads - 1}")
"""


def memory() -> Iterator[Line]:
    """What a run holds on to after millions of rows."""
    logged, finished, threads = map(float, output(GROWTH, str(MANY)).split(","))
    yield Line(
        f"memory that the last nine tenths of {MANY:,} calls of `log` take", "MiB", {"runfmt": [logged]}, 8,
        f"{finished:.1f} MiB after `finish`, which counts what is left to be counted",
    )  # fmt: skip
    yield Line("threads of a run", "more", {"runfmt": [threads]}, 1)


def measure() -> Iterator[Line]:
    with scratch() as folder:
        os.environ.update(RUNFMT_DIR=str(folder), RUNFMT_CONSOLE="off", RUNFMT_SILENT="1")
        parts: list[Callable[[], Iterator[Any]]] = [
            system_calls, logging, slow_disk, beginnings, memory, pauses,
        ]  # fmt: skip
        for part in parts:
            yield from part()


if __name__ == "__main__":
    main(measure, __doc__)
