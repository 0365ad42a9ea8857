"""Applies bundles from files to a remote, in whatever order they come.

Of a file that is believed (``arrivals``) a run is applied, by the one rule, when what it builds on has
been; otherwise the whole file is parked, and tried again when others were applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runfmt.errors import CommError, Error, FormatError, explain
from runfmt_sync import bundle
from runfmt_sync.arrivals import Arrival, Parking, receive
from runfmt_sync.channels import Inbound
from runfmt_sync.extents import Extent, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have
from runfmt_sync.remotes import Remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.signing import PublicKey
from runfmt_sync.state import store_state
from runfmt_sync.words import counted

__all__ = ["Unbundled", "lines", "to_json", "unbundle"]


@dataclass
class Unbundled:
    """What became of files, and what is missing of which channel: numbers, each with what."""

    arrivals: list[Arrival]
    missing: dict[str, list[tuple[int, str]]]

    @property
    def is_good(self) -> bool:
        """Whether everything is there that was sent, as far as can be known here."""
        good = all(arrival.status in ("applied", "known") for arrival in self.arrivals)
        return good and not any(self.missing.values())


def lines(done: Unbundled, place: str) -> Iterator[str]:
    """What to say of bundles."""
    for arrival in done.arrivals:
        words = {
            "applied": f"{counted(len(arrival.runs), 'run')} brought to {place}",
            "known": "nothing in it is new",
        }
        yield f"{arrival.name}: {words.get(arrival.status, arrival.status)}"
        yield from (f"  {problem}" for problem in arrival.problems)
    for channel, missing in done.missing.items():
        for number, what in missing:
            make = f"`runfmt bundle RUNS --channel {channel} --again {number}` makes it again"
            yield f"{channel}, number {number}: {what} is missing; {make}"


def to_json(done: Unbundled) -> dict[str, Any]:
    """The same for machines."""
    files = [
        {"file": a.name, "status": a.status, "runs": sorted(a.runs), "problems": a.problems}
        for a in done.arrivals
    ]
    missing = {
        channel: [{"number": number, "what": what} for number, what in found]
        for channel, found in done.missing.items()
    }
    return {"files": files, "missing": missing}


def unbundle(paths: Sequence[Path], remote: Remote, keys: Mapping[str, PublicKey]) -> Unbundled:
    """Apply files to a remote, and those that were parked before. Raises ``CommError``.

    One bad file never stops the others.
    """
    with _Desk(remote, keys) as desk:
        arrivals = [desk.receive(path) for path in dict.fromkeys([*desk.parking.files(), *paths])]
        waiting = sorted(_once(arrivals), key=lambda arrival: (arrival.channel, arrival.version))
        while waiting:
            before = len(waiting)
            for arrival in waiting:
                desk.apply(arrival)
            waiting = [arrival for arrival in waiting if arrival.status == "parked"]
            if len(waiting) == before:
                break
        return Unbundled(arrivals, {name: [*book.missing()] for name, book in sorted(desk.books.items())})


def _once(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Those that were not refused; of two copies of one the first, as the other brings nothing new."""
    seen = set()
    for arrival in arrivals:
        if arrival.status:
            continue
        key = (arrival.channel, arrival.version, arrival.contents.end["sha256"])
        if key in seen:
            arrival.status = "known"
        else:
            seen.add(key)
            yield arrival


class _Desk:
    """Where files are received for one remote; its books lie with the runs, or in our state."""

    def __init__(self, remote: Remote, keys: Mapping[str, PublicKey]) -> None:
        remote.prepare()
        if isinstance(remote, DirectoryRemote):
            self._place = remote.store.private  # the books go where the runs go
        else:
            self._place = store_state(remote.store_id)
        self._remote, self._keys = remote, keys
        self.books: dict[str, Inbound] = {}

    def __enter__(self) -> _Desk:
        from filelock import FileLock, Timeout

        with self._faults():
            self.parking = Parking(self._place / "parked")
            self._lock = FileLock(self._place / "unbundle.lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise Error(f"other bundles are being applied to {self._remote.url}: wait for it") from None
            for book in self._books.glob("*.json"):
                self._book(book.stem)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def _books(self) -> Path:
        return self._place / "channels"

    def _book(self, channel: str) -> Inbound:
        return self.books.setdefault(channel, Inbound(self._books, channel))

    def receive(self, path: Path) -> Arrival:
        """Read a file to its end; nothing is applied yet."""
        return receive(path, self.parking.name(path), self._keys, self._remote.store_id)

    def apply(self, arrival: Arrival) -> None:
        """Apply what fits of a file, and park the file if something may fit later."""
        book, arrival.problems = self._book(arrival.channel), []
        try:
            early = self._take(arrival, book, self._due(arrival, book))
        except (FormatError, OSError) as error:  # it was changed, or taken away, since it was checked
            arrival.refuse(explain(error))
            return
        fault_point("unbundle.applied")
        with self._faults():
            if early:
                self.parking.keep(arrival)
            _note(arrival, book)
            book.keep()
            fault_point("unbundle.noted")
            if not early:
                self.parking.remove(arrival)
        arrival.problems += early
        if early:
            arrival.status = "parked"
        elif arrival.problems:
            arrival.status = "refused"
        else:
            arrival.status = "applied" if arrival.runs else "known"

    def _due(self, arrival: Arrival, book: Inbound) -> set[str]:
        """The runs of a file that are not there yet as it brings them."""
        old = {uid for uid in arrival.uids if book.runs.get(uid, "") >= arrival.version}
        held = self._have(old)
        gone = {uid for uid, have in held.items() if not (have.entries or have.staged or have.deleted)}
        for uid in gone:  # removed by hand, or the place was restored: it may come anew
            del book.runs[uid]
        return (arrival.uids - old) | gone

    def _take(self, arrival: Arrival, book: Inbound, due: set[str]) -> list[str]:
        """Apply runs; gives why some of them cannot be yet."""
        early = {uid: _waiting(arrival, book, uid) for uid in sorted(due)}
        early = {uid: why for uid, why in early.items() if why}
        barred = {uid for uid in early if "" < arrival.after(uid) <= book.refused.get(uid, "")}
        refused = arrival.refused = self._refused(arrival, due - early.keys())
        missing = {uid for uid, error in refused.items() if error.again and self._is_missing(arrival, uid)}
        for uid in due - early.keys() - refused.keys():
            book.runs[uid] = arrival.version
            book.refused.pop(uid, None)
            arrival.runs.add(uid)
        for uid in (refused.keys() - missing) | barred:
            book.refused[uid] = arrival.version
            reason = refused.get(uid, "what it builds on was refused")
            arrival.problems.append(f"run {uid}: {reason}")
        waiting = {**early, **{uid: str(refused[uid]) for uid in missing}}
        return [f"run {uid}: {why}" for uid, why in waiting.items() if uid not in barred]

    def _refused(self, arrival: Arrival, runs: set[str]) -> dict[str, Refused]:
        if not runs & arrival.contents.uids:
            return {}
        with open(arrival.path, "rb") as file:
            pieces = bundle.pieces(bundle.unpacked(file))
            return self._remote.apply(piece for piece in pieces if piece[0].uid in runs)

    def _is_missing(self, arrival: Arrival, uid: str) -> bool:
        """Whether a run was refused because something is missing before what a file brings."""
        have = self._have([uid]).get(uid, Have())
        if have.deleted or have.refused:
            return False
        with open(arrival.path, "rb") as file:
            extents = [extent for extent, _ in bundle.pieces(bundle.unpacked(file)) if extent.uid == uid]
        return any(extent.offset > _reach(extent, have, extents) for extent in extents)

    def _have(self, uids: Iterable[str]) -> dict[str, Have]:
        return self._remote.have([Ask(uid, "", {}) for uid in uids])

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommError(f"{self._place} gave up: {explain(error)}; mend it, then try again") from error


def _waiting(arrival: Arrival, book: Inbound, uid: str) -> str:
    """Why a run in a file cannot be applied yet; empty if it can."""
    if arrival.after(uid) <= book.runs.get(uid, ""):
        return ""
    return f"waits for what was sent before ({arrival.after(uid)})"


def _reach(extent: Extent, have: Have, extents: list[Extent]) -> int:
    """Bytes that are there of what an extent is of, or that come with it."""
    if extent.whole is not None:
        there = have.staged.get(extent.whole.digest, 0)
    else:
        there = have.entries[extent.path].length if extent.path in have.entries else 0
    before = (e.offset + e.length for e in extents if e.path == extent.path and e.offset < extent.offset)
    return max(there, *before, 0)


def _note(arrival: Arrival, book: Inbound) -> None:
    said = arrival.contents.manifest
    book.note(said["number"], said.get("follows"), said.get("edition", 0), said["volume"], arrival.is_last)
