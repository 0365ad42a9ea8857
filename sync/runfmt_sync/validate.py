"""Says everything in runs that is not as the specification demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runfmt.errors import FormatError, explain
from runfmt.history import Problem
from runfmt.layout import RUN
from runfmt.reading import StoredRun
from runfmt_sync.inventory import unmovable
from runfmt_sync.words import counted

__all__ = ["lines", "validate"]


def validate(folder: Path) -> list[Problem]:
    """The problems of a run, by path and offset; none if it is as it should be."""
    try:
        run = StoredRun(folder)
    except FormatError as error:
        return [Problem(RUN, -1, error.rule, error.message)]
    try:
        found = [*run.problems, *(problem for problem in unmovable(folder) if problem.rule == "R007")]
    except OSError as error:
        return [Problem("", -1, "R004", explain(error))]
    return sorted(found)


def lines(found: Mapping[str, Sequence[Problem]]) -> Iterator[str]:
    """What to say of runs, given the problems of each."""
    for folder, problems in found.items():
        yield from (f"{folder}: {problem}" for problem in problems)
    bad = sum(map(bool, found.values()))
    others = f", {bad} not" if bad else ""
    yield f"{counted(len(found) - bad, 'run')} as the specification demands{others}"
