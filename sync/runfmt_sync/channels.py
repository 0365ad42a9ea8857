"""Channels: what was sent through one, at its sender; what has come of it, at its receiver.

Nobody answers on a channel, so both sides keep books, durably. A *version* is the time at which
a volume was made, and later than all before in its channel: of each run both sides know the version
that brought the last of it. It says what is new, what is old, and what is missing in between;
numbers and volumes are for people, to order what was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson

from runfmt.documents import replace, sync
from runfmt.errors import Error, FormatError, UsageError
from runfmt_sync.configuration import NAME
from runfmt_sync.digests import Proof
from runfmt_sync.plan import Held
from runfmt_sync.state import state_folder
from runfmt_sync.wire import entries_from_json, entries_to_json

__all__ = ["Base", "Inbound", "Number", "Outbox", "channel_problem"]

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def channel_problem(name: str) -> str | None:
    """What is wrong with a channel's name, or None (B021)."""
    return None if NAME.fullmatch(name) else f"a channel's name {name!r} must match {NAME.pattern} [B021]"


@dataclass(frozen=True)
class Base:
    """What is there of a run as far as it was sent, and the version that brought the last of it."""

    version: str = ""
    entries: Mapping[str, Held] = field(default_factory=dict)


def _base_to_json(base: Base) -> dict[str, Any]:
    return {"version": base.version, "entries": entries_to_json(base.entries)}


def _base_from_json(said: Mapping[str, Any]) -> Base:
    return Base(said["version"], entries_from_json(said["entries"]))


@dataclass
class Number:
    """A bundle: what of each run was there before it, so that it can be made again.

    ``follows`` is the number that it builds on, 0 if it is the first, None if it stands for itself;
    ``since`` the store whose receipt it builds on; ``edition`` how often it was made again.
    """

    number: int
    follows: int | None = None
    since: str = ""
    edition: int = 0
    runs: dict[str, Base] = field(default_factory=dict)


class Outbox:
    """The sender's book of a channel; one process has it open at a time.

    ``number`` is the last bundle begun, of which ``volume`` volumes are whole, and more are to come if
    it ``is_open``; ``chain`` is the last one that belongs to the channel's chain. ``runs`` is what
    that chain has brought, ``begun`` what the open bundle has.
    """

    def __init__(self, channel: str) -> None:
        if wrong := channel_problem(channel):
            raise UsageError(wrong)
        self.channel = channel
        self._folder = state_folder() / "channels" / channel

    def __enter__(self) -> Outbox:
        from filelock import FileLock, Timeout

        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise Error(f"another bundle of channel {self.channel} is being made: wait for it") from None
        self._load()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _load(self) -> None:
        said = _read(self._folder / "sent.json")
        self.number, self.volume = said.get("number", 0), said.get("volume", 0)
        self.is_open, self.chain = said.get("open", False), said.get("chain", 0)
        self._last: str = said.get("last", "")
        self.runs = {uid: _base_from_json(base) for uid, base in said.get("runs", {}).items()}
        self.begun = {uid: _base_from_json(base) for uid, base in said.get("begun", {}).items()}

    def keep(self) -> None:
        """Make what is known durable."""
        said = {
            "number": self.number,
            "volume": self.volume,
            "open": self.is_open,
            "chain": self.chain,
            "last": self._last,
            "runs": {uid: _base_to_json(base) for uid, base in self.runs.items()},
            "begun": {uid: _base_to_json(base) for uid, base in self.begun.items()},
        }
        replace(self._folder / "sent.json", orjson.dumps(said))

    def next_version(self) -> str:
        """The time, but later than all versions before."""
        now = datetime.now(timezone.utc)
        if self._last:
            last = datetime.strptime(self._last, _TIME).replace(tzinfo=timezone.utc)
            now = max(now, last + timedelta(microseconds=1))
        self._last = now.strftime(_TIME)
        return self._last

    def begin(self, number: int, volume: int) -> None:
        """A bundle has been begun, of which so many volumes are whole."""
        self.number, self.volume, self.is_open = number, volume, True

    def forget(self, files: Mapping[tuple[str, str], Proof]) -> None:
        """Be unsure of files that are about to be seen with other contents than were sent last."""
        for (uid, path), proof in files.items():
            for runs in (self.runs, self.begun):
                if uid in runs and path in runs[uid].entries and runs[uid].entries[path].proof != proof:
                    kept = {name: held for name, held in runs[uid].entries.items() if name != path}
                    runs[uid] = Base(runs[uid].version, kept)

    def brought(self, volume: int, runs: Mapping[str, Base], *, is_chained: bool) -> None:
        """One more volume is whole, and with it these runs."""
        self.volume = volume
        self.begun |= runs
        if is_chained:
            self.runs |= runs

    def end(self, number: Number) -> None:
        """A bundle is whole."""
        if number.number == self.number:
            self.is_open = False
            self.chain = self.chain if number.follows is None else number.number

    def load(self, number: int) -> Number:
        """A bundle that was made. Raises ``UsageError`` if there is none of that number."""
        said = _read(self._path(number))
        if not said:
            raise UsageError(f"channel {self.channel} has no number {number}: its last one is {self.number}")
        runs = {uid: _base_from_json(base) for uid, base in said["runs"].items()}
        return Number(number, said["follows"], said["since"], said["edition"], runs)

    def save(self, number: Number) -> None:
        """Keep of a bundle what is needed to make it again."""
        runs = {uid: _base_to_json(base) for uid, base in number.runs.items()}
        said = {"follows": number.follows, "since": number.since, "edition": number.edition, "runs": runs}
        replace(self._path(number.number), orjson.dumps(said))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"


def _read(path: Path) -> dict[str, Any]:
    """A book, empty if there is none. Raises ``FormatError`` if it cannot be read."""
    try:
        said = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise FormatError("B022", "the book of a channel cannot be read: restore it, or remove it", str(path))
    return said


class Inbound:
    """The receiver's book of a channel.

    ``runs`` are the versions that were applied, by uid; ``refused`` those that were refused for good.
    ``numbers`` maps a number to what it follows and to the volumes that have come, by edition.
    """

    def __init__(self, folder: Path, channel: str) -> None:
        self.channel = channel
        self._path = folder / f"{channel}.json"
        said = _read(self._path)
        self.runs: dict[str, str] = said.get("runs", {})
        self.refused: dict[str, str] = said.get("refused", {})
        self.numbers: dict[str, dict[str, Any]] = said.get("numbers", {})

    def note(self, number: int, follows: int | None, edition: int, volume: int, is_last: bool) -> None:
        """A volume has come."""
        known = self.numbers.setdefault(str(number), {"follows": follows, "editions": {}})
        come = known["editions"].setdefault(str(edition), {"volumes": [], "last": 0})
        come["volumes"] = sorted({*come["volumes"], volume})
        come["last"] = volume if is_last else come["last"]

    def keep(self) -> None:
        """Make it durable."""
        self._path.parent.mkdir(exist_ok=True)
        said = {"runs": self.runs, "refused": self.refused, "numbers": self.numbers}
        replace(self._path, orjson.dumps(said))
        sync(self._path.parent.parent)

    def missing(self) -> Iterator[tuple[int, str]]:
        """The numbers of which something is missing, and what (B022)."""
        for number in sorted(map(int, self.numbers)):
            if what := self._missing_volumes(number):
                yield number, what
        chained = [int(n) for n, known in self.numbers.items() if known["follows"] is not None]
        number = max(chained, default=0)
        while number > 0:
            known = self.numbers.get(str(number))
            if known is None:
                yield number, "all of it"
            number = number - 1 if known is None else known["follows"] or 0

    def _missing_volumes(self, number: int) -> str:
        """What is missing of a number; nothing once it is whole in one edition."""
        editions = self.numbers[str(number)]["editions"].values()
        if any(_is_whole(come) for come in editions):
            return ""
        come = max(editions, key=lambda come: len(come["volumes"]))
        top = come["last"] or come["volumes"][-1]
        gaps = [str(volume) for volume in range(1, top + 1) if volume not in come["volumes"]]
        if not come["last"]:
            gaps.append(f"all after {top}")
        return f"volume {', '.join(gaps)}"


def _is_whole(come: Mapping[str, Any]) -> bool:
    return bool(come["last"]) and come["volumes"] == [*range(1, come["last"] + 1)]
