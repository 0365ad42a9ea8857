"""Runs as pandas DataFrames."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote

from runfmt.columns import as_array, ordered
from runfmt.elsewhere import Place, is_url, open_place
from runfmt.errors import FormatError, MissingLibrary, RunNotFound, UsageError, warn
from runfmt.history import Problem
from runfmt.layout import CONFIG, EDITS, METRICS, RUN
from runfmt.reading import StoredRun, find_folders, find_runs
from runfmt.rows import escape, leaves
from runfmt.stacked import Stream, read_tables, stack

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ABOUT", "AnyPath", "local_folder", "read_metrics", "read_runs", "readable_runs", "warn_of_losses"]

AnyPath = str | os.PathLike[str]
Anywhere = AnyPath | Place | Iterable[AnyPath]
T = TypeVar("T")
_Look = tuple[tuple[int, int, int, int], ...]

LOSSES = ("R023", "R027", "R030", "R052")
"""The rules whose problems mean that rows are missing."""
JUST_NOW = 2e9
"""Nanoseconds in which a file that has changed may change again and look the same."""
ABOUT = "id name project entity state tags group job_type notes created_at finished_at exit_code path".split()


def read_metrics(
    path: AnyPath | Iterable[AnyPath], keys: Sequence[str] | None = None, writers: str = "main"
) -> pd.DataFrame:
    """The logical rows of one run, or of all runs below a folder or of several paths.

    Columns are ``_step``, ``_timestamp`` (Unix seconds) and one a metric, sorted, named by its
    path (R038). With ``keys`` there are these metrics only, in this order, and of the rows those
    that have a value for one of them. Of several runs the index has a level ``run``, the id;
    ``writers="all"`` reads the other writers too and adds a level ``writer`` (R062).

    Integers stay integers where none is missing and are floats otherwise, unless a float would
    not hold them; NaN and infinities are what was logged, and a missing value is NaN too.

    Live, crashed, torn and damaged runs are read as far as they are. A run that cannot be read
    is left out, and one that lacks rows is read, with a warning that names it. Raises
    ``RunNotFound`` if there is no run at all. A URL is that of a server, of a project
    or of a run on it: ``https://host/project/id``.
    """
    if writers not in ("main", "all"):
        raise UsageError(f"writers={writers!r} is unknown: use 'main' or 'all'")
    if isinstance(keys, str):
        raise UsageError(f"keys={keys!r} is one text: give a list, keys=[{keys!r}]")

    _pandas()  # that it is missing is said before anything is read

    def streams_of(run: StoredRun) -> list[Stream]:
        wanted = (writers == "all" and run.writers) or ["main"]
        return [Stream(run, writer, *_bytes_of(run, writer)) for writer in wanted]

    place = _opened(path)
    one = _is_run(place)
    streams = (stream for _, of_run in _each(place, streams_of) for stream in of_run)
    tables = []
    for table, problems in read_tables(streams, keys):
        warn_of_losses(table.run.where, problems)
        tables.append(table)
    levels = {} if one else {"run": _labels([table.run for table in tables])}
    if writers == "all":
        levels["writer"] = [table.writer for table in tables]
    frame = stack([table.columns for table in tables], levels)
    return _ordered(frame, keys)


def read_runs(path: AnyPath | Iterable[AnyPath]) -> pd.DataFrame:
    """One row a run: identity, state, times (UTC), ``config.*`` and ``summary.*``, edits laid over.

    A run that cannot be read is left out with a warning that names it. Raises ``RunNotFound``
    if there is no run at all. A URL is that of a server, or of a project on it.
    """
    rows = []
    for row, faults in map(_row_of, _listed(path)):
        for fault in faults:
            warn(fault)
        if row is not None:
            rows.append(row)
    if not rows:
        raise _nothing_in(path)
    names = [*ABOUT, *sorted({name for row in rows for name in row} - {*ABOUT})]
    pd = _pandas()
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name, column in columns.items():
        if not {list, dict}.isdisjoint(map(type, column)):
            columns[name] = _copied(column)  # the next table is not to have what is changed in this one
    table = pd.DataFrame({name: as_array(column) for name, column in columns.items()})
    for name in ("created_at", "finished_at"):
        texts = [text if isinstance(text, str) else None for text in table[name]]
        table[name] = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
    return table  # type: ignore[no-any-return]


def _copied(value: Any) -> Any:
    """A JSON value of its own; `copy.deepcopy` takes four times as long."""
    if isinstance(value, list):
        return [*map(_copied, value)]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value


def local_folder(path: AnyPath) -> Path:
    """The folder that a path or ``file://`` URL names; ``UsageError`` for another URL, ``RunNotFound``."""
    text = os.fspath(path)
    scheme, has_scheme, rest = text.partition("://")
    if has_scheme and scheme != "file":
        raise UsageError(f"{text} is no folder: bring the runs here with `runfmt sync`, and read them here")
    folder = Path(unquote(rest)) if has_scheme else Path(text)
    if not folder.is_dir():
        raise RunNotFound(f"there is no folder {folder}: name a run, or a folder of runs")
    return folder


def _opened(path: Anywhere) -> Anywhere:
    """A URL as the place that it names."""
    return open_place(path) if isinstance(path, str) and is_url(path) else path


class _Found(NamedTuple):
    """A run that was found: what tells it from others, where it is for people, and how it is opened."""

    key: object
    where: str
    open: Callable[[], StoredRun]
    is_here: bool


def _found(path: Anywhere) -> Iterator[_Found]:
    path = _opened(path)
    if isinstance(path, (str, os.PathLike)):
        root = local_folder(path)
        real, length = os.path.realpath(root), len(str(root))
        for where in find_folders(str(root)):  # through no link below the root
            yield _Found(real + where[length:], where, partial(StoredRun, where), is_here=True)
    elif isinstance(path, Iterable):
        for each in path:
            yield from _found(each)
    else:
        for run in path.runs():
            yield _Found(run.where, run.where, partial(_same, run), is_here=False)


def _same(run: StoredRun) -> StoredRun:
    return run


def _listed(path: Anywhere) -> list[_Found]:
    """All runs, each once."""
    runs: dict[object, _Found] = {}
    for one in _found(path):
        runs.setdefault(one.key, one)
    return [*runs.values()]


def _nothing_in(path: Anywhere) -> RunNotFound:
    there = getattr(path, "root", path)
    return RunNotFound(
        f"there is no run that can be read at or below {there}: name a run or a folder of runs"
    )


def _is_run(path: Anywhere) -> bool:
    """Whether this is one run, and not a folder or a list of runs."""
    if isinstance(path, (str, os.PathLike)):
        folder = local_folder(path)
        return next(find_runs(folder), None) == folder
    return not isinstance(path, Iterable) and path.is_one


def _each(path: Anywhere, read: Callable[[StoredRun], T]) -> Iterator[tuple[StoredRun, T]]:
    """What a function makes of each run, once. Raises ``RunNotFound`` at the end if there is none."""
    is_empty = True
    for one in _listed(path):
        try:
            run = one.open()
            made = read(run)
        except (FormatError, OSError) as error:
            warn(_left_out(one, error))
            continue
        if run.is_damaged:
            warn(_damaged(one))
        is_empty = False
        yield run, made
    if is_empty:
        raise _nothing_in(path)


def _left_out(one: _Found, error: Exception) -> str:
    return f"{one.where} was left out: {error}"


def _damaged(one: _Found) -> str:
    advice = f"`runfmt recover {one.where}` makes it whole"
    return f"{one.where} is damaged and was read as far as it is there: {advice}"


def readable_runs(path: AnyPath | Iterable[AnyPath]) -> list[StoredRun]:
    """The runs at or below the paths; the others are warned of, ``RunNotFound`` if there is none."""
    return [run for run, _ in _each(path, lambda run: None)]


def warn_of_losses(path: AnyPath, problems: Sequence[Problem]) -> None:
    """Say that a run lacks rows, if one of its problems means that."""
    losses = [problem for problem in problems if problem.rule in LOSSES]
    if losses:
        more = f" (and {len(losses) - 1:,} more)" if len(losses) > 1 else ""
        warn(f"{path} lacks rows: {losses[0]}{more}: `runfmt validate {path}` says more")


def _bytes_of(run: StoredRun, writer: str) -> tuple[str, bytes]:
    name = run.writers.get(writer, "")
    return name, (run.path / name).read_bytes() if name else b""


def _labels(runs: Sequence[StoredRun]) -> list[str]:
    """What tells each run from the others: its id, or its path if several have the id."""
    taken = Counter(run.id for run in {id(run): run for run in runs}.values())
    return [run.id if taken[run.id] == 1 else run.where for run in runs]


def _ordered(frame: pd.DataFrame, keys: Sequence[str] | None) -> pd.DataFrame:
    if unknown := [key for key in keys or () if key not in frame.columns]:
        dotted = next((key for key in unknown if "." in key and "\\" not in key), None)
        hint = f"; a dot within a name is written {escape(dotted)}" if dotted else ""
        said = f"no run has a value of {', '.join(unknown)}: look at the columns without keys={hint}"
        warn(said, stacklevel=3)
    names = ordered(frame.columns if keys is None else keys, given=keys is not None)
    return frame if list(frame.columns) == names else frame.reindex(columns=names)


_rows: dict[object, tuple[_Look, dict[str, Any]]] = {}
"""The rows of runs that have ended, and how their files looked: the next table of them is made at once."""


def _row_of(one: _Found) -> tuple[dict[str, Any] | None, list[str]]:
    """The row of a run, None if there can be none, and what is to be warned of."""
    look = _look(one) if one.is_here else ()
    known = _rows.get((one.key, one.where))
    if known is not None and look == known[0]:
        return known[1], []
    try:
        run = one.open()
        row = _run_row(run)
    except (FormatError, OSError) as error:
        return None, [_left_out(one, error)]
    faults = [
        f"{one.where}: {each}; `runfmt recover` mends it or says what is lost" for each in run.unreadable
    ]
    if run.is_damaged:
        faults.append(_damaged(one))
    elif look and not faults and run.document["state"] != "running":
        _rows[one.key, one.where] = look, row
    return row, faults


def _look(one: _Found) -> _Look:
    """What changes when the row of a run does; nothing if it has only just changed."""
    looks = []
    for name in (RUN, CONFIG, EDITS, METRICS):
        try:
            status = os.lstat(f"{one.where}/{name}")
        except OSError:
            looks.append((0, 0, 0, 0))
        else:
            looks.append((status.st_ino, status.st_size, status.st_ctime_ns, status.st_mtime_ns))
    return tuple(looks) if time.time_ns() - max(times for *_, times in looks) > JUST_NOW else ()


def _run_row(run: StoredRun) -> dict[str, Any]:
    known = {**run.attributes, "id": run.id, "state": run.state(), "path": run.where}
    return {
        **{name: known.get(name) for name in ABOUT},
        **dict(leaves(run.config, "config.")),
        **dict(leaves(run.summary, "summary.")),
    }


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise MissingLibrary("read_metrics() and read_runs()", "pandas") from None
    return pd
