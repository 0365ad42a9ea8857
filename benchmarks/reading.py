"""Measure reading runs into a table, beside polars reading the same files raw: five minutes, 4 GB of disk.

    python benchmarks/reading.py [--json]

``runfmt`` merges, rewinds, puts NaN back and says whose rows they are; polars gives the rows as they lie on
disk, the fastest way to read them there is. Each reading is in a fresh process, in turns, without the time
of imports; cold means that the system's cache was emptied before, where root may do that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lines import Line, main
from make_runs import make_run

SMALL = bool(os.environ.get("RUNFMT_BENCH_SMALL"))
SIZES = {
    "200,000 points of one run": (1, 10, 20_000, 7),
    "100 million points of 100 runs": (2, 100, 10_000, 1) if SMALL else (100, 100, 10_000, 2),
    "10,000 runs of 100 points": (100, 5, 20, 2) if SMALL else (10_000, 5, 20, 3),
}
"""How many runs, metrics and rows, and how often they are read."""

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
    "runfmt": ("import pandas, pyarrow, pyarrow.json, runfmt", "return runfmt.read_metrics(folder)"),
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


def runs(folder: Path) -> Iterator[Line]:
    """``read_runs`` of many runs."""
    first, second = [], []
    cold = ""
    for _ in range(3):
        cold = "" if is_cold() else "with a warm cache, as only root may empty it"
        seconds, _, again = reading(
            "import pandas, runfmt", "return runfmt.read_runs(folder)", folder, again=True
        )
        first.append(seconds)
        second.append(again)
    yield Line("`read_runs` of 10,000 runs, cold", "s", {"runfmt": first}, 2.0, cold)
    yield Line("the same again", "s", {"runfmt": second}, 0.3)


def measure() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, (count, width, rows, times)) in enumerate(SIZES.items()):
            folder = Path(scratch, str(number))
            for run in range(count):
                make_run(folder, run, width, rows)
            yield from metrics(name, folder / "run-00000" if count == 1 else folder, times)
        yield from runs(folder)


if __name__ == "__main__":
    main(measure, __doc__)
