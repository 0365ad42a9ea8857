"""Applies bundles from files to a remote, in whatever order they come.

A file is believed when its signature is good (if keys are trusted) and all of it has been read and
compared; only then something of it is applied, by the one rule. A run of it is applied when what it
builds on has been; otherwise the whole file is parked, and tried again when others were applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runfmt.documents import copy_named, sync_directory
from runfmt.errors import CommError, Error, FormatError, explain
from runfmt.layout import is_uid
from runfmt_sync import bundle
from runfmt_sync.channels import Inbound, channel_problem
from runfmt_sync.extents import Extent, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have
from runfmt_sync.remotes import Remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.signing import ENDING, BadSignature, PublicKey, verify
from runfmt_sync.sneakernet import SUFFIX
from runfmt_sync.state import store_state
from runfmt_sync.words import counted

__all__ = ["Arrival", "Unbundled", "lines", "to_json", "unbundle"]


@dataclass
class Arrival:
    """One file, and what became of it.

    ``status``: ``applied``, ``known`` if nothing in it was new, ``parked`` if something is missing
    before it, or ``refused``; ``problems`` say why. ``runs`` are those that were applied, ``refused``
    those that the remote did not take.
    """

    path: Path
    name: str
    contents: bundle.Contents = field(default_factory=bundle.Contents)
    status: str = ""
    runs: set[str] = field(default_factory=set)
    refused: dict[str, Refused] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def channel(self) -> str:
        """Its channel."""
        return str(self.contents.manifest["channel"])

    @property
    def uids(self) -> set[str]:
        """The runs that it is about; of one that is as it was before, nothing need be in it."""
        return self.contents.uids | {*self.contents.end.get("after", {})}

    @property
    def version(self) -> str:
        """When it was made."""
        return str(self.contents.manifest["created_at"])

    def after(self, uid: str) -> str:
        """The version on which a run in it builds; empty if on none."""
        return str(self.contents.end.get("after", {}).get(uid, ""))


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
        arrivals = [desk.receive(path) for path in dict.fromkeys([*desk.parked(), *paths])]
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
            self._parking.mkdir(parents=True, exist_ok=True)
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
    def _parking(self) -> Path:
        return self._place / "parked"

    @property
    def _books(self) -> Path:
        return self._place / "channels"

    def _book(self, channel: str) -> Inbound:
        return self.books.setdefault(channel, Inbound(self._books, channel))

    def parked(self) -> list[Path]:
        """The files that wait."""
        return sorted(self._parking.glob(f"*{SUFFIX}"))

    def _has(self, path: Path) -> bool:
        return path.parent == self._parking

    # Receiving

    def receive(self, path: Path) -> Arrival:
        """Read a file to its end; nothing is applied yet."""
        arrival = Arrival(path, re.sub(r"-\d{20}(?=\.)", "", path.name) if self._has(path) else path.name)
        try:
            if self._keys:
                verify(path, self._keys)
            with open(path, "rb") as file:
                arrival.contents = bundle.check(bundle.unpacked(file), bundle.MAX_UNPACKED)
            _check_origin(arrival, self._remote)
        except (FormatError, BadSignature, OSError) as error:
            _refuse(arrival, explain(error))
        return arrival

    # Applying

    def apply(self, arrival: Arrival) -> None:
        """Apply what fits of a file, and park the file if something may fit later."""
        book, arrival.problems = self._book(arrival.channel), []
        try:
            early = self._take(arrival, book, self._due(arrival, book))
        except (FormatError, OSError) as error:  # it was changed, or taken away, since it was checked
            _refuse(arrival, explain(error))
            return
        fault_point("unbundle.applied")
        with self._faults():
            if early:
                self._park(arrival)
            _note(arrival, book)
            book.keep()
            fault_point("unbundle.noted")
            if not early:
                self._unpark(arrival)
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

    # Parking

    def _park(self, arrival: Arrival) -> None:
        """Keep a file that is not to be lost, whole, under a name of its own; its signature first."""
        if self._has(arrival.path):
            return
        said = arrival.contents.manifest
        made = re.sub(r"\D", "", arrival.version)
        name = f"{arrival.channel}-{said['number']:06}-{said['volume']}-{made}{SUFFIX}"
        signature = arrival.path.with_name(arrival.path.name + ENDING)
        if signature.exists():
            copy_named(signature, self._parking, lambda _: name + ENDING, durable=True)
        arrival.path = copy_named(arrival.path, self._parking, lambda _: name, durable=True)[0]
        sync_directory(self._parking)
        fault_point("unbundle.parked")

    def _unpark(self, arrival: Arrival) -> None:
        if self._has(arrival.path):
            arrival.path.unlink()
            arrival.path.with_name(arrival.path.name + ENDING).unlink(missing_ok=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommError(f"{self._place} gave up: {explain(error)}; mend it, then try again") from error


def _refuse(arrival: Arrival, problem: str) -> None:
    arrival.status = "refused"
    arrival.problems.append(problem)


def _check_origin(arrival: Arrival, remote: Remote) -> None:
    """Whether a bundle says where it is from, and is for this place (B021). Raises ``FormatError``."""
    said, after = arrival.contents.manifest, arrival.contents.end.get("after", {})
    counts = [said.get("number"), said.get("volume"), said.get("edition", 0), said.get("follows", 0)]
    if not isinstance(said.get("channel"), str) or channel_problem(said["channel"]):
        raise FormatError("B021", "it says of no channel that it is from it")
    if not all(type(count) is int and 0 <= count < 2**31 for count in counts) or 0 in counts[:2]:
        raise FormatError("B021", "its number or volume is none")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(said.get("created_at"))):
        raise FormatError("B021", "it does not say when it was made")
    if not isinstance(after, dict) or not all(is_uid(u) and isinstance(v, str) for u, v in after.items()):
        raise FormatError("B025", "it does not say what it builds on")
    if said.get("since", remote.store_id) != remote.store_id:
        raise FormatError(
            "B026", "it was made with `--since` a receipt of another place: make it with one of this place"
        )


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
    is_last = arrival.contents.end.get("last") is True
    book.note(said["number"], said.get("follows"), said.get("edition", 0), said["volume"], is_last)
