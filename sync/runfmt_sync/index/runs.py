"""The index of one run: that of each of its streams of metrics and of samples."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from runfmt.documents import remove_folder
from runfmt.fold import Fold
from runfmt.history import Problem
from runfmt.layout import MAIN, stream_name, writer_of
from runfmt.reading import StoredRun
from runfmt.summary import Definitions
from runfmt_sync.index.folds import folded
from runfmt_sync.index.parts import Object, metrics_part, system_part
from runfmt_sync.index.streams import Points, Stream, View

__all__ = ["KINDS", "RunIndex", "forget_unused", "keep_only"]

KINDS = {"metrics": metrics_part, "system": system_part}
"""The streams that are indexed."""

UNUSED = 90 * 86_400.0
"""Seconds after which an index that nobody asked is removed: most likely its run is gone."""

T = TypeVar("T")


def forget_unused(cache: Path) -> None:
    """Remove the indexes that nobody has asked for long; one that is missed is made anew."""
    long_ago = time.time() - UNUSED
    for folder in cache.iterdir() if cache.is_dir() else ():
        with suppress(OSError):  # another process removes it too, or nothing can be changed here
            if folder.stat().st_mtime < long_ago:
                remove_folder(folder)


def keep_only(cache: Path, uids: Collection[str]) -> None:
    """Remove the indexes of all other runs."""
    for folder in cache.iterdir() if cache.is_dir() else ():
        if folder.name not in uids:
            remove_folder(folder)


class RunIndex:
    """What the streams of a run say, as it was at the last ``refresh``. Threads may share it.

    ``cache`` is the folder of all indexes, shared by all processes; without it all is kept in memory.
    Raises ``FormatError`` for a run that must be refused. Of a stream or a path that is not
    there, all answers are empty.
    """

    def __init__(self, folder: Path, cache: Path | None) -> None:
        key = StoredRun(folder).uid or hashlib.sha256(bytes(folder.resolve())).hexdigest()[:32]
        self._folder, self._cache = folder, cache and cache / key
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], Stream] = {}
        if self._cache is not None:
            with suppress(OSError):  # it is not there yet, or nothing can be changed there
                os.utime(self._cache)  # so that it is not forgotten

    def refresh(self, most: int | None = None) -> bool:
        """Look at the streams and read what is new; whether anything is.

        Raises ``Behind`` where more than about ``most`` bytes of a stream had to be read, ``OSError``.
        """
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        streams = ((kind, writer_of(name, kind), name) for kind in KINDS for name in names)
        found = {(kind, writer): name for kind, writer, name in streams if writer is not None}
        with self._lock:
            has_changed = self._streams.keys() != found.keys()
            self._streams = {
                key: self._streams.get(key) or self._stream(key[0], name) for key, name in found.items()
            }
            known = list(self._streams.values())
        for stream in known:
            with suppress(FileNotFoundError):  # it went just now: the next look says so
                has_changed = stream.refresh(most) or has_changed
        return has_changed

    def _stream(self, kind: str, name: str) -> Stream:
        return Stream(self._folder / name, self._cache and self._cache / name, KINDS[kind])

    def fold(self, most: int | None = None) -> Fold:
        """What the main writer's metrics come to now. Raises as :meth:`refresh`."""
        name = stream_name("metrics")
        return folded(self._folder / name, self._cache and self._cache / name, most)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        files = self._cache.glob("*/*") if self._cache else ()
        return sum(path.stat().st_size for path in files)

    def writers(self, stream: str = "metrics") -> list[str]:
        """The writers that have such a stream, the main one first."""
        return sorted((w for kind, w in self._streams if kind == stream), key=lambda w: (w != MAIN, w))

    def numbers(self, stream: str = "metrics", writer: str = MAIN) -> list[str]:
        """The paths that have numbers or truth values, sorted."""
        return self._ask(stream, writer, lambda view: view.numbers)

    def objects(self, stream: str = "metrics", writer: str = MAIN) -> list[Object]:
        """The values with a ``_type``, sorted by step and path."""
        return self._ask(stream, writer, lambda view: view.objects)

    def column(self, path: str, stream: str = "metrics", writer: str = MAIN) -> Points:
        """The rows in which a path has a number; ``_step`` and ``_timestamp`` are paths too."""
        return self._ask(stream, writer, lambda view: view.column(path))

    def definitions(self, writer: str = MAIN) -> Definitions:
        """What is defined of the metrics."""
        return self._ask("metrics", writer, lambda view: view.definitions)

    def rewinds(self, writer: str = MAIN) -> list[tuple[int, float | None]]:
        """Step and time of each rewind."""
        return self._ask("metrics", writer, lambda view: view.rewinds)

    def problems(self) -> list[Problem]:
        """What is wrong in the lines of all streams; of each the first 1,000, without an unfinished end."""
        return [
            Problem(stream_name(kind, writer), *each)
            for kind, writer in [*self._streams]
            for each in self._ask(kind, writer, lambda view: view.problems)
        ]

    def _ask(self, kind: str, writer: str, question: Callable[[View], T]) -> T:
        stream = self._streams.get((kind, writer))
        return question(View([])) if stream is None else stream.ask(question)
