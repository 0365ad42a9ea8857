"""Runs as pandas DataFrames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runfmt.errors import FormatError, MissingLibrary, RunNotFound, UsageError, warn
from runfmt.reading import StoredRun, find_runs
from runfmt.rows import leaves

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_metrics", "read_runs"]


def read_metrics(
    path: str | os.PathLike[str], keys: Sequence[str] | None = None, writers: str = "main"
) -> pd.DataFrame:
    """The logical rows of one run, or of all runs below a folder with an index level ``run``.

    One column a metric, named by its path (R038), beside ``_step`` and ``_timestamp``
    (Unix seconds). NaN and infinities are numbers; a missing value is NaN.
    ``writers="all"`` adds an index level ``writer``. A broken run is left out with a
    warning; raises ``RunNotFound`` if there is none at all, ``UsageError`` for a URL.
    """
    if writers not in ("main", "all"):
        raise UsageError(f"writers={writers!r} is unknown: use 'main' or 'all'")
    root = _folder(path)
    named = {
        (run.id, writer): _frame([_flat(row, keys) for row in run.history(writer).rows])
        for run in _runs(root)
        for writer in (run.writers if writers == "all" else ["main"])
    }
    levels = [
        level for level in ("run", "writer") if (writers == "all" if level == "writer" else not _is_one(root))
    ]
    if not levels:
        return next(iter(named.values()))
    labels = [tuple(name[0 if level == "run" else 1] for level in levels) for name in named]
    keyed: Any = labels if len(levels) > 1 else [label for (label,) in labels]
    joined: pd.DataFrame = _pandas().concat(list(named.values()), keys=keyed, names=[*levels, None])
    return joined


def read_runs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """One row a run: identity, state, times, ``config.*`` and ``summary.*``, edits laid over.

    A broken run is left out with a warning; raises ``RunNotFound`` if there is none at all.
    """
    table: pd.DataFrame = _pandas().DataFrame.from_records([_run_row(run) for run in _runs(_folder(path))])
    return table


def _is_one(root: Path) -> bool:
    return next(find_runs(root), None) == root


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame: pd.DataFrame = _pandas().DataFrame.from_records(rows, columns=_columns(rows))
    return frame


def _runs(root: Path) -> Iterator[StoredRun]:
    found = False
    for path in find_runs(root):
        try:
            run = StoredRun(path)
        except (FormatError, OSError) as error:
            warn(f"{path} was left out: {error}", 3)
            continue
        found = True
        yield run
    if not found:
        raise RunNotFound(f"there is no readable run at or below {root}: name a run or a folder of runs")


def _flat(row: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    flat = dict(leaves(row))
    if keys is None:
        return flat
    return {key: value for key, value in flat.items() if key in ("_step", "_timestamp", *keys)}


def _columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(["_step", "_timestamp", *(key for row in rows for key in row)]))


def _run_row(run: StoredRun) -> dict[str, Any]:
    about = run.attributes
    names = (
        "project",
        "entity",
        "group",
        "job_type",
        "notes",
        "tags",
        "created_at",
        "finished_at",
        "exit_code",
    )
    return {
        "id": run.id,
        "name": about["name"],
        "state": run.state(),
        **{name: about.get(name) for name in names},
        **dict(leaves(run.config, "config.")),
        **dict(leaves(run.summary, "summary.")),
        "path": str(run.path),
    }


def _folder(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if "://" in text and not text.startswith("file://"):
        raise UsageError(f"{text} is no folder: runfmt can only read directories, sync the runs to one first")
    folder = Path(text.removeprefix("file://"))
    if not folder.exists():
        raise RunNotFound(f"there is no {folder}: name a run or a folder of runs")
    return folder


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise MissingLibrary("read_metrics() and read_runs()", "pandas") from None
    return pd
