"""The sync tool's own state: never in a run, and nothing in it is needed.

``$RUNFMT_STATE``, else ``$XDG_STATE_HOME/runfmt``, else ``~/.local/state/runfmt``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from runfmt.documents import replace
from runfmt.errors import explain, warn

__all__ = ["Journal", "index_folder", "state_folder", "store_state"]


def state_folder() -> Path:
    """Where the state lies."""
    if chosen := os.environ.get("RUNFMT_STATE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "runfmt"


def index_folder() -> Path:
    """Where the indexes of the runs on this machine lie; they may be deleted."""
    return state_folder() / "index"


def store_state(store_id: str) -> Path:
    """Where the state about one store lies."""
    return state_folder() / "remotes" / store_id


class Journal:
    """A map on disk: one line a change, the last line of a key counts. Without a path it is not kept.

    Several processes may append; a line that a crash cut is skipped. It is only
    a cache, so nothing is fsynced, a lost line costs only time, and where nothing
    can be written nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._values: dict[str, Any] | None = None

    def get(self, key: str) -> Any:
        """The last value of a key, or None."""
        return self._loaded().get(key)

    def items(self) -> Iterator[tuple[str, Any]]:
        """All keys with their last values."""
        yield from self._loaded().items()

    def put(self, key: str, value: Any) -> None:
        """Append a change."""
        line = b"\n" + orjson.dumps([key, value]) + b"\n"  # the first LF ends what a crash may have left
        with self._lock:
            self._load()[key] = value
            if self.path is not None:
                with self._warned():
                    _append(self.path, line)

    def _loaded(self) -> dict[str, Any]:
        with self._lock:
            return self._load()

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            values: dict[str, Any] = {}
            self._values = values
            if self.path is not None:
                with self._warned():
                    self._read(self.path, values)
        return self._values

    def _read(self, path: Path, values: dict[str, Any]) -> None:
        lines = 0
        for key, value in _read(path):
            values[key] = value
            lines += 1
        if lines > 2 * len(values) + 1000:
            _compact(path, values)

    @contextmanager
    def _warned(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.path = None
            warn(f"{explain(error)}: what is found now is not kept, so the next call reads all again")


def _append(path: Path, line: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _compact(path: Path, values: dict[str, Any]) -> None:
    replace(path, b"".join(orjson.dumps(item) + b"\n" for item in values.items()), durable=False)


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in filter(None, lines):
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, list) and len(found) == 2 and isinstance(found[0], str):
            yield found[0], found[1]
