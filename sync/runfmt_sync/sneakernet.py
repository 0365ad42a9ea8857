"""Runs in files, to be carried over any gap: a push to a remote that nobody can ask.

What it *has* is what is known of the other side: a receipt, or what the channel has sent. What it
takes goes into volumes, each written under a private name, made durable, signed, and renamed.
The book of the channel is kept so that a crash at any moment costs only sending something twice:
what a volume may bring is forgotten before it is seen, and known again after.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from runfmt.documents import move, replace, sync_directory, temporary_beside
from runfmt.errors import CommError, UsageError, explain
from runfmt.layout import EDITS
from runfmt_sync import bundle
from runfmt_sync.channels import Base, Number, Outbox
from runfmt_sync.digests import Proof
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.places import ReceiptRemote, seen_from
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.push import Outcome, Progress, Push
from runfmt_sync.signing import ENDING, SecretKey, sign
from runfmt_sync.words import counted, human

__all__ = ["SUFFIX", "BundleRemote", "Written", "host_channel", "lines", "parse_size", "write_bundle"]

SUFFIX = ".runfmt"
SMALLEST = 2**20
"""Least bytes of a volume."""
MOST_DATA = bundle.MAX_UNPACKED // 2
"""Bytes of extents in one volume, so that it unpacks to less than a reader's limit."""


def host_channel() -> str:
    """The channel of a machine that was given none: its name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", os.uname().nodename).strip(".-_")[:64] or "host"


def parse_size(text: str) -> int:
    """Bytes, ``4G``, ``700M``, or a plain number. Raises ``UsageError``."""
    found = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = int(found[1]) * 2 ** (10 * " KMGT".index(found[2].upper() or " ")) if found else 0
    if size < SMALLEST:
        raise UsageError(f"{text!r} is no size of at least 1M: write it as 4G or 700M")
    return size


@dataclass
class Written:
    """What became of a bundle: its number, its files (none if nothing was to be written), and its runs.

    ``absent`` are runs that a bundle held when it was made first and that were not found now.
    """

    channel: str
    number: int
    paths: list[Path]
    outcomes: list[Outcome]
    absent: int

    @property
    def is_good(self) -> bool:
        """Whether it holds all that it should."""
        return not self.absent and all(outcome.status != "failed" for outcome in self.outcomes)


def lines(written: Written) -> Iterator[str]:
    """What to say of a bundle."""
    for outcome in written.outcomes:
        yield from (f"{outcome.id}: {problem} ({outcome.folder})" for problem in outcome.problems)
        yield from (f"  note: {outcome.id}: {note}" for note in outcome.notes)
    if written.absent:
        yield f"of number {written.number}, {written.absent} runs were not found: name all folders of runs"
    if not written.paths:
        yield "nothing new: no file was written"
        return
    runs = counted(sum(outcome.status == "synced" for outcome in written.outcomes), "run")
    size = human(sum(path.stat().st_size for path in written.paths))
    files = counted(len(written.paths), "file")
    yield f"{written.channel}, number {written.number}: {runs}, {size} in {files}"
    yield from (f"  {path}" for path in written.paths)


def write_bundle(
    folders: Sequence[Path],
    folder: Path,
    *,
    channel: str | None = None,
    since: ReceiptRemote | None = None,
    again: int | None = None,
    max_size: int = 4 * 2**30,
    key: SecretKey | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write what the other side has not into files in ``folder``, each smaller than ``max_size`` bytes.

    ``again`` makes the bundle of that number once more, with the runs that were in it as they are now.
    Raises ``CommError`` when the folder takes no more; files that are whole stay, and the next call goes on.
    """
    with Outbox(channel or host_channel()) as outbox:
        chained = channel is not None
        remote = BundleRemote(
            folder, outbox, is_chained=chained, since=since, again=again, max_size=max_size, key=key
        )
        try:
            push = Push(remote, progress=progress)
            outcomes = push.run(folders)
            if push.fault:
                raise push.fault
            remote.close()
        finally:
            remote.abandon()
        absent = remote.count_absent(outcome.uid for outcome in outcomes)
        return Written(outbox.channel, remote.number, remote.paths, outcomes, absent)


class _Volume:
    """A file that is being written under a private name. Raises ``OSError``."""

    def __init__(self, path: Path, version: str, limit: int, manifest: Mapping[str, Any]) -> None:
        self.path, self.version = path, version
        self.runs: dict[str, str] = {}
        self.files: dict[tuple[str, str], Proof] = {}
        self._limit, self._size, self._data = limit, 0, 0
        self._writer, self._digest = bundle.Writer(), hashlib.blake2b()
        self.temporary = temporary_beside(path)
        self._file = open(self.temporary, "xb")  # noqa: SIM115
        with _frame(lambda file: self._writer.begin(file, manifest)) as frame:
            self._append(frame)

    def add(self, group: bundle.Group, after: Mapping[str, str]) -> bool:
        """Write a group if it fits; ``after`` are the versions that its runs build on."""
        length = sum(extent.length for extent in group.extents)
        writer = self._writer.copy()
        with _frame(lambda file: writer.add(file, group)) as frame:
            room = self._limit - self._size - 1024 - 80 * len(self.runs.keys() | after.keys())
            if frame.tell() >= room or (self.runs and self._data + length > MOST_DATA):
                return False
            self._append(frame)
        self._writer, self._data = writer, self._data + length
        self.runs = {**after, **self.runs}
        self.files |= {(e.uid, e.path): e.whole for e in group.extents if e.whole}
        fault_point("bundle.group")
        return True

    def finish(self, *, last: bool, key: SecretKey | None) -> None:
        """Write the end, make the file durable, and put its signature beside the place where it will be."""
        with _frame(lambda file: self._writer.end(file, last=last, after=self.runs)) as frame:
            self._append(frame)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        fault_point("bundle.written")
        beside = self.path.with_name(self.path.name + ENDING)
        if key:
            replace(beside, sign(self._digest.digest(), self.path.name, key).encode())
        else:
            beside.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)

    def _append(self, frame: BinaryIO) -> None:
        frame.seek(0)
        while chunk := frame.read(2**20):
            self._digest.update(chunk)
            self._size += self._file.write(chunk)


@contextmanager
def _frame(write: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What is written, compressed by itself, so that its size is known before it goes into a volume."""
    with tempfile.SpooledTemporaryFile(bundle.IN_MEMORY) as spool:
        file = cast(BinaryIO, spool)
        with bundle.packed(file) as packed:
            write(packed)
        yield file


class BundleRemote:
    """A :class:`runfmt_sync.remotes.Remote` that knows by a book what it has, and takes all into volumes."""

    store_id = ""

    def __init__(
        self,
        folder: Path,
        outbox: Outbox,
        *,
        is_chained: bool = False,
        since: ReceiptRemote | None = None,
        again: int | None = None,
        max_size: int = 4 * 2**30,
        key: SecretKey | None = None,
    ) -> None:
        self.url = str(folder)
        self.paths: list[Path] = []
        self._folder, self._outbox, self._key, self._max_size = folder, outbox, key, max_size
        self._is_chained, self._since, self._again = is_chained, since, again
        self._lock = threading.Lock()
        self._volume: _Volume | None = None
        self._bases: dict[str, Base] = {}
        self._last: dict[str, str] = {}
        self._arrived: dict[str, dict[str, int | Proof]] = {}
        self._done: dict[str, dict[str, Held]] = {}
        self._same: set[str] = set()

    # Which bundle it is

    def prepare(self) -> None:
        """See that the folder is there, and which number is due."""
        if not self._folder.parent.is_dir():
            raise CommError(
                f"there is no folder {self._folder.parent} for {self._folder}: mount it, or make it"
            )
        with self._faults():
            self._folder.mkdir(exist_ok=True)
            for left in self._folder.glob(f".{self._outbox.channel}-*{SUFFIX}.*.tmp"):
                left.unlink()
            self._number = self._due()
        if self._again is None and not self._goes_on:
            self._outbox.begun.clear()
        self._count = self._outbox.volume if self._goes_on else 0

    @property
    def number(self) -> int:
        """The number of the bundle."""
        return self._number.number

    @property
    def _goes_on(self) -> bool:
        """Whether the bundle was begun by a call that did not come to its end."""
        return self._again is None and self._outbox.is_open and self._outbox.number == self.number

    def _due(self) -> Number:
        outbox = self._outbox
        if self._again is not None:
            number = outbox.load(self._again)
            number.edition += 1
            outbox.save(number)
            return number
        if outbox.is_open:
            number = outbox.load(outbox.number)
            if (number.follows is not None) == self._is_chained:
                return number
        follows = None if not self._is_chained else 0 if self._since else outbox.chain
        since = self._since.store_id if self._since else ""
        return Number(max(outbox.number, self._highest()) + 1, follows, since)

    def _highest(self) -> int:
        """The highest number that lies in the folder: the book may have been lost."""
        names = (path.name for path in self._folder.glob(f"{self._outbox.channel}-*{SUFFIX}"))
        found = (
            re.fullmatch(r"(\d{6,})-\d+\.runfmt", name[len(self._outbox.channel) + 1 :]) for name in names
        )
        return max((int(number[1]) for number in found if number), default=0)

    def count_absent(self, uids: Iterable[str]) -> int:
        """The runs of a bundle that is made again which are not among these."""
        return 0 if self._again is None else len(self._number.runs.keys() - set(uids))

    # What is there

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is known to be at the other side, or in the volumes, of runs that are not the same."""
        with self._lock:
            found = ((ask.uid, self._have(ask)) for ask in asks)
            return {uid: have for uid, have in found if have is not None}

    def _have(self, ask: Ask) -> Have | None:
        if self._again is not None and ask.uid not in self._number.runs:
            return None  # it is not asked for
        base, arrived = self._base(ask.uid), self._arrived.pop(ask.uid, {})
        there: dict[str, int | Proof] = {path: held.proof for path, held in base.entries.items()}
        there |= arrived
        if all(there.get(path) in (proof, proof.size) for path, proof in ask.proofs.items()):
            if not arrived and self._again is not None:
                self._same.add(ask.uid)
            if arrived:
                self._done[ask.uid] = {path: Held(proof.size, proof) for path, proof in ask.proofs.items()}
            return None
        entries = {path: seen_from(path, held, ask) for path, held in base.entries.items()}
        if EDITS in entries and entries[EDITS].proof != ask.proofs.get(EDITS):
            del entries[EDITS]  # both sides' are laid together there (R096)
        return Have(entries)

    def _base(self, uid: str) -> Base:
        """What of a run is there before this call."""
        if self._again is not None:
            return self._number.runs[uid]
        if uid in self._outbox.begun:
            return self._outbox.begun[uid]
        if self._since:
            return Base("", self._since.entries(uid))
        return self._outbox.runs.get(uid, Base()) if self._is_chained else Base()

    # What it takes

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Put extents into volumes."""
        refused: dict[str, Refused] = {}
        small = self._small(_true(pieces), refused)
        for group in bundle.groups(small, min(bundle.GROUP, self._max_size // 4)):
            with self._lock, self._faults():
                self._add(group)
                self._note(group)
        return refused

    def _small(self, pieces: Iterable[Piece], refused: dict[str, Refused]) -> Iterator[Piece]:
        """The pieces, but of a run no more after one that no volume may hold."""
        for extent, body in pieces:
            if extent.length > self._max_size * 0.98 - 2**14:
                size = f"{extent.length:,} bytes in one piece"
                refused[extent.uid] = Refused(f"{extent.path}: {size} do not fit: take a larger --max-size")
            if extent.uid not in refused:
                yield extent, body

    def _add(self, group: bundle.Group) -> None:
        for uid in {extent.uid for extent in group.extents}:
            self._bases.setdefault(uid, self._base(uid))
        after = {e.uid: self._last.get(e.uid) or self._bases[e.uid].version for e in group.extents}
        self._volume = self._volume or self._open()
        if not self._volume.add(group, after):
            self._finish(self._volume)
            self._volume = self._open()
            if not self._volume.add(group, after):
                raise CommError(f"{self._max_size:,} bytes are too few: take a larger --max-size")
        self._last |= dict.fromkeys(after, self._volume.version)

    def _note(self, group: bundle.Group) -> None:
        """Remember what has come of each run."""
        for extent in group.extents:
            arrived = self._arrived.setdefault(extent.uid, {})
            end = extent.offset + extent.length
            if extent.whole is None:
                arrived[extent.path] = end
            elif end == extent.whole.size:
                arrived[extent.path] = extent.whole

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """Nothing can be read from there."""
        raise CommError(f"{self.url}: a bundle is not read from while it is made")

    def ids(self) -> dict[str, str]:
        """Nobody can say."""
        return {}

    # Volumes

    def _open(self) -> _Volume:
        self._count += 1
        path = self._folder / f"{self._outbox.channel}-{self.number:06}-{self._count}{SUFFIX}"
        version = self._outbox.next_version()
        manifest: dict[str, Any] = {
            "channel": self._outbox.channel,
            "number": self.number,
            "edition": self._number.edition,
            "volume": self._count,
            "created_at": version,
        }
        if self._number.follows is not None:
            manifest["follows"] = self._number.follows
        if self._number.since:
            manifest["since"] = self._number.since
        return _Volume(path, version, self._max_size, manifest)

    def close(self) -> None:
        """Finish the last volume; nothing is written if there is nothing to write."""
        with self._lock, self._faults():
            same = {uid: self._number.runs[uid].version for uid in self._same - self._last.keys()}
            if same:  # they are now as they were before: those that wait for this number need to know
                self._volume = self._volume or self._open()
                self._volume.runs |= same
            is_begun = self._goes_on or self.paths
            if self._volume and not self._volume.runs and not is_begun:
                self.abandon()
            if self._volume or is_begun:
                self._finish(self._volume or self._open(), last=True)
                self._remove_others()

    def abandon(self) -> None:
        """Leave nothing of a volume that is not whole."""
        if self._volume:
            self._volume.abandon()
            self._volume = None

    def _finish(self, volume: _Volume, *, last: bool = False) -> None:
        volume.finish(last=last, key=self._key)
        self._be_unsure(volume)
        fault_point("bundle.forgotten")
        move(volume.temporary, volume.path)
        sync_directory(self._folder)
        fault_point("bundle.renamed")
        self._be_sure(volume, last)
        fault_point("bundle.recorded")
        self.paths.append(volume.path)
        self._volume = None

    def _be_unsure(self, volume: _Volume) -> None:
        """Before a volume is seen: keep how to make it again, forget what it may change there."""
        bases = {uid: self._bases[uid] for uid in volume.runs.keys() & self._bases.keys()}
        self._number.runs = {**bases, **self._number.runs}
        self._outbox.save(self._number)
        if self._again is None:
            self._outbox.begin(self.number, self._count - 1)
        self._outbox.forget(volume.files)
        self._outbox.keep()

    def _be_sure(self, volume: _Volume, last: bool) -> None:
        """When a volume can be seen: keep what has been sent. What was made again changes nothing in that."""
        whole = [uid for uid in self._done if self._last[uid] <= volume.version]
        brought = {uid: Base(self._last[uid], self._done.pop(uid)) for uid in whole}
        if self._again is None:
            self._outbox.brought(self._count, brought, is_chained=self._is_chained)
        if last:
            self._outbox.end(self._number)
        self._outbox.keep()

    def _remove_others(self) -> None:
        """Remove volumes of this number that a call left that was killed, or that made it before."""
        name = f"{self._outbox.channel}-{self.number:06}-"
        for path in self._folder.glob(f"{name}*{SUFFIX}"):
            volume = path.name[len(name) : -len(SUFFIX)]
            if volume.isdigit() and int(volume) > self._count:
                path.unlink()
                path.with_name(path.name + ENDING).unlink(missing_ok=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the disk refuses ends it; what is whole stays."""
        try:
            yield
        except OSError as error:
            raise CommError(
                f"{self.url} takes no more: {explain(error)}; the files that are whole stay: put in another "
                "disk or make room, then call it again, and it goes on with the next file"
            ) from error


def _true(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, but of a run no more after a file that was changed while it was read."""
    wrong, digest = "", None
    for extent, body in pieces:
        if extent.uid == wrong:
            continue
        if extent.whole is not None:
            data = b"".join(body)
            digest = hashlib.sha256() if extent.offset == 0 else digest
            if digest:
                digest.update(data)
            is_end = extent.offset + extent.length == extent.whole.size
            if is_end and digest and digest.hexdigest() != extent.whole.tail:
                wrong = extent.uid
                continue
            body = (data,)  # noqa: PLW2901
        yield extent, body
