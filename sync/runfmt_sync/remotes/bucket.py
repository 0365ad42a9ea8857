"""An object store, and where in it the parts of a run lie (``spec/object-store.md``, O001 to O022)."""

from __future__ import annotations

import errno
import io
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from runfmt.errors import CommError, FormatError, UsageError, warn
from runfmt.layout import is_safe, is_stream
from runfmt.rows import decode_document
from runfmt_sync.remotes.segments import Part, Segment, chain, digest_of, length_of, name_of, parse, within

__all__ = [
    "LARGE", "NOTE", "PIECES", "Bucket", "Each", "Joined", "Listed", "Lying", "Stored", "absent", "at",
    "bare", "pieces_at", "place_of",
]  # fmt: skip

NOTE, LARGE, PIECES = ".note.json", ".large", ".pieces"
"""Below a run; no path of a run begins with a dot (R005)."""
SAFE = "-_.=+@,"
PROBE = ".runfmt/probe"
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""``map``, many at once."""
METADATA = "/latest/api/token"
"""Where a machine of Amazon's asks for keys of its own, if it was given none."""
NO_KEYS = "give keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}


@dataclass
class Stored:
    """An object as a listing has it; ``size`` in bytes, ``tag`` its ETag."""

    size: int
    tag: str
    time: datetime


@dataclass
class Listed:
    """What lies at a run's place: files by path, segments of streams by path, pieces by digest."""

    files: dict[str, Stored] = field(default_factory=dict)
    large: dict[str, Stored] = field(default_factory=dict)
    streams: dict[str, dict[Segment, Stored]] = field(default_factory=lambda: defaultdict(dict))
    pieces: dict[str, dict[Segment, Stored]] = field(default_factory=lambda: defaultdict(dict))
    note: Stored | None = None

    def add(self, name: str, found: Stored) -> None:
        """Take an object by its name below the run's."""
        head, _, rest = name.partition("/")
        path, _, last = name.rpartition("/")
        if name == NOTE:
            self.note = found
        elif head == LARGE:
            self.large[unquote(rest)] = found
        elif head == PIECES:
            digest, _, piece = rest.partition("/")
            if segment := parse(piece):
                self.pieces[digest][segment] = found
        elif is_stream(unquote(path)) and (segment := parse(last)):
            self.streams[unquote(path)][segment] = found
        elif is_safe(unquote(name)):
            self.files[unquote(name)] = found


@dataclass(frozen=True)
class Lying:
    """A stream of a run as it lies: its segments, used by readers or not, and where readers end."""

    uid: str
    path: str
    segments: tuple[Segment, ...]
    parts: list[Part]
    read: Callable[[int, int], Iterable[bytes]]
    """Gives its bytes from one offset to another."""

    @property
    def length(self) -> int:
        """Bytes that readers read."""
        return length_of(self.parts)

    @property
    def names(self) -> str:
        """What digests the names of the segments."""
        return digest_of(within(self.segments, self.length))


class Bucket:
    """Objects below a prefix. Raises ``CommError`` where the store gives up, ``FileNotFoundError``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store, self._is_probed = _open(url), False

    def run(self, uid: str) -> Listed:
        """What lies of a run."""
        listed, head = Listed(), f"{place_of(uid)}/"
        with self._faults():
            for page in obstore.list(self._store, place_of(uid), chunk_size=1000):
                for found in page:
                    stored = Stored(found["size"], bare(found["e_tag"]), found["last_modified"])
                    listed.add(found["path"].removeprefix(head), stored)
        return listed

    def names(self, below: str) -> list[str]:
        """The names of all objects below one."""
        with self._faults():
            return [one["path"] for page in obstore.list(self._store, below) for one in page]

    def folders(self, below: str) -> list[str]:
        """What stands in names behind this one, up to the next slash."""
        with self._faults():
            found = obstore.list_with_delimiter(self._store, below)["common_prefixes"]
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def get(self, name: str) -> bytes:
        """The bytes of an object, all of them: there are stores that know no ranges."""
        with self._faults():
            return bytes(obstore.get(self._store, name).bytes())

    def tagged(self, name: str) -> tuple[bytes, str | None]:
        """The bytes of an object with its ETag as a precondition has it; nothing if there is none."""
        try:
            with self._faults():
                got = obstore.get(self._store, name)
                return bytes(got.bytes()), got.meta["e_tag"]
        except FileNotFoundError:
            return b"", None

    def document(self, name: str) -> dict[str, Any]:
        """A small JSON object, empty if there is none that can be read."""
        with suppress(FileNotFoundError, FormatError):
            return decode_document(self.get(name))
        return {}

    def put(self, name: str, data: bytes, mode: Any = "overwrite") -> str:
        """Put an object; gives its ETag. Raises what obstore does where a precondition fails."""
        try:
            with self._faults():
                put = obstore.put(self._store, name, data, mode=mode, use_multipart=False)
        except FileNotFoundError:
            raise CommError(f"there is no bucket for {self.url}: make it, then try again") from None
        return bare(put["e_tag"])

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are no matter."""
        with self._faults(), suppress(FileNotFoundError):
            for start in range(0, len(names), 1000):
                obstore.delete(self._store, [*names[start : start + 1000]])

    def bytes_of(self, place: str, parts: Sequence[Part], start: int, end: int) -> Iterator[bytes]:
        """The bytes of segments at a place from one offset to another, one after the other."""
        for segment, skip in parts:
            first, last = max(segment.start + skip, start), min(segment.end, end)
            if first < last:
                data = self.get(f"{place}/{name_of(segment)}")
                yield data[first - segment.start : last - segment.start]

    def lying(self, uid: str, path: str, segments: Collection[Segment]) -> Lying:
        """A stream of these segments; those that have other bytes than what is before are left out (O012).

        Only where some overlap in part anything is read: two writers put them at the same moment.
        """
        place, wrong = at(uid, path), set[Segment]()
        while True:
            parts = chain(segments, wrong)
            overlapping = [n for n, part in enumerate(parts) if part.skip]
            other = next((n for n in overlapping if not self._fits(place, parts[:n], parts[n])), None)
            if other is None:
                return Lying(uid, path, tuple(segments), parts, partial(self.bytes_of, place, parts))
            wrong.add(parts[other].segment)

    def _fits(self, place: str, before: Sequence[Part], part: Part) -> bool:
        """Whether a part has the bytes of those before it, as far as they overlap."""
        segment, skip = part
        there = b"".join(self.bytes_of(place, before, segment.start, segment.start + skip))
        return self.get(f"{place}/{name_of(segment)}")[:skip] == there

    def probe(self) -> None:
        """Warn, once, of a store that makes what is there already."""
        if self._is_probed:
            return
        self._is_probed = True
        try:
            for _ in range(2):
                self.put(PROBE, b"", "create")
        except AlreadyExistsError:
            return
        warn(
            f"{self.url} heeds no precondition: of edits that two bring there at the same moment, one may be "
            "replaced until it is brought again"
        )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the store refuses is the remote's fault."""
        try:
            yield
        except (FileNotFoundError, AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            first = str(error).partition("\n")[0]
            advice = NO_KEYS if METADATA in first else "mend it, then try again"
            raise CommError(f"the remote {self.url} gave up: {first}; {advice}") from error


class Joined(io.RawIOBase):
    """Segments behind each other, each fetched when it is reached."""

    def __init__(self, bucket: Bucket, place: str, parts: Sequence[Part], offset: int) -> None:
        self._bucket, self._place, self._parts, self._at = bucket, place, parts, offset
        self._held: tuple[Segment, bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: length_of(self._parts)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        for segment, _ in self._parts:
            if segment.start <= self._at < segment.end:
                if self._held is None or self._held[0] != segment:
                    self._held = (segment, self._bucket.get(f"{self._place}/{name_of(segment)}"))
                data = self._held[1][self._at - segment.start :][: len(buffer)]
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
        return 0


def _open(url: str) -> Any:
    allowed = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    scheme = url.partition(":")[0]
    config = {"aws_checksum_algorithm": "SHA256"} if scheme == "s3" else None
    try:
        return from_url(
            url,
            config=cast(Any, config),
            client_options={"allow_http": allowed},
            retry_config=cast(Any, RETRIES),
        )
    except BaseError as error:
        raise UsageError(f"{url} cannot be opened: {str(error).partition(chr(10))[0]}") from None


def at(uid: str, path: str, below: str = "") -> str:
    """The name of the object that a path of a run is; signs that a store may treat its own way are quoted."""
    name = "/".join(quote(part, safe=SAFE) for part in path.split("/"))
    return f"{place_of(uid)}/{below}/{name}" if below else f"{place_of(uid)}/{name}"


def place_of(uid: str) -> str:
    """Below which name the objects of a run lie."""
    return f"runs/{uid}"


def pieces_at(uid: str, sha256: str) -> str:
    """Where the pieces of files with this digest lie (O021)."""
    return f"{place_of(uid)}/{PIECES}/{sha256}"


def absent(path: str) -> FileNotFoundError:
    """What is raised where there is no such file."""
    return FileNotFoundError(errno.ENOENT, "the remote has no such file", path)


def bare(tag: str | None) -> str:
    """An ETag without the quotes that some stores leave out."""
    return (tag or "").strip('"')
