"""Measure reading runs into a table, beside polars reading the same files raw: three minutes, 4 GB of disk.

    python benchmarks/reading.py [--json]

``runfmt`` merges, rewinds, puts NaN back and says whose rows they are; polars gives the rows as they lie on
disk, the fastest way to read them there is. Each reading is in a fresh process, in turns, without the time
of imports; cold means that the system's cache was emptied before, where root may do that.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lines import Line, main, scratch
from make_runs import make_run

import runfmt

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
SIZES = {
    "200,000 points of one run": (1, 10, 20_000, 7),
    "100 million points of 100 runs": (2, 100, 10_000, 1) if SMALL else (100, 100, 10_000, 2),
    "10,000 runs of 100 points": (100, 5, 20, 2) if SMALL else (10_000, 5, 20, 3),
}
"""How many runs, metrics and rows, and how often they are read."""

ROWS = 2_000 if SMALL else 100_000


def diverging(run: runfmt.Run, step: int) -> None:
    """The loss is NaN in every hundredth row, and in all of the last tenth."""
    is_odd = step % 100 == 99 or step > ROWS * 9 // 10
    run.log({"loss": math.nan if is_odd else random.random(), "accuracy": 0.5, "epoch": step // 1000})


def described(run: runfmt.Run, step: int) -> None:
    """Metrics are defined, the best value is set by hand now and then, a metric is evaluated now and then."""
    if step == 0:
        run.define_metric("loss", summary="min")
    if step % 1000 == 0:
        run.summary["best"] = random.random()
    run.log({"loss": random.random(), "epoch": step // 1000} | ({"eval": 0.5} if step % 500 == 499 else {}))


def nested(run: runfmt.Run, step: int) -> None:
    run.log({"train": {"loss": random.random()}, "eval": {"accuracy": random.random(), "f1": 0.5}})


def with_none(run: runfmt.Run, step: int) -> None:
    """What was not evaluated is logged as None."""
    run.log({"loss": random.random(), "accuracy": 0.5 if step % 10 == 0 else None})


KINDS = {"with NaN": diverging, "with definitions": described, "nested": nested, "with None": with_none}
"""What else is in streams, by its name."""

MEASURE = """
import resource, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
{imports}
def read():
    {read}
before, begun = peak(), time.perf_counter()
made = read()
print(time.perf_counter() - begun, peak() - before)
begun = time.perf_counter()
made = {again}
print(time.perf_counter() - begun)
"""
READERS = {
    "runfmt": ("import pandas, polars, runfmt.frames", "return runfmt.read_metrics(folder)"),
    "polars": (
        "import polars as pl",
        "return pl.concat([pl.read_ndjson(path) for path in sorted(folder.rglob('metrics.jsonl'))], "
        "how='diagonal_relaxed')",
    ),
}


def reading(imports: str, read: str, folder: Path, *, again: bool = False) -> list[float]:
    """Seconds, MiB that memory grew to meanwhile, and seconds of a second call."""
    code = MEASURE.format(imports=imports, read=read, again="read()" if again else "None")
    done = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True)
    return list(map(float, done.stdout.split()))


def is_cold() -> bool:
    """Empty the cache of the file system, if this user may."""
    try:
        subprocess.run("sync; echo 3 > /proc/sys/vm/drop_caches", shell=True, check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return False
    return True


def metrics(name: str, folder: Path, count: int) -> Iterator[Line]:
    """``read_metrics`` of what lies in a folder."""
    found: dict[str, list[list[float]]] = {reader: [] for reader in READERS}
    cold = ""
    for _ in range(count):
        for reader, words in READERS.items():
            cold = "" if is_cold() else "with a warm cache, as only root may empty it"
            found[reader].append(reading(*words, folder))
    seconds, memory = ({reader: [one[at] for one in found[reader]] for reader in found} for at in (0, 1))
    yield Line(f"`read_metrics` of {name}, cold", "s", seconds, 1.5, cold)
    yield Line("memory of it", "MiB", memory)


def kinds(folder: Path) -> Iterator[Line]:
    """``read_metrics`` of streams that hold more than numbers in rows alike, from the system's cache."""
    for name, log in KINDS.items():
        with runfmt.init(dir=folder, id=name.replace(" ", "-"), console="off", silent=True) as run:
            for step in range(ROWS):
                log(run, step)
        seconds: dict[str, list[float]] = {reader: [] for reader in READERS}
        for _ in range(5):
            for reader, words in READERS.items():
                seconds[reader].append(reading(*words, run.directory)[0])
        yield Line(f"`read_metrics` of {ROWS:,} rows {name}", "s", seconds)


def cat(folder: Path) -> float:
    """Seconds in which the system gives the bytes of all files below a folder."""
    begun = time.perf_counter()
    command = "find . -type f -print0 | xargs -0 cat > /dev/null"
    subprocess.run(command, shell=True, check=True, cwd=folder)
    return time.perf_counter() - begun


def runs(folder: Path) -> Iterator[Line]:
    """``read_runs`` of many runs, and what the disk alone takes for their files."""
    first, second, least = [], [], []
    cold = ""
    for _ in range(3):
        is_cold()
        least.append(cat(folder))
        cold = "" if is_cold() else ", with a warm cache, as only root may empty it"
        seconds, _, again = reading(
            "import pandas, runfmt.frames", "return runfmt.read_runs(folder)", folder, again=True
        )
        first.append(seconds)
        second.append(again)
    note = f"`cat` of the same files, in turns: {statistics.median(least):.1f} s{cold}"
    yield Line("`read_runs` of 10,000 runs, cold", "s", {"runfmt": first}, 2.0, note)
    yield Line("the same again", "s", {"runfmt": second}, 0.3)


def measure() -> Iterator[Line]:
    with scratch() as place:
        for number, (name, (count, width, rows, times)) in enumerate(SIZES.items()):
            folder = place / str(number)
            for run in range(count):
                make_run(folder, run, width, rows)
            yield from metrics(name, folder / "run-00000" if count == 1 else folder, times)
        yield from runs(folder)
        yield from kinds(place / "kinds")


if __name__ == "__main__":
    main(measure, __doc__)
