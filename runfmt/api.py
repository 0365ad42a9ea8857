"""``runfmt.Api``: find runs, read them, and change what people may change; as W&B users know it.

:class:`Api` and :class:`ApiRun` stand on a :class:`runfmt.elsewhere.Place` where runs are; here,
that is a :class:`Folder`. Only that knows where the bytes come from and where edits go.
"""

from __future__ import annotations

import copy
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from runfmt.documents import copy_named
from runfmt.editing import add_edits, author
from runfmt.edits import ATTRIBUTES, differences, is_attribute
from runfmt.elsewhere import Place, is_url, open_place
from runfmt.errors import FormatError, MissingLibrary, RunNotFound, UsageError, warn
from runfmt.layout import FILES, METRICS
from runfmt.queries import MISSING, condition, in_order, order_of
from runfmt.reading import StoredRun, find_runs, unix_time
from runfmt.rows import NONFINITE, leaves, split_path
from runfmt.run import utc
from runfmt.settings import checked_tags, runs_folder
from runfmt.writers import unwritten

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Api", "ApiRun", "File", "Folder", "belongs"]

EDITABLE = ("name", "notes", "tags", "group", "job_type")
"""What may be assigned to a run besides its config and summary (R094)."""
OWN_COLUMNS = ("_step", "_timestamp", "_runtime")


class Api:
    """The runs at or below a folder, by default in ``RUNFMT_DIR``, else ``./runs``; or behind a server's URL.

    Nothing is kept: each call looks at what is there. ``timeout`` and ``api_key`` are
    accepted, and mean nothing: `runfmt login` keeps the token of a server.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, timeout: Any = None, api_key: Any = None
    ) -> None:
        root = runs_folder() if root is None else root
        self._store: Place = open_place(root) if isinstance(root, str) and is_url(root) else Folder(root)

    def __repr__(self) -> str:
        return f"Api({str(self._store.root)!r})"

    def run(self, path: str) -> ApiRun:
        """The run of an ``id``, ``project/id`` or ``entity/project/id``.

        A run without an entity is found under any. Raises ``RunNotFound``; ``UsageError`` if
        several runs are meant; ``FormatError`` if the run is there and must be refused.
        """
        entity, project, run_id = _parts(path, "'id', 'project/id' or 'entity/project/id'", 3)
        if run_id is None:
            raise UsageError("run('') names no run: give 'id', 'project/id' or 'entity/project/id'")
        found = [run for run in self._store.named(run_id) if belongs(run, entity, project)]
        if not found:
            raise RunNotFound(
                f"there is no run {path!r} at or below {self._store.root}: runs() gives those that are there"
            )
        if len(found) > 1:
            there = ", ".join(f"{'/'.join(_path(run))} ({run.where})" for run in found)
            raise UsageError(f"{path!r} may be each of {there}: name the project, or the folder in Api()")
        return ApiRun(self._store, found[0])

    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: Any = None,
    ) -> list[ApiRun]:
        """The runs of a ``project``, of an ``entity/project``, or all, that fit to the filters.

        ``filters`` and ``order`` are as in :mod:`runfmt.queries`. A run that must be refused or
        cannot be read is left out with a warning that names it. Metrics are read only where
        the summary is asked for; ``per_page`` is accepted, all runs come at once.

        Raises ``UsageError`` for an unknown key or operator, ``RunNotFound`` if there is no such folder.
        """
        _, entity, project = _parts(path or "", "'project' or 'entity/project'", 2)
        fits = condition(filters or {})
        key, descending = order_of(order)
        found = []
        for stored in self._store.runs():
            if not belongs(stored, entity, project):
                continue
            run = ApiRun(self._store, stored)
            try:
                if fits(run.look):
                    found.append((run.look(key), run))
            except (RunNotFound, FormatError, OSError) as error:  # it changed since it was found
                warn(f"{run.id} was left out: {error}", stacklevel=2)
        return _Runs(in_order(found, descending=descending))


class _Runs(list["ApiRun"]):
    """A list of runs that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        from runfmt.notebook import LISTED, runs_html

        return runs_html((run._now() for run in self[:LISTED]), max(len(self) - LISTED, 0))


def _parts(path: str, forms: str, most: int) -> list[str | None]:
    """The last three parts of a path; W&B's URLs have ``runs`` before the id."""
    if not isinstance(path, str):
        raise UsageError(f"{path!r} is no text: give {forms}")
    parts = [part for part in path.strip("/ ").split("/") if part]
    if len(parts) == 4 and parts[2] == "runs":
        parts.pop(2)
    if len(parts) > most:
        raise UsageError(f"{path!r} has too many parts: give {forms}")
    return [None] * (3 - len(parts)) + parts


def belongs(run: StoredRun, entity: str | None, project: str | None) -> bool:
    """Whether a run is of a project; one whose trainer named no entity is of any."""
    known = run.attributes
    return project in (None, known["project"]) and (entity is None or known["entity"] in ("", entity))


def _path(run: StoredRun) -> list[str]:
    return [run.attributes["entity"], run.attributes["project"], run.id]


class Folder:
    """A folder of runs, as :class:`Api` needs a place where runs are."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = root

    def _folders(self) -> Iterator[Path]:
        from runfmt.frames import local_folder

        return find_runs(local_folder(self.root))

    def named(self, run_id: str) -> Iterator[StoredRun]:
        """The runs of an id. Raises ``FormatError`` for one that must be refused."""
        for folder in self._folders():
            try:
                run = StoredRun(folder)
            except (FormatError, OSError):
                if folder.name == run_id:
                    raise
                continue
            if run.id == run_id:
                yield run

    def runs(self) -> Iterator[StoredRun]:
        """All runs; those that cannot be read are warned of, and left out."""
        for folder in self._folders():
            try:
                run = StoredRun(folder)
            except (FormatError, OSError) as error:
                warn(f"{folder} was left out: {error}", stacklevel=3)
                continue
            if run.is_damaged:
                warn(f"{folder} is damaged: `runfmt recover {folder}` makes it whole", stacklevel=3)
            yield run

    def again(self, run: StoredRun) -> StoredRun:
        """The run as it is now. Raises ``RunNotFound`` if it is gone, ``FormatError``."""
        if not run.path.is_dir():
            raise RunNotFound(f"the run {run.id} is gone ({run.path})")
        return StoredRun(run.path)

    @property
    def is_one(self) -> bool:
        """Whether the folder is a run."""
        folders = self._folders()
        return next(folders, None) == Path(self.root)

    def sizes(self, run: StoredRun) -> Mapping[str, int]:
        """The files of a run, each with its bytes."""
        return {path: (run.path / path).stat().st_size for path in run.files}

    def bring(self, run: StoredRun, path: str) -> Path:
        """A file of a run, where it lies."""
        return run.path / path

    def frame(self, run: StoredRun, keys: Sequence[str] | None) -> pd.DataFrame:
        """The metrics of a run, of the rows that have one of the keys."""
        from runfmt.frames import read_metrics

        now = self.again(run)  # what was fetched goes with it
        return read_metrics(now.path, keys)

    def edit(self, run: StoredRun, changes: Mapping[str, Any]) -> None:
        """Say changes in ``edits.json``."""
        add_edits(self.again(run).path, changes)

    def delete(self, run: StoredRun) -> None:
        """Remove a run that nobody writes; where runs are brought to, for good."""
        from runfmt.stores import remove_run

        now = self.again(run)
        with unwritten(now):
            remove_run(now, author())


class ApiRun:
    """A run as it was when it was found; :meth:`load` looks again, ``history`` always does.

    ``config`` (a dict), ``summary``, ``name``, ``notes``, ``tags`` (a list), ``group`` and
    ``job_type`` may be changed; :meth:`update` saves what was.
    """

    name: str
    notes: str
    tags: list[str]
    group: str
    job_type: str
    config: dict[str, Any]

    def __init__(self, store: Place, stored: StoredRun) -> None:
        self._store = store
        self._take(stored)

    def _take(self, stored: StoredRun) -> None:
        self._stored, self._loaded_at = stored, time.time()
        self._before = {name: stored.attributes[name] for name in EDITABLE} | {"config": stored.config}
        for name, value in self._before.items():
            setattr(self, name, copy.deepcopy(value))
        self._summary: _Summary | None = None

    def load(self, force: bool = True) -> ApiRun:
        """Look again at what is on disk; changes that were not saved are lost."""
        self._take(self._store.again(self._stored))
        return self

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.path).strip('/')} ({self.state})>"

    def _repr_html_(self) -> str:
        from runfmt.notebook import run_html

        return run_html(*self._now())

    def _now(self) -> tuple[StoredRun, int]:
        """The run as it is now, and the bytes of its metrics. Raises ``RunNotFound`` if it is gone."""
        run = self._store.again(self._stored)
        return run, self._store.sizes(run).get(METRICS, 0)

    # What it is

    @property
    def id(self) -> str:
        """The run's id."""
        return self._stored.id

    @property
    def project(self) -> str:
        """The project's name."""
        return str(self._stored.attributes["project"])

    @property
    def entity(self) -> str:
        """The user or team, empty if the trainer named none."""
        return str(self._stored.attributes["entity"])

    @property
    def path(self) -> list[str]:
        """Entity, project and id; joined by slashes they lead to the run again."""
        return _path(self._stored)

    @property
    def url(self) -> str:
        """Where the run lies, as a URL."""
        return self._stored.url

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, ``killed``, ``preempted``, ``crashed`` or ``damaged``."""
        return self._stored.state(self._loaded_at)

    @property
    def created_at(self) -> str:
        """The time of the start, UTC, as ``2026-11-24T03:05:54.123456Z``."""
        return str(self._stored.document.get("created_at") or "")

    @property
    def heartbeat_at(self) -> str:
        """The time of the newest line, UTC, in the same form."""
        return utc(self._stored.newest_line)

    @property
    def metadata(self) -> dict[str, Any]:
        """What was captured of the machine and the program."""
        found = self._stored.document.get("environment")
        return dict(found) if isinstance(found, dict) else {}

    @property
    def display_name(self) -> str:
        """The same as ``name``."""
        return self.name

    @property
    def summary(self) -> _Summary:
        """The summary of the metrics, computed from their stream when it is first asked for."""
        if self._summary is None:
            # A look of its own, so that the rows are not kept.
            found = self._store.again(self._stored).summary
            self._before["summary"] = found
            self._summary = _Summary(self, copy.deepcopy(found))
        return self._summary

    def look(self, key: str) -> Any:
        """The value of a key of :mod:`runfmt.queries`, ``MISSING`` if there is none."""
        root, dot, path = key.partition(".")
        if dot:
            return _member(self.config if root == "config" else self.summary, path)
        if key in ("host", "username"):
            return self.metadata.get(key.replace("username", "user"), MISSING)
        return getattr(self, key) or MISSING

    # Metrics

    def history(
        self,
        samples: int | None = None,
        keys: Sequence[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: str = "default",
    ) -> pd.DataFrame | list[dict[str, Any]]:
        """The logical rows, each with ``_step``, ``_timestamp`` and ``_runtime`` (seconds), sorted by step.

        A DataFrame, or with ``pandas=False`` a list of dicts. All rows, or ``samples`` of them
        evenly spread, the first and the last among them. With ``keys``, paths such as ``eval.acc``,
        there are these columns and ``x_axis``, of the rows that have a value for all of them.
        ``stream="system"`` gives the samples of the machine.
        """
        keys = _checked_keys(keys)
        if keys is not None and x_axis not in keys:
            keys = [x_axis, *keys]
        if pandas:
            table: pd.DataFrame = self._frame(keys) if _is_default(stream) else _table(self._system())
            sampled: pd.DataFrame = table.iloc[_spread(len(table), samples)].reset_index(drop=True)
            return sampled
        rows = list(self.scan_history(keys)) if _is_default(stream) else self._system()
        return [rows[index] for index in _spread(len(rows), samples)]

    def _frame(self, keys: Sequence[str] | None) -> pd.DataFrame:
        """The columns of the rows that have all keys."""
        metrics = [key for key in keys or () if key not in OWN_COLUMNS]
        if len(metrics) > 1:
            from runfmt.columns import exact_columns

            frame = _table(exact_columns(self._rows(metrics), metrics))
            if frame.empty:
                warn(f"no row of {self.id} has a value for all of {', '.join(metrics)}", stacklevel=3)
        else:
            frame = self._store.frame(self._stored, metrics or None)
        if begun := unix_time(self.created_at):
            frame.insert(2, "_runtime", (frame["_timestamp"] - begun).round(6))
        return frame if keys is None else frame.reindex(columns=keys)

    def _system(self) -> list[dict[str, Any]]:
        return [dict(leaves(row)) for row in self._store.again(self._stored).events("system")]

    def scan_history(
        self,
        keys: Sequence[str] | None = None,
        page_size: Any = None,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The logical rows one by one, as dicts from path to value.

        With ``keys`` only these, of the rows that have a value for all of them. ``min_step``
        is the first step, ``max_step`` the first that is left out; ``page_size`` means nothing.
        """
        return self._scan(_checked_keys(keys), min_step or 0, max_step)

    def _scan(self, keys: Sequence[str] | None, first: int, end: int | None) -> Iterator[dict[str, Any]]:
        for row in self._rows(keys or ()):
            if row["_step"] >= first and (end is None or row["_step"] < end):
                flat = dict(leaves(row))
                yield flat if keys is None else {key: flat[key] for key in keys}

    def _rows(self, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The logical rows that have a value for all keys."""
        begun = unix_time(self.created_at)
        for row in self._store.again(self._stored).history().rows:
            if begun and "_timestamp" in row:
                row["_runtime"] = round(row["_timestamp"] - begun, 6)
            if not keys or None not in map(dict(leaves(row)).get, keys):
                yield row

    # Files

    def files(self, names: Sequence[str] | None = None, per_page: Any = None) -> list[File]:
        """The files of the run, or those of some names."""
        run = self._store.again(self._stored)
        sizes = self._store.sizes(run)
        found = []
        for path in sorted(sizes):
            plain = path.removeprefix(f"{FILES}/")
            name = path if plain in sizes else plain
            if names is None or name in names or path in names:
                bring = partial(self._store.bring, run, path)
                found.append(File(name, path, sizes[path], f"{run.url}/{quote(path)}", bring))
        return found

    def file(self, name: str) -> File:
        """The file of a name. Raises ``FileNotFoundError``."""
        for file in self.files([name]):
            return file
        raise FileNotFoundError(
            errno.ENOENT, f"run {self.id} has no such file: files() gives its files", name
        )

    # Changes

    def update(self) -> None:
        """Save what was changed, and only that, in ``edits.json``; the trainer's files stay as they are.

        Works on a run that is being written; every reader lays the changes over. They are durable
        when this returns. Raises ``UsageError`` or ``TypeError`` for a value that cannot be saved;
        ``FormatError`` if there is an ``edits.json`` that cannot be read, which then stays as it is;
        ``OSError``. Nothing is saved then, and the changes are still here.
        """
        after = self._after()
        changes: dict[str, Any] = {}
        for name, value in after.items():
            if name in ATTRIBUTES:
                changes |= {f"/{name}": {"value": value}} if value != self._before[name] else {}
            else:
                changes |= differences(_plain(self._before[name], name), value, f"/{name}")
        if changes:
            self._store.edit(self._stored, changes)
        self._before = after

    save = update

    def _after(self) -> dict[str, Any]:
        """What the run is to be; raises if it may not."""
        after = {name: _checked(name, getattr(self, name), self._before[name]) for name in EDITABLE}
        after["config"] = _plain(self.config, "config")
        if self._summary is not None:
            after["summary"] = _plain(self._summary, "summary")
        return after

    def delete(self) -> None:
        """Remove the run from the disk. Raises ``UsageError`` if it is being written.

        From a server, or another remote, it is removed for good: no sync brings it there again.
        """
        self._store.delete(self._stored)


class _Summary(dict[str, Any]):
    """The summary as a dict; :meth:`update` saves, as in W&B."""

    def __init__(self, run: ApiRun, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._run = run

    def update(self, *others: Any, **values: Any) -> None:
        """Take values, and save what was changed in the run."""
        super().update(*others, **values)
        self._run.update()

    @property
    def _json_dict(self) -> dict[str, Any]:
        """The plain dict; W&B's own examples ask for it."""
        return dict(self)


@dataclass(frozen=True)
class File:
    """A file of a run: ``size`` is in bytes, ``path`` its path in the run, ``url`` says where it lies.

    ``name`` is the path too, but for saved files: there it is what comes after ``files/``.
    """

    name: str
    path: str
    size: int
    url: str
    bring: Callable[[], Path] = field(repr=False, compare=False)

    def download(
        self, root: str | os.PathLike[str] = ".", replace: bool = False, exist_ok: bool = False
    ) -> IO[str]:
        """Copy the file to ``root/name``; gives the copy, open to be read.

        One that is there is replaced with ``replace``, and stays with ``exist_ok``;
        otherwise ``UsageError`` is raised.
        """
        target = Path(root, self.name)
        if not target.exists() or replace:
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_named(self.bring(), target.parent, lambda _: target.name)
        elif not exist_ok:
            raise UsageError(f"{target} is there already: pass replace=True, or exist_ok=True to keep it")
        return open(target, encoding="utf-8")


def _member(document: Mapping[str, Any], path: str) -> Any:
    """The value at a path (R038), ``MISSING`` if there is none."""
    found: Any = document
    *above, last = split_path(path)
    for key in above:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, dict) and last in found:
        return found[last]
    if path in document:  # a literal key with dots, where nothing is nested so
        return document[path]
    # W&B's documentation writes the order by a config key as `config.lr.value`.
    return _member(document, path[: -len(".value")]) if above and last == "value" else MISSING


def _checked(name: str, value: Any, before: Any) -> Any:
    """An attribute in the form of ``run.json``; None is empty. Raises ``UsageError``."""
    value = ATTRIBUTES[name]() if value is None else value
    if value != before and name == "tags":
        value = list(checked_tags(value))
    if not is_attribute(name, value):
        raise UsageError(f"{name}={value!r} is no text: nothing was saved")
    return copy.copy(value)


def _plain(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Config or summary as JSON values; a copy."""
    from runfmt.values import normalise_config

    if NONFINITE in values:
        raise UsageError(f"{name} key {NONFINITE!r} is reserved: choose another name")
    return {str(key): normalise_config(value, str(key)) for key, value in values.items()}


def _checked_keys(keys: Sequence[str] | None) -> list[str] | None:
    if isinstance(keys, str):
        raise UsageError(f"keys={keys!r} is one text: give a list, keys=[{keys!r}]")
    return list(dict.fromkeys(keys)) if keys else None


def _is_default(stream: str) -> bool:
    if stream not in ("default", "system"):
        raise UsageError(f"stream={stream!r} is unknown: use 'default' or 'system'")
    return stream == "default"


def _spread(count: int, samples: int | None) -> list[int]:
    """The places of so many samples among ``count`` rows, the first and the last among them."""
    if samples is not None and samples < 1:
        raise UsageError(f"samples={samples} must be at least 1")
    if samples is None or samples >= count:
        return list(range(count))
    return [number * (count - 1) // max(samples - 1, 1) for number in range(samples)]


def _table(data: Any) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise MissingLibrary("history(), unless with pandas=False,", "pandas") from None
    table: pd.DataFrame = pd.DataFrame(data)
    return table
