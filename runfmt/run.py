"""A run that is being written.

``log`` is: find the step, encode, one write. Everything that can wait (fsync,
the summary, samples of the machine, captured requirements) happens in a
background thread, which never holds the lock that ``log`` takes for longer than
about a millisecond.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from runfmt.background import Background
from runfmt.config import Config
from runfmt.console import Console
from runfmt.documents import make_durable, replace_document
from runfmt.errors import FormatError, NotStarted, UsageError, remedy, warn
from runfmt.layout import CONFIG, FILES, MAIN, MAX_STEP, RUN, SUMMARY, new_uid, stream_name
from runfmt.live import LiveSummary, Summary
from runfmt.rows import RESERVED, encode
from runfmt.settings import Settings, checked_tags
from runfmt.steps import StepMetrics, checked_definition, valid_step
from runfmt.stream import Stream
from runfmt.summary import Definition

__all__ = ["Run", "document_of", "now", "own_writer", "utc"]

_STARTED = float((time.time_ns() - time.monotonic_ns()) // 1000)
"""Whole microseconds that the wall clock was ahead of the monotonic one when the process began."""
_RESERVED = frozenset(RESERVED)


def now() -> float:
    """Unix seconds that never go back within this process (R032)."""
    return (_STARTED + time.monotonic_ns() // 1000) / 1e6


def utc(seconds: float) -> str:
    """A time as ``run.json`` writes it."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def document_of(asked: Settings, run_id: str, name: str) -> dict[str, Any]:
    """What ``run.json`` says of a new run, but for its environment."""
    return {
        "runfmt": 1,
        "requires": [],
        "uid": new_uid(),
        "id": run_id,
        "project": asked.project,
        "entity": asked.entity,
        "name": name,
        "notes": asked.notes,
        "tags": list(asked.tags),
        "group": asked.group,
        "job_type": asked.job_type,
        "created_at": utc(now()),
        "state": "running",
        "exit_code": None,
        "finished_at": None,
    }


def _recorded(name: str) -> Any:
    """What ``run.json`` says, as an attribute that can only be read."""
    return property(lambda run: run._document[name])


class Run:
    """An open run; :func:`runfmt.init` makes it.

    ``directory`` is the run directory, ``dir`` the folder in it for files of
    one's own; ``id``, ``uid``, ``project``, ``entity``, ``group``, ``job_type``
    and ``state`` are as in ``run.json``. ``log`` never raises for a full or
    broken disk unless the run is ``strict``. A copy of a run is the run itself; a pickle of one
    loads as the active run of the process that loads it, or None.
    """

    # Not by `__getattr__`: a class that has one pays for each attribute that is there, a fifteenth of `log`.
    id: str = _recorded("id")
    uid: str = _recorded("uid")
    project: str = _recorded("project")
    entity: str = _recorded("entity")
    group: str = _recorded("group")
    job_type: str = _recorded("job_type")
    state: str = _recorded("state")
    _lost = 0
    """Rows that the disk had not taken when the run ended."""

    def __init__(
        self, directory: Path, document: dict[str, Any], settings: Settings, *, writer: str, alone: bool
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.resumed = False
        self.config = Config(self._save_config, self._check_open, allow_val_change=settings.allow_val_change)
        self._document = document
        self._place = os.stat(directory)
        self._writer, self._alone = writer, alone
        self._lock = threading.RLock()
        self._step, self._step_is_open, self._first_step = 0, False, 0
        self._finished = self._forked = self._preempting = False
        self._alerts: dict[str, float] = {}
        self._warned: set[str] = set()
        self._unwritten: set[str] = set()
        """Documents that the disk refused when they were written last."""
        self._step_metrics = StepMetrics()
        kinds = ("events", "metrics", "system", *(["console"] if settings.console else []))
        streams = self._open_streams(kinds)
        self._events, self._metrics = streams["events"], streams["metrics"]
        self._live = LiveSummary(self._metrics.path, self._metrics)
        self._console = Console(streams["console"]) if settings.console else None
        self._background = Background(self, streams["system"])

    def _open_streams(self, kinds: Iterable[str]) -> dict[str, Stream]:
        """Open streams, all or none."""
        streams: dict[str, Stream] = {}
        try:
            for kind in kinds:
                streams[kind] = self._open_stream(kind)
        except OSError:
            for stream in streams.values():
                stream.abandon()
            raise
        return streams

    def _open_stream(self, kind: str, writer: str | None = None) -> Stream:
        path = self.directory / stream_name(kind, writer or self._writer)
        durability, is_history = self.settings.durability, kind == "metrics"
        return Stream(
            path,
            fsync=is_history and durability == "fsync",
            buffered=kind in ("metrics", "console") and durability == "buffered",
            strict=is_history and self.settings.strict,
            watched=is_history and not self._alone,
            gap=self._gap_line if is_history else None,
            elsewhere=lambda: self._elsewhere(kind),
        )

    def _elsewhere(self, kind: str) -> Path | None:
        """Where a stream goes on whose name another file has taken (R064)."""
        if not self._is_there():
            return None
        if kind == "metrics":
            self._live.distrust()
        return self.directory / stream_name(kind, own_writer())

    def _is_there(self) -> bool:
        """Whether the run directory is where it was; who moves it meanwhile may put another there."""
        try:
            return os.path.samestat(os.stat(self.directory), self._place)
        except OSError:
            return False

    def _start(self, event: str) -> None:
        """Begin to record what goes on around the rows."""
        self._event(event)
        if self._console is not None:
            self._console.start()
        self._background.start()

    def _resume(self, last: int, config: dict[str, Any]) -> None:
        """Carry on after the last step of an earlier process."""
        self.resumed = True
        self.config._load(config)
        self._step = self._first_step = last + 1
        self._live.resume()
        for said in self._live.definitions.by_name.values():
            self._step_metrics.define(said, self._last_value(said.step_metric), overwrite=False)

    def _is_gone(self) -> bool:
        """Whether the run directory was moved or deleted, which is warned of once."""
        if self._is_there():
            return False
        if "gone" not in self._warned:
            self._warned.add("gone")
            warn(
                f"{self.directory} was moved or deleted while it was being written: rows go on where it is "
                "now, but its documents and files do not; move runs that have ended"
            )
        return True

    # What it is

    @property
    def name(self) -> str:
        """The display name; assign to change it."""
        return str(self._document["name"])

    @name.setter
    def name(self, name: str) -> None:
        self._rename(name=str(name))

    @property
    def notes(self) -> str:
        """Free text; assign to change it."""
        return str(self._document["notes"])

    @notes.setter
    def notes(self, notes: str | None) -> None:
        self._rename(notes=notes or "")

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags; assign to change them."""
        return tuple(self._document["tags"])

    @tags.setter
    def tags(self, tags: Any) -> None:
        self._rename(tags=list(checked_tags(tags)))

    @property
    def step(self) -> int:
        """The step that the next call of :meth:`log` without a step would get."""
        return self._step

    @property
    def dir(self) -> str:
        """A folder in the run whose contents are kept."""
        folder = self.directory / FILES
        if not self._is_gone():
            folder.mkdir(exist_ok=True)
        return str(folder)

    @property
    def url(self) -> str:
        """Where the run lies, as a ``file:`` URL."""
        return self.directory.absolute().as_uri()

    def get_url(self) -> str:
        """The same as :attr:`url`."""
        return self.url

    @property
    def path(self) -> str:
        """``entity/project/id``, without an entity ``project/id``."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def start_time(self) -> float:
        """Unix seconds of the creation."""
        text = self._document["created_at"]
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()

    def _label(self, **_: Any) -> None:
        """Accepted for trainers that label their framework for W&B; means nothing here."""

    @property
    def offline(self) -> bool:
        """True: nothing goes anywhere while a program trains."""
        return True

    @property
    def disabled(self) -> bool:
        """Whether nothing is written."""
        return self.settings.disabled

    @property
    def sweep_id(self) -> None:
        """None: there are no sweeps."""

    @property
    def starting_step(self) -> int:
        """The first step of this process, above 0 in a resumed run."""
        return self._first_step

    def project_name(self) -> str:
        """The project's name."""
        return self.project

    # Rows

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Write one row; it has reached the operating system when this returns, unless ``buffered`` (R110).

        Without ``step`` the row belongs to the open step, which this call closes
        unless ``commit=False``. With ``step >= 0`` it belongs to that step, which
        stays open unless ``commit=True``. A step below the current one is kept,
        and moves nothing. ``sync`` is accepted and means nothing.

        Raises ``TypeError`` (no mapping, a key that is no text, a value that
        cannot be written) and ``UsageError`` (a reserved key, a negative step, a
        row over 10 MiB); nothing is written then.
        """
        if (self._finished or self._forked) and not self._may_write("log"):
            return
        with self._lock:
            at = self._step if step is None else valid_step(step)
            if type(data) is dict and data.keys().isdisjoint(_RESERVED) and not self._step_metrics.values:
                row = {"_step": at, "_timestamp": now(), **data}
            else:
                row = self._unusual_row(data, at)
            try:
                line = encode(row)
            except (TypeError, FormatError):
                line = self._encode(row)
            if self._metrics.foreign:
                self._leave_stream()
            self._metrics.append(line)
            if step is None and commit is None and not self._step_metrics.values:
                self._step, self._step_is_open = at + 1, False
            else:
                self._advance(at, commit=commit if commit is not None else step is None)

    def _unusual_row(self, data: Any, step: int) -> dict[str, Any]:
        """The row of data that have reserved keys, lack step metrics, or are no plain dict."""
        if not isinstance(data, Mapping):
            raise TypeError(f"log() takes a mapping of names to values, not {type(data).__name__}")
        for key in RESERVED[3:]:
            if key in data:
                raise UsageError(f"log() key {key!r} is reserved: choose another name")
        row = {"_step": step, "_timestamp": _given_time(data.get("_timestamp"))}
        row.update((key, value) for key, value in data.items() if key not in _RESERVED)
        if self._step_metrics:
            if step != self._step:
                self._step_metrics.close_row()
            self._step_metrics.fill(row)
        return row

    def _encode(self, row: dict[str, Any]) -> bytes:
        """The line of a row that is not plain JSON: it is normalised, with media on disk first (R073)."""
        try:
            return encode(self._normalise(row), normal=True)
        except FormatError as error:
            raise UsageError(f"log(): {error.message}; nothing was written, log less at once") from None

    def _normalise(self, data: Mapping[str, Any]) -> dict[str, Any]:
        from runfmt.media import DirectorySink
        from runfmt.values import normalise_row

        return normalise_row(data, DirectorySink(self.directory, self._settle, strict=self.settings.strict))

    def _append(self, line: bytes) -> None:
        if self._metrics.foreign:
            self._leave_stream()
        self._metrics.append(line)

    def _leave_stream(self) -> None:
        """Somebody else writes this stream: go on in one of our own (R064)."""
        old = self._metrics.path
        self._metrics.close()
        self._metrics = self._open_stream("metrics", own_writer())
        self._live.distrust()
        warn(
            f"another process writes {old} too; this one goes on in {self._metrics.path.name}: "
            "start only one process a run, or give each its rank"
        )

    def _advance(self, at: int, *, commit: bool) -> None:
        if at < self._step:
            return
        self._step, self._step_is_open = (at + 1, False) if commit else (at, True)
        if commit and self._step_metrics:
            self._step_metrics.close_row()

    def _control(self, key: str, value: Any) -> None:
        """Write a control row at its place in the stream (R051-R056)."""
        at = self._step if self._step_is_open else max(self._step - 1, 0)
        self._append(encode({"_step": at, "_timestamp": now(), key: value}, normal=True))

    def _rewind(self, step: int) -> None:
        """Supersede what was logged above a step, and go on after it (R050)."""
        with self._lock:
            self._append(encode({"_step": max(step, 0), "_timestamp": now(), "_rewind": step}, normal=True))
            self._step, self._step_is_open = step + 1, False

    def _gap_line(self, rows: int, reason: str) -> bytes:
        return encode({"_step": self._step, "_timestamp": now(), "_gap": {"rows": rows, "reason": reason}})

    def _check_open(self) -> None:
        if self._finished:
            raise NotStarted("config after finish(): call runfmt.init() to start a run")

    def _may_write(self, what: str) -> bool:
        """False in a forked child, whose parent's run this is; raises after ``finish``."""
        if self._finished:
            raise NotStarted(f"{what} after finish(): call runfmt.init() to start a run")
        if what not in self._warned:
            self._warned.add(what)
            text = (
                f"{what} in a forked child is ignored, the run is its parent's: init() makes one of its own"
            )
            warn(text)
        return False

    # Metric definitions

    def define_metric(
        self,
        name: str,
        step_metric: str | Definition | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
    ) -> Definition:
        """Say how a metric is summarised and over what it is drawn; covers what was logged before (R085).

        ``name`` is a path, or its beginning followed by ``*``; ``summary`` is a comma-separated
        list of ``copy none min max mean first last best``; ``goal`` is ``maximize`` or ``minimize``.
        Raises ``UsageError`` or ``TypeError`` for anything else.
        """
        said = checked_definition(name, step_metric, step_sync, hidden, summary, goal, overwrite)
        if (self._finished or self._forked) and not self._may_write("define_metric"):
            return said
        with self._lock:
            self._step_metrics.define(said, self._last_value(said.step_metric), overwrite=bool(overwrite))
            self._control("_define", said.row(overwrite=bool(overwrite)))
        return said

    def _last_value(self, path: str | None) -> Any:
        return None if path is None else self._live.last_value(path, self._step)

    # Summary

    @property
    def summary(self) -> Summary:
        """The summary as a nested dict; an open step is not in it yet."""
        return Summary(self)

    def _summary_tree(self) -> dict[str, Any]:
        with self._lock:
            return self._live.result(self._step)

    def _known_paths(self, tops: list[str]) -> list[str]:
        with self._lock:
            try:
                return self._live.known_paths(tops)
            except OSError:  # what is set is written all the same, and lies over what readers find (R088)
                return []

    def _say_summary(self, sets: dict[str, Any], deletes: list[str]) -> None:
        if (self._finished or self._forked) and not self._may_write("summary"):
            return
        said = {key: value for key, value in (("set", sets), ("del", deletes)) if value}
        if said:
            with self._lock:
                self._control("_summary", said)

    # Files

    def save(self, glob_str: Any = None, base_path: Any = None, policy: str = "live") -> list[str]:
        """Copy the files that match into ``files/``; without arguments, make durable what was logged.

        Policy ``live`` copies a file again when it changed, ``end`` once more at the end,
        ``now`` only at once. Gives the names of the copies.
        """
        if (self._finished or self._forked) and not self._may_write("save"):
            return []
        if glob_str is None:
            self._sync_streams()
            return []
        from runfmt.saving import save

        copied = save(self.directory, glob_str, base_path, policy, settle=self._settle)
        self._background.follow(copied, policy)
        return copied.names

    def restore(
        self, name: str, run_path: str | None = None, replace: bool = False, root: Any = None
    ) -> IO[str]:
        """Open a file that this run has in ``dir``, or another run that lies beside it.

        ``run_path`` ends in that run's id; with ``root`` the file is copied there first, unless
        it is there and not to ``replace``. Raises ``UsageError`` if there is no such file.
        """
        from runfmt.saving import restored

        beside = self.directory if run_path is None else self.directory.parent / run_path.rpartition("/")[2]
        return open(restored(beside, name, root, replace=replace), encoding="utf-8", errors="replace")

    def log_code(self, root: str = ".", name: str | None = None, **filters: Any) -> None:
        """Copy the Python files below ``root`` into the run."""
        if (self._finished or self._forked) and not self._may_write("log_code"):
            return
        from runfmt.saving import log_code

        log_code(self.directory, root, name, settle=self._settle, **filters)

    def log_artifact(
        self, artifact_or_path: Any, name: str | None = None, type: str | None = None, aliases: Any = None
    ) -> Any:
        """Copy an artifact's files into the run as a new version."""
        if (self._finished or self._forked) and not self._may_write("log_artifact"):
            return artifact_or_path
        from runfmt.artifacts import log_artifact

        about = {"name": name, "type": type, "aliases": aliases}
        strict = self.settings.strict
        return log_artifact(self.directory, artifact_or_path, settle=self._settle, strict=strict, **about)

    def log_model(self, path: Any, name: str | None = None, aliases: Any = None) -> Any:
        """Copy a model's files into the run as a new version of an artifact of type ``model``."""
        return self.log_artifact(path, name, "model", aliases)

    def use_artifact(self, artifact_or_name: Any, type: str | None = None, **_: Any) -> Any:
        """Find a logged artifact by ``name:alias`` in the folder of runs."""
        from runfmt.artifacts import use_artifact

        return use_artifact(self.directory.parent, artifact_or_name)

    def use_model(self, name: str) -> str:
        """Copy a logged model out of its run; gives the path of its file, or of the folder of several."""
        artifact = self.use_artifact(name)
        return str(artifact.file() if artifact.file_count == 1 else artifact.download())

    def link_artifact(self, artifact: Any, target_path: Any = None, aliases: Any = None) -> Any:
        """Log an artifact that is not logged yet; there is no registry to link it to."""
        return (
            artifact
            if getattr(artifact, "is_logged", False)
            else self.log_artifact(artifact, aliases=aliases)
        )

    def link_model(
        self, path: Any, registered_model_name: Any = None, name: Any = None, aliases: Any = None
    ) -> Any:
        """Log a model; there is no registry to link it to."""
        return self.log_model(path, name or registered_model_name, aliases)

    def watch(
        self, models: Any, criterion: Any = None, log: str | None = "gradients", **options: Any
    ) -> None:
        """Log histograms of a torch model's gradients or parameters with the rows."""
        from runfmt.watch import watch

        watch(models, criterion, log, run=self, **options)

    def unwatch(self, models: Any = None) -> None:
        """Take the hooks of :meth:`watch` away."""
        from runfmt.watch import unwatch

        unwatch(models)

    # Events and the end

    def alert(self, title: str, text: str = "", level: Any = "INFO", wait_duration: Any = 60) -> None:
        """Record an alert, which the sync side delivers.

        A second one of the same title within ``wait_duration`` seconds is dropped.
        """
        from runfmt.alerts import check_alert

        level, wait = check_alert(level, wait_duration)
        if (self._finished or self._forked) and not self._may_write("alert"):
            return
        moment = time.monotonic()
        with self._lock:
            if moment - self._alerts.get(title, -1e18) < wait:
                return
            self._alerts[title] = moment
        self._event("alert", title=str(title), text=str(text), level=level)

    def mark_preempting(self) -> None:
        """Say that this process is about to be stopped, to run again elsewhere."""
        if (self._finished or self._forked) and not self._may_write("mark_preempting"):
            return
        self._preempting = True
        self._event("preempting")

    def _event(self, event: str, **keys: Any) -> None:
        self._events.append(encode({"_timestamp": now(), "event": event, **keys}, normal=True))

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: ``finished``, or ``failed`` if ``exit_code`` is not 0; again it does nothing.

        Raises ``TypeError`` if ``exit_code`` is no integer; the run goes on then.
        """
        from runfmt.lifecycle import status_of

        exit_code = status_of(exit_code or 0)
        state = "preempted" if exit_code and self._preempting else "failed" if exit_code else "finished"
        self._end(state, exit_code, quiet=bool(quiet))

    join = finish

    def _end(self, state: str, exit_code: int, *, quiet: bool = False) -> None:
        from runfmt import lifecycle

        if self._finished or self._forked:
            return
        self._background.stop()
        if self._console is not None:
            self._console.stop()
        with self._lock:
            if self._finished:
                return
            self._finished = True
            self._event("finish", state=state, exit_code=exit_code)
            self._lost = self._metrics.close()
            if self._lost:  # the summary has counted them, the stream never will
                self._live.distrust()
            self._events.close()
            if self._is_main:
                if CONFIG in self._unwritten or self.config.changed_in_place():
                    self._save_config()
                if not self._is_gone():
                    self._save_summary()
                self._change(state=state, exit_code=exit_code, finished_at=utc(now()))
        lifecycle.ended(self, exit_code, quiet=quiet)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from runfmt.lifecycle import exit_code

        self.finish(exit_code(error))

    def __copy__(self) -> Run:
        return self

    def __deepcopy__(self, _: Any) -> Run:
        return self

    def __reduce__(self) -> tuple[Callable[[], Run | None], tuple[()]]:
        from runfmt.session import active_run

        return active_run, ()

    def __repr__(self) -> str:
        return f"<Run {self.path} ({self.name}) in {self.directory}>"

    # Documents

    def _repr_html_(self) -> str | None:
        """What a notebook shows of the run, as far as it is written; nothing if it is disabled."""
        from runfmt.notebook import here, run_html

        return None if self.disabled else run_html(*here(self.directory))

    @property
    def _is_main(self) -> bool:
        return self._writer == MAIN

    def _rename(self, **attributes: Any) -> None:
        if (self._finished or self._forked) and not self._may_write(min(attributes)):
            return
        self._change(**attributes)

    def _change(self, **attributes: Any) -> None:
        with self._lock:
            self._write_document(RUN, {**self._document, **attributes})
            self._document.update(attributes)

    def _save_config(self) -> None:
        with self._lock:
            self._write_document(CONFIG, self.config.as_dict())

    def _save_summary(self) -> None:
        """Write the summary of all rows; a disk that cannot be read is warned of, and readers compute it."""
        try:
            summary = self._live.result(MAX_STEP + 1)
        except OSError as error:
            warn(f"{error.strerror} ({self._live.path}): the summary is left as it was; check the disk")
        else:
            self._write_document(SUMMARY, summary)

    def _write_document(self, name: str, document: Mapping[str, Any], *, durable: bool = True) -> None:
        """Replace a document, as the main writer; a disk that refuses is warned of once a document."""
        if not self._is_main or self._forked or self._is_gone():
            return
        try:
            replace_document(self.directory / name, document, durable=durable)
            self._unwritten.discard(name)
        except OSError as error:
            self._unwritten.add(name)
            if self.settings.strict:
                raise
            if name not in self._warned:
                self._warned.add(name)
                warn(f"{error.strerror} ({self.directory / name}): it could not be written; {remedy(error)}")

    def _settle(self, path: Path) -> None:
        """A file of the run is in its place: make it durable at once (R073), or in the next round."""
        if self.settings.durability == "fsync":
            make_durable([path], self.directory)
        else:
            self._background.unsynced.append(path)

    def _flush_streams(self) -> None:
        self._metrics.flush()
        if self._console is not None:
            self._console.flush()

    def _sync_streams(self) -> None:
        self._metrics.sync()
        self._events.sync()
        if self._console is not None:
            self._console.sync()

    def _in_child(self) -> None:
        """In a forked child: the run is the parent's, whose threads and their locks are not here."""
        self._forked = True
        self._lock = threading.RLock()
        for stream in (self._metrics, self._events):
            stream.abandon()
        if self._console is not None:
            self._console.abandon()
        self._live.abandon()
        self._background.abandon()


def own_writer() -> str:
    """The name of a writer that belongs to no rank (R064)."""
    return f"w{os.urandom(4).hex()}"


def _given_time(given: Any) -> float:
    """The user's own ``_timestamp`` if it is a number, else the time now."""
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return float(given) if is_number and abs(given) < 1e18 else now()
