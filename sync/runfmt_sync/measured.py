"""Runs with their indexes: the curves and values of them that are plotted and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from runfmt.errors import UsageError
from runfmt.fold import fold
from runfmt.frames import AnyPath, readable_runs
from runfmt.layout import MAIN, stream_name
from runfmt.reading import StoredRun
from runfmt_sync.curves import XY, against, over_runtime, over_step, over_time
from runfmt_sync.index import Object, RunIndex, logged
from runfmt_sync.site import RemoteRun
from runfmt_sync.state import index_folder

__all__ = ["AXES", "Measured", "curves_of", "measured", "opened", "titles"]

AXES = {"step": "_step", "time": "_timestamp", "runtime": "_runtime"}
"""What an axis is called by people."""


@dataclass
class Measured:
    """A run as it was when it was opened; ``title`` tells it from the others."""

    run: StoredRun
    index: RunIndex
    title: str = ""

    def curve(self, key: str, x: str, writer: str = MAIN) -> XY:
        """The values of a key over ``_step``, ``_timestamp``, ``_runtime`` or another key."""
        points = self.index.column(key, writer=writer)
        if x == "_timestamp":
            return over_time(points)
        if x == "_runtime":
            times = self.index.column("_timestamp", writer=writer).value
            return over_runtime(points, float(times[0]) if len(times) else 0.0)
        return over_step(points) if x == "_step" else against(points, self.index.column(x, writer=writer))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary, for which the rows are not held."""
        if isinstance(self.run, RemoteRun) or MAIN not in self.run.writers:
            return self.run.summary
        with open(self.run.path / self.run.writers[MAIN], "rb") as stream:
            return self.run.edited(fold(stream).summary())

    def value(self, where: Object, writer: str = MAIN) -> Any:
        """A value with a ``_type`` as it was logged. Raises ``OSError``."""
        return logged(self.run.path / stream_name("metrics", writer), where)[0]

    def file(self, path: object) -> Path | None:
        """The file that a value names; None if it is none of this run's, or not there (R070)."""
        if not isinstance(path, str) or path not in self._files:
            return None
        fetched = self.run.fetch([path]) if isinstance(self.run, RemoteRun) else self.run.path
        return fetched / path

    @cached_property
    def _files(self) -> set[str]:
        return set(self.run.files)


def measured(paths: Iterable[AnyPath]) -> list[Measured]:
    """The runs of paths and URLs; those that cannot be read are warned of. Raises ``RunNotFound``."""
    found = [Measured(run, opened(run)) for run in readable_runs(list(paths))]
    for one, title in zip(found, titles([one.run for one in found]), strict=True):
        one.title = title
    return found


def opened(run: StoredRun) -> RunIndex:
    """The index of a run as it is now."""
    index = RunIndex(run.path, index_folder())
    index.refresh()
    return index


def titles(runs: Sequence[StoredRun]) -> list[str]:
    """The names of runs, with the id where there are several of a name."""
    names = [run.attributes["name"] or run.id for run in runs]
    taken = Counter(names)
    return [name if taken[name] == 1 else f"{name} ({run.id})" for name, run in zip(names, runs, strict=True)]


def curves_of(paths: Iterable[AnyPath], key: str, x: str) -> list[tuple[str, XY]]:
    """The curve of a key in each run, with the run's title. Raises ``UsageError`` if there is no point."""
    runs = measured(paths)
    curves = [(one.title, one.curve(key, x)) for one in runs]
    if not any(len(places) for _, (places, _) in curves):
        for name in (key, x):
            if not name.startswith("_") and not any(name in one.index.numbers() for one in runs):
                raise _unknown(name, runs)
        raise UsageError(f"no run has {key} and {x} at the same step: plot it over step")
    return curves


def _unknown(key: str, runs: Iterable[Measured]) -> UsageError:
    """What to say where no run has a key."""
    known = sorted({name for one in runs for name in one.index.numbers() if not name.startswith("_")})
    near = get_close_matches(key, known, 5, 0.4) or known[:10]
    more = ", ..." if len(known) > len(near) else ""
    return UsageError(f"no run has a number {key}; there is: {', '.join(near) or 'none'}{more}")
