"""The two threads of a run: all that can wait, so that ``log`` need not.

The prompt one makes the streams durable every second (R111) and samples the machine
every 15 seconds (R100). The patient one does what may take long: it captures the
environment, and every few seconds writes ``summary.json``, configs that were changed
in place, and saved files that changed, and makes files durable. A broken disk or
driver in one of these is warned of and does not end the others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
SLICE = 200
"""Lines folded in one go, well under a millisecond each time that ``log`` may have to wait."""
CAPTURE_WITHIN = 10.0
"""Seconds that the end of a run waits for what is captured of the environment."""

Jobs = dict[Callable[[], None], float]
"""What a thread does, and every how many seconds."""


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
        prompt: Jobs = {run._sync_streams: SYNC_EVERY, self._sample: run.settings.sample_every}
        patient: Jobs = {
            self._fold: SYNC_EVERY,
            self._sync_files: SYNC_EVERY,
            self._write_documents: SUMMARY_EVERY,
            self._refresh_files: SUMMARY_EVERY,
        }
        self._threads = [
            threading.Thread(target=self._work, args=work, name=f"runfmt-{run.id}", daemon=True)
            for work in ((self._sample, prompt), (self._capture, patient))
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def follow(self, copied: Copied, policy: str) -> None:
        """Copy saved files again when they change (``live``) or at the end (``end``)."""
        if policy in ("live", "end"):
            self._files.append((copied, policy))

    def stop(self) -> None:
        """End the threads, then do once more what must not be missing at the end."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(CAPTURE_WITHIN)
        self._attempt(self._refresh_files, final=True)
        self.unsynced.extend(path for path in (self._run.directory / FILES).rglob("*") if path.is_file())
        self._attempt(self._sync_files)
        self._system.close()

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        self._system.abandon()

    def _work(self, first: Callable[[], None], jobs: Jobs) -> None:
        self._attempt(first)
        due = {job: time.monotonic() + every for job, every in jobs.items()}
        while not self._stop.wait(max(0.0, min(due.values()) - time.monotonic())):
            for job, every in jobs.items():
                if (begun := time.monotonic()) >= due[job] and not self._stop.is_set():
                    self._attempt(job)
                    took = time.monotonic() - begun
                    due[job] = begun + max(every, took * SHARE if job != self._run._sync_streams else 0)

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
        waiting = True
        while waiting and not self._stop.wait(0.0005):
            with self._lock() as taken:
                waiting = taken and self._run._live.fold(SLICE)

    def _write_documents(self) -> None:
        if not self._run._is_main:
            return
        self._fold()
        with self._lock() as taken:
            if not taken:
                return
            step, live = self._run._step, self._run._live
            other = live.begin_reading() if live.is_stale else live
            summary = live.result(step) if other is live else None
            config = self._run.config.changed_in_place()
        if summary is None:  # read from the disk, which takes a while, and no lock
            summary = other.recompute(step)
            with self._lock() as taken:
                if taken:
                    live.adopt(other)
        self._run._write_document(SUMMARY, summary, durable=False)
        if config:
            self._run.config._save_items()

    def _refresh_files(self, *, final: bool = False) -> None:
        for copied, policy in self._files:
            if final or policy == "live":
                copied.refresh()

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
