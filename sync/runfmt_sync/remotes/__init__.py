"""Remotes by URL. A remote says what it has and takes extents; it plans nothing.

``/path`` and ``file://`` are directories. An installed package adds a scheme with
an entry point in the group ``runfmt.remotes``: its name is the scheme, its object
is called with the URL and gives a :class:`Remote`, or a :class:`runfmt_sync.trackers.Tracker`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from runfmt.errors import UsageError
from runfmt_sync.extents import Piece, Refused, Wanted
from runfmt_sync.plan import Ask, Have
from runfmt_sync.trackers import Tracker

__all__ = [
    "GROUP", "SMALL", "Mirror", "Remote", "fetch", "is_served", "open_place", "open_remote", "read_each",
]  # fmt: skip

GROUP = "runfmt.remotes"
SMALL = 2**20
"""Bytes from which a file is read by itself, and goes on where it broke off."""


class Remote(Protocol):
    """A mirror. Raises ``CommError`` if it cannot go on."""

    url: str

    @property
    def store_id(self) -> str:
        """Whose receipts are believed: another id, and everything is asked anew. Empty: none yet."""

    def prepare(self) -> None:
        """Make the place ready to take runs, and give it an id; opening and reading write nothing."""

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is there of runs, of those that are not the same; unless ``believe``, read every byte."""

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Take extents, sorted by run and in the order of committing; gives the runs that were refused.

        All is durable when this returns. Bytes are read as they are asked for.
        """

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of a file of a run, from an offset."""

    def ids(self) -> dict[str, str]:
        """The id of each run that is there, by uid."""


@runtime_checkable
class Mirror(Remote, Protocol):
    """A remote that a server may stand on."""

    def look(self) -> None:
        """Take notice of what others have done there."""

    def delete(self, uid: str, by: str) -> str:
        """Remove a run for good, so that it is not taken again. Gives the time, also if it was before.

        Raises ``FileNotFoundError`` if it never was here.
        """


def fetch(remote: Remote, wanted: Sequence[Wanted]) -> Iterator[bytes | None]:
    """The bytes of small spans in their order, each when it is asked for; None if it is not there so.

    A stream's span is whole lines, a file's the file; of a run they are in the order of committing.
    A remote that has many in one answer says so by a method of this name.
    """
    together: Callable[[Sequence[Wanted]], Iterator[bytes | None]] | None = getattr(remote, "fetch", None)
    return together(wanted) if together else read_each(remote, wanted)


def read_each(remote: Remote, wanted: Iterable[Wanted]) -> Iterator[bytes | None]:
    """The bytes of spans as :func:`fetch` gives them, one file after the other."""
    for uid, span in wanted:
        length = span.end - span.offset
        try:
            with remote.read(uid, span.path, span.offset) as file:
                data = file.read(length)
        except FileNotFoundError:
            data = None
        yield data if data is not None and len(data) == length else None


def open_remote(url: str, *, sleep: Callable[[float], None] = time.sleep) -> Remote:
    """Open the mirror behind a URL or a path; ``sleep`` waits so many seconds before a server is asked again.

    Raises ``UsageError`` for a scheme that nobody serves, ``CommError`` if it is not there.
    """
    place = open_place(url, sleep=sleep)
    if isinstance(place, Tracker):
        raise UsageError(f"{url} is a tracker: `runfmt sync` brings runs there, and nothing brings them back")
    return place


def open_place(url: str, *, sleep: Callable[[float], None] = time.sleep) -> Remote | Tracker:
    """Open the mirror or the tracker behind a URL or a path, as :func:`open_remote` does."""
    from runfmt_sync.remotes.directory import DirectoryRemote

    scheme, rest = urlsplit(url).scheme, url
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"{url} names another host ({parts.netloc}): write file:///path")
        return DirectoryRemote(unquote(parts.path))
    if scheme in ("http", "https"):
        from runfmt_sync.remotes.http import HttpRemote

        return HttpRemote(url, sleep=sleep)
    # One letter is a drive, and a name with a slash before the colon is a path.
    if "://" not in url and not (len(scheme) > 1 and _serving(scheme)):
        return DirectoryRemote(rest)
    if serving := _serving(scheme):
        opened: Remote | Tracker = serving(url)
        return opened
    from importlib.metadata import entry_points

    known = sorted({"file", *entry_points(group=GROUP).names})
    raise UsageError(f"no remote for {scheme}: is installed (there is: a folder, {', '.join(known)}): {url}")


def is_served(url: str) -> bool:
    """Whether something that is installed opens a URL or a path."""
    scheme = urlsplit(url).scheme
    return "://" not in url or scheme in ("file", "http", "https") or _serving(scheme) is not None


def _serving(scheme: str):  # type: ignore[no-untyped-def]
    from importlib.metadata import entry_points  # 25 ms, and a folder needs none

    found = next(iter(entry_points(group=GROUP, name=scheme)), None)
    return found.load() if found else None
