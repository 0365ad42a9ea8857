"""A line of the table of results: samples of runfmt and of what stands beside it, and the goal.

Every script here gives lines: ``main(measure)`` prints them for people, or with ``--json`` for
``python benchmarks``, which writes the table.

What is measured lies in a :func:`scratch`: for minutes after many files were removed ext4 makes new ones
up to ten times slower, so they stay until everything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["SCRATCH", "Line", "main", "scratch"]

SCRATCH = "RUNFMT_BENCH_SCRATCH"
"""The folder of several scripts that are called one after the other, who removes it behind the last."""


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for many files, which are removed at the end of all that is measured."""
    if shared := os.environ.get(SCRATCH):
        yield Path(tempfile.mkdtemp(dir=shared))
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


@dataclass(frozen=True)
class Line:
    """One thing that was measured.

    ``samples`` are of runfmt first, then of what it is compared with, measured in turns in one run.
    ``at_most`` is the goal: of the ratio to the first other, or of runfmt's value where there is no other;
    None where a figure is only told. ``note`` says what the reader must know, or why a goal is not met.
    """

    what: str
    unit: str
    samples: dict[str, list[float]]
    at_most: float | None = None
    note: str = ""
    medians: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.medians.update({name: statistics.median(values) for name, values in self.samples.items()})

    @property
    def ratio(self) -> float | None:
        """Of the medians of runfmt and of the first other."""
        ours, *others = self.medians.values()
        return ours / others[0] if others else None

    @property
    def goal(self) -> str:
        """The goal in words."""
        if self.at_most is None:
            return "told"
        _, *others = self.samples
        return f"≤ {self.at_most:g} × {others[0]}" if others else f"≤ {self.at_most:g} {self.unit}"

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.at_most is None:
            return None
        reached = self.ratio if self.ratio is not None else next(iter(self.medians.values()))
        return reached <= self.at_most

    def cells(self) -> list[str]:
        """The line for people: what, goal, runfmt, the others, ratio, whether it is met, note."""
        ours, *others = (f"{name} {self._spread(values)}" for name, values in self.samples.items())
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {None: "", True: "yes", False: "**no**"}[self.is_met]
        return [self.what, self.goal, ours.partition(" ")[2], "; ".join(others), ratio, met, self.note]

    def _spread(self, values: list[float]) -> str:
        middle = _number(statistics.median(values))
        around = f" ({_number(min(values))}-{_number(max(values))})" if len(values) > 1 else ""
        return f"{middle} {self.unit}{around}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main(measure: Callable[[], Iterator[Line]], about: str) -> None:
    """Measure, and print each line as soon as it is known.

    Modules are compiled once, as pip does when it installs them.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON, a line each")
    is_json = parser.parse_args().json
    for line in measure():
        print(json.dumps(asdict(line)) if is_json else " | ".join(line.cells()), flush=True)
        if line.is_met is False:
            print(f"goal missed: {line.what}: {line.goal}", file=sys.stderr)
