"""Which runs a command is about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from runfmt.errors import FormatError, UsageError
from runfmt.reading import StoredRun, find_folders

__all__ = ["is_of_project", "select_runs"]


def select_runs(
    paths: Sequence[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    project: str | None = None,
    apart: Path | None = None,
) -> list[Path]:
    """The run folders at or below the paths, each once.

    ``include`` and ``exclude`` are patterns of a run's id or of its path below
    the given one; ``apart`` is a folder below which nothing is meant: the remote.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        resolved = path.resolve()
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}: name runs, or folders of runs")
        if apart is not None and apart.resolve() in (resolved, *resolved.parents):
            raise UsageError(f"{path} is in the remote {apart}: name the folder of your own runs")
        top = os.fspath(path)
        for text in find_folders(top):
            folder, below = Path(text), text[len(top) :].strip(os.sep)
            if (include or exclude) and not _is_chosen(folder, below, include, exclude):
                continue
            found.setdefault(os.path.join(resolved, below) if below else str(resolved), folder)
    remote = None if apart is None else f"{apart.resolve()}{os.sep}"
    kept = [folder for real, folder in found.items() if remote is None or not real.startswith(remote)]
    return [folder for folder in kept if project is None or is_of_project(folder, project)]


def _is_chosen(folder: Path, below: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    names = (folder.absolute().name, below or ".")
    return (not include or _matches(names, include)) and not _matches(names, exclude)


def _matches(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def is_of_project(folder: Path, project: str) -> bool:
    """Whether a run is of a project, its edits laid over; one that must be refused is of none."""
    try:
        return bool(StoredRun(folder).attributes["project"] == project)
    except FormatError:
        return False
