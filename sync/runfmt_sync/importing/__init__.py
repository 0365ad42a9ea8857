"""Brings along runs that other tools wrote: finds them, makes runs of them, moves those where they belong.

A run of elsewhere is made into a directory, always the same one for the same run, and that is pushed
to the folder of runs as to any remote. So importing twice changes nothing, a run that went on there
goes on here, and one that was cut off is finished by the next call.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from runfmt.errors import CommError, Error, FormatError, UsageError, explain
from runfmt.reading import StoredRun, unix_time
from runfmt_sync.faults import fault_point
from runfmt_sync.importing import mlflow, tables, tensorboard, trackio, wandb
from runfmt_sync.importing.old import OldRun
from runfmt_sync.importing.writing import workshop, write_run
from runfmt_sync.push import Outcome, Progress, Push
from runfmt_sync.remotes.directory import DirectoryRemote

__all__ = ["import_runs"]

Finder = Callable[[Path, Iterable[str]], Iterable[OldRun] | None]
FINDERS: tuple[Finder, ...] = (
    wandb.find, mlflow.find, trackio.find, tables.find_lightning, tensorboard.find
)  # fmt: skip
"""Look at a folder and the names of its files, below which nobody else looks; None if it is another's."""
UNREADABLE = (
    FormatError, UsageError, OSError, ValueError, sqlite3.Error,
    ArithmeticError, AttributeError, LookupError, TypeError, RecursionError,
)  # fmt: skip
"""What comes of files that are damaged, or in which other things stand than the tool writes."""
TABLES = (".csv", ".jsonl", ".ndjson")


def import_runs(
    sources: Sequence[str], output: Path, *, project: str | None = None, progress: Progress | None = None
) -> tuple[list[Outcome], CommError | None]:
    """Import all runs that are found in folders, files and at MLflow servers.

    ``project`` is said of all of them. Gives what became of each, and why a server or the folder of
    runs gave up. Raises ``UsageError`` for a source in which nothing can be found.
    """
    outcomes: list[Outcome] = []
    shown = progress or Progress()
    with workshop(output) as place:
        remote = DirectoryRemote(str(output))
        push = Push(remote, progress=_Moving(shown))
        for source in sources:
            try:
                for folder, old in _each(source, place):
                    outcomes.append(_import(old, folder, project, place, remote, push))
                    shown.done(outcomes[-1])
                    if push.fault is not None:
                        return outcomes, push.fault
            except CommError as error:
                return outcomes, error
    return outcomes, None


class _Moving(Progress):
    """Tells of what moves; that a run is done is told when all is known of it."""

    def __init__(self, shown: Progress) -> None:
        self.planned, self.moved = shown.planned, shown.moved  # type: ignore[method-assign]


def _import(
    old: OldRun | Exception,
    folder: str,
    project: str | None,
    place: Path,
    remote: DirectoryRemote,
    push: Push,
) -> Outcome:
    """Make a run and push it; what is wrong with it is its own."""
    outcome = Outcome(Path(folder), "", status="failed")
    if isinstance(old, Exception):
        outcome.id, outcome.problems = Path(folder).name, [explain(old)]
        return outcome
    if project is not None:
        old.about["project"] = project
    try:
        if old.is_undated and (there := remote.store.seen(old.uid)):  # what it was said to be the first time
            old.started = unix_time(StoredRun(there).document.get("created_at"))
        made = write_run(old, place)
        fault_point("import.made")
        [outcome] = push.run([made])
        outcome.folder = remote.store.seen(old.uid) or place.parent / old.safe_id
        if any("has diverged:" in text or "the remote is ahead" in text for text in outcome.problems):
            outcome.problems = [f"other rows than in {folder}: remove the run here, and import again"]
        shutil.rmtree(made)
    except (Error, *UNREADABLE) as error:
        outcome.id, outcome.uid, outcome.problems = old.safe_id, old.uid, [f"{folder}: {explain(error)}"]
        shutil.rmtree(place / old.safe_id, ignore_errors=True)
    outcome.notes += [f"left out {loss}" for loss in dict.fromkeys(old.losses)]
    return outcome


def _each(source: str, place: Path) -> Iterator[tuple[str, OldRun | Exception]]:
    """Where a run is from, and the run, or why it cannot be read."""
    if source.startswith(("mlflow+http://", "mlflow+https://")):
        for old in mlflow.read_server(source, place / ".fetched"):
            yield f"{source}/{old.id}", old
        return
    path = Path(source)
    if path.is_dir():
        yield from _walk(path)
    elif path.is_file():
        yield from _in_file(path)
    else:
        raise UsageError(f"there is no {source}: name a folder or a file, or a server as mlflow+http://host")


def _walk(top: Path) -> Iterator[tuple[str, OldRun | Exception]]:
    told: set[Path] = set()
    closed: list[OSError] = []
    for folder, below, names in os.walk(top, onerror=closed.append):
        if Path(folder).absolute() in told:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for find in FINDERS:
            found = _found(find, Path(folder), names)
            if found is None:
                continue
            for old in found:
                told.update([] if isinstance(old, Exception) else old.folders)
                yield folder, old
            if find is not tensorboard.find:  # whose runs lie in each other
                below.clear()
            break
    yield from ((str(error.filename), error) for error in closed)


def _in_file(path: Path) -> Iterator[tuple[str, OldRun | Exception]]:
    """The runs of one file, whose name says of what kind it is."""
    if path.suffix.lower() in TABLES:
        yield str(path), tables.read_table(path)
        return
    kinds = (_found(find, path.parent, [path.name]) for find in FINDERS)
    found = next((runs for runs in kinds if runs is not None), None)
    if found is None:
        raise UsageError(f"{path} is of no kind that can be imported: see docs/import.md")
    yield from ((str(path), old) for old in found)


def _found(find: Finder, folder: Path, names: Iterable[str]) -> Iterable[OldRun | Exception] | None:
    try:
        found = find(folder, names)
    except UNREADABLE as error:
        return [error]
    return None if found is None else _one_by_one(found)


def _one_by_one(found: Iterable[OldRun]) -> Iterator[OldRun | Exception]:
    try:
        yield from found
    except UNREADABLE as error:
        yield error
