"""Runs behind a URL. Nothing here knows how to get there: an installed package does.

It has an entry point in the group ``runfmt.remotes``, whose name is the scheme; its object
is called with the URL, and ``place()`` of what it gives is a :class:`Place`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runfmt.errors import MissingLibrary, UsageError
from runfmt.reading import StoredRun

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Place", "is_url", "open_place"]

GROUP = "runfmt.remotes"


class Place(Protocol):
    """Where runs are, as :class:`runfmt.Api` needs it; ``root`` is its name for people."""

    root: Any

    @property
    def is_one(self) -> bool:
        """Whether the name is that of one run."""

    def named(self, run_id: str) -> Iterator[StoredRun]:
        """The runs of an id. Raises ``FormatError`` for one that must be refused."""

    def runs(self) -> Iterator[StoredRun]:
        """All runs; those that cannot be read are warned of, and left out."""

    def again(self, run: StoredRun) -> StoredRun:
        """The run as it is now. Raises ``RunNotFound`` if it is gone, ``FormatError``."""

    def frame(self, run: StoredRun, keys: Sequence[str] | None) -> pd.DataFrame:
        """The metrics of a run, of the rows that have one of the keys."""

    def sizes(self, run: StoredRun) -> Mapping[str, int]:
        """The files of a run, each with its bytes."""

    def bring(self, run: StoredRun, path: str) -> Path:
        """A file of a run, on this machine."""

    def edit(self, run: StoredRun, changes: Mapping[str, Any]) -> None:
        """Say changes in ``edits.json``."""

    def delete(self, run: StoredRun) -> None:
        """Remove a run that nobody writes."""


def is_url(path: object) -> bool:
    """Whether this names something that is no folder of this machine."""
    scheme, has_scheme, _ = path.partition("://") if isinstance(path, str) else ("", "", "")
    return bool(has_scheme) and scheme != "file"


def open_place(url: str) -> Place:
    """The runs behind a URL. Raises ``UsageError`` if nothing that is installed reads there."""
    from importlib.metadata import entry_points  # 25 ms, and a folder needs none

    scheme = url.partition("://")[0]
    found = next(iter(entry_points(group=GROUP, name=scheme)), None)
    try:
        remote = found.load() if found else None
    except ImportError:
        raise MissingLibrary(f"reading from {scheme}://", "'runfmt[sync]'") from None
    if remote is None or not hasattr(remote, "place"):
        known = (
            ", ".join(sorted({f"{entry.name}://" for entry in entry_points(group=GROUP)})) or "nothing else"
        )
        raise UsageError(f"{url} is neither a folder nor a server that is read from (there is: {known})")
    place: Place = remote(url).place()
    return place
