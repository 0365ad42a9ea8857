"""The thread of a run: all that can wait, so that ``log`` need not.

It makes the streams durable every second (R111), samples the machine every 15 seconds (R100),
and every few seconds writes ``summary.json`` and configs that were changed in place. What may
take long (the environment is captured, saved files that changed are copied, files are made
durable, the stream is read again) is done beside it, in a thread that ends when it is done.
A broken disk or driver in one of these is warned of and does not end the others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runfmt.documents import make_durable
from runfmt.errors import warn
from runfmt.layout import FILES, SUMMARY
from runfmt.lifecycle import IMPORTING
from runfmt.rows import encode
from runfmt.stream import Stream
from runfmt.system import Sampler, gpu_names

if TYPE_CHECKING:
    from runfmt.run import Run
    from runfmt.saving import Copied

__all__ = ["Background"]

SYNC_EVERY = 1.0
"""Seconds between two fsyncs of a stream that grows (R111)."""
SUMMARY_EVERY = 5.0
"""Seconds between two writings of ``summary.json``, of the config and of live files."""
SHARE = 20
"""A job that took a second is not done again for so many seconds."""
FLUSH_EVERY = 0.1
"""Seconds between two writings of what is in a buffer."""
FOLD_FOR, FOLD_PAUSE = 0.2, 0.001
"""Seconds for which new lines are counted, and between two pieces, so that ``log`` has its turn."""
CAPTURE_WITHIN = 10.0
"""Seconds that the end of a run waits for what is captured of the environment."""


@dataclass
class _Job:
    """Something to do every so many seconds, when it is needed."""

    do: Callable[[], None]
    every: float
    is_needed: Callable[[], bool] = lambda: True
    due: float = 0.0


class Background:
    """Started once, stopped once; a forked child abandons it.

    ``unsynced`` are the files that the next round makes durable.
    """

    def __init__(self, run: Run, system: Stream) -> None:
        self._run = run
        self._system = system
        self._stop = threading.Event()
        self._files: list[tuple[Copied, str]] = []
        self._failed: set[str] = set()
        self._sampler: Sampler | None = None
        self.unsynced: deque[Path] = deque()
        self._short = [
            _Job(run._sync_streams, SYNC_EVERY),
            _Job(self._sample, run.settings.sample_every),
            _Job(self._fold, SYNC_EVERY),
            _Job(self._write_documents, SUMMARY_EVERY),
        ]
        if run.settings.durability == "buffered":
            self._short.insert(0, _Job(run._flush_streams, FLUSH_EVERY))
        self._long = [
            _Job(self._sync_files, SYNC_EVERY, lambda: bool(self.unsynced)),
            _Job(self._refresh_files, SUMMARY_EVERY, lambda: any(how == "live" for _, how in self._files)),
            _Job(self._read_summary, SUMMARY_EVERY, lambda: run._live.is_stale),
        ]
        self._thread = self._new_thread(self._work)
        self._beside = self._new_thread(self._attempt, self._capture)

    def _new_thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        return threading.Thread(target=target, args=arguments, name=f"runfmt-{self._run.id}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def follow(self, copied: Copied, policy: str) -> None:
        """Copy saved files again when they change (``live``) or at the end (``end``)."""
        if policy in ("live", "end"):
            self._files.append((copied, policy))

    def stop(self) -> None:
        """End the threads, then do once more what must not be missing at the end."""
        self._stop.set()
        _wait_for(self._thread)
        _wait_for(self._beside)  # which the other may just have begun
        self._attempt(self._refresh_files, final=True)
        self._attempt(self._note_files)
        self._attempt(self._sync_files)
        self._system.close()

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        self._system.abandon()

    def _work(self) -> None:
        for job in (*self._short, *self._long):
            job.due = time.monotonic() + job.every
        # Both also of a run that ends at once; in this order, as one import waits for the other.
        self._attempt(self._sample)
        self._beside.start()
        while not self._stop.wait(max(0.0, min(job.due for job in self._short) - time.monotonic())):
            for job in self._due(self._short):
                self._do(job)
            self._attempt(self._begin_long)

    def _begin_long(self) -> None:
        if not self._beside.is_alive() and (jobs := self._due(self._long)):
            self._beside = self._new_thread(self._work_beside, jobs)
            self._beside.start()

    def _work_beside(self, jobs: list[_Job]) -> None:
        for job in jobs:
            self._do(job)

    def _due(self, jobs: list[_Job]) -> list[_Job]:
        return [job for job in jobs if job.due <= time.monotonic() and job.is_needed()]

    def _do(self, job: _Job) -> None:
        if self._stop.is_set():
            return
        begun = time.monotonic()
        self._attempt(job.do)
        took = time.monotonic() - begun
        job.due = begun + max(job.every, took * SHARE if job.do != self._run._sync_streams else 0)

    def _attempt(self, job: Callable[..., None], **options: Any) -> None:
        """Do a job; one that fails is named once, and tried again at its time."""
        try:
            job(**options)
        except Exception as error:
            name = getattr(job, "__name__", "job")
            if not self._run._is_gone() and name not in self._failed:
                self._failed.add(name)
                warn(f"{type(error).__name__}: {error} ({self._run.directory}, {name}): the training goes on")

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """The run's lock, or False once the run ends: who ends it may hold the lock and wait for us."""
        taken = False
        while not taken and not self._stop.is_set():
            taken = self._run._lock.acquire(timeout=0.1)
        try:
            yield taken
        finally:
            if taken:
                self._run._lock.release()

    def _fold(self) -> None:
        self._catch_up()

    def _catch_up(self) -> bool:
        """Count new lines for a while; says whether none are left."""
        until = time.monotonic() + FOLD_FOR
        while self._run._live.fold_some():
            if time.monotonic() > until or self._stop.wait(FOLD_PAUSE):
                return False
        return True

    def _write_documents(self) -> None:
        if not self._run._is_main:
            return
        live, step = self._run._live, self._run._step
        has_all = self._catch_up()
        if not live.is_stale:  # otherwise another job reads it again
            summary = live.result(step) if has_all else live.so_far()
            self._run._write_document(SUMMARY, summary, durable=False)
        with self._lock() as taken:
            config = taken and self._run.config.changed_in_place()
        if config:
            self._run.config._save_items()

    def _read_summary(self) -> None:
        """Read the summary from the stream, which may take a while, and no lock."""
        with self._lock() as taken:
            if not taken:
                return
            step, (other, end) = self._run._step, self._run._live.begin_reading()
        summary = other.recompute(step, end, lambda: self._stop.wait(FOLD_PAUSE))
        self._run._live.adopt(other)
        if self._run._is_main:
            self._run._write_document(SUMMARY, summary, durable=False)

    def _refresh_files(self, *, final: bool = False) -> None:
        for copied, policy in self._files:
            if final or policy == "live":
                copied.refresh()

    def _note_files(self) -> None:
        self.unsynced.extend(path for path in (self._run.directory / FILES).rglob("*") if path.is_file())

    def _sync_files(self) -> None:
        files = {self.unsynced.popleft(): None for _ in range(len(self.unsynced))}
        make_durable(files, self._run.directory)

    def _sample(self) -> None:
        from runfmt.run import now

        found: dict[str, Any] = {}
        try:
            if self._sampler is None:
                with IMPORTING:
                    self._sampler = Sampler(self._run.directory)
            found = self._sampler.sample()
        finally:  # a heartbeat also where the machine tells nothing
            self._system.append(encode({"_timestamp": now(), **found}, normal=True))
            self._system.sync()

    def _capture(self) -> None:
        from runfmt import environment

        with IMPORTING:
            environment.requirements()
            gpus = gpu_names()
        environment.capture_slowly(self._run, gpus)


def _wait_for(thread: threading.Thread) -> None:
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(CAPTURE_WITHIN)
