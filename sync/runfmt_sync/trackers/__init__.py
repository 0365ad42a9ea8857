"""Trackers: remotes that take a run in their own words, and give no bytes back.

An installed package adds one by an entry point in the group ``runfmt.remotes``: its name is
the scheme of the URLs, its object is called with the URL and gives a :class:`Tracker`. What
has to be sent, and what was, ``runfmt_sync.track`` knows; a tracker only finds the run at
its place, or makes it, and translates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from runfmt.layout import MAIN
from runfmt.reading import StoredRun
from runfmt.rows import leaves

__all__ = ["Row", "Tracked", "Tracker", "own_summary"]


@dataclass(frozen=True)
class Row:
    """A logical row whose step is closed.

    ``time`` is in Unix seconds; ``values`` are the leaves by path (``eval.acc``), non-finite numbers
    restored. ``is_late``: a row of this or a higher step of the same writer was sent before.
    """

    writer: str
    step: int
    time: float | None
    values: Mapping[str, Any]
    is_late: bool = False

    def name(self, path: str) -> str:
        """What a value is called where rows of several writers meet."""
        return path if self.writer == MAIN else f"{self.writer}/{path}"


def own_summary(run: StoredRun) -> Iterator[tuple[str, Any]]:
    """What of the summary is no metric's last value: minima, means, and what was set by hand."""
    logged = {path for row in run.history().rows for path, _ in leaves(row)}
    return ((path, value) for path, value in leaves(run.summary) if path not in logged)


class Tracked(ABC):
    """One run at a tracker. Raises ``CommError`` if the tracker cannot go on, ``Refused`` for this run only.

    Any call may be made again after it was cut off, with the same or with more; what arrives must
    then be the same as if it had been made once.
    """

    @abstractmethod
    def cursor(self) -> Mapping[str, Any]:
        """What :meth:`keep` was last given, empty for a run that is new there."""

    @abstractmethod
    def keep(self, cursor: Mapping[str, Any]) -> None:
        """Keep a JSON object with the run, at the far end."""

    @abstractmethod
    def rows(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Take rows, of one writer; gives what of them cannot be expressed there, and how often."""

    @abstractmethod
    def describe(self, run: StoredRun) -> Mapping[str, int]:
        """Take config, name, notes, tags and summary as they are now; gives what cannot be expressed."""

    def file(self, path: str, source: Path) -> None:  # noqa: B027 - a tracker may have no place for files
        """Take a file, a medium, or a stream of a run that ended."""

    @abstractmethod
    def end(self, run: StoredRun) -> None:
        """Take the state and the time of the end, behind all else; the run may still be resumed."""

    def close(self) -> None:  # noqa: B027 - a tracker may have nothing to close
        """Nothing more comes in this sync."""


class Tracker(ABC):
    """A place of trackers' runs. ``url`` names it, and is what its receipts are kept under."""

    url: str
    most_at_once = 4
    """Runs that may be open at once."""

    @property
    def store_id(self) -> str:
        """Whose receipts are believed: another id, and everything is asked anew. Empty: none yet."""
        return str(uuid5(NAMESPACE_URL, self.url))

    def prepare(self) -> None:  # noqa: B027 - a tracker may have nothing to make
        """Make the place ready to take runs; opening it writes nothing."""

    @abstractmethod
    def open(self, run: StoredRun) -> Tracked:
        """Find a run by its uid, or make it; never twice."""
