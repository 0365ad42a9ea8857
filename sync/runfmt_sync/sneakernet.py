"""Runs in files, to be carried over any gap: a push to a remote that nobody can ask.

What it *has* is what is known of the other side: a receipt, or what the channel has sent (``sending``).
What it takes goes into ``volumes``, each written under a private name, made durable, signed, and renamed.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runfmt.errors import CommError, UsageError, explain
from runfmt_sync import bundle
from runfmt_sync.channels import Outbox
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.places import ReceiptRemote
from runfmt_sync.plan import Ask, Have
from runfmt_sync.push import Outcome, Push
from runfmt_sync.sending import Sending
from runfmt_sync.signing import SecretKey
from runfmt_sync.volumes import Volume, remove_unfinished, remove_volume, volumes_in
from runfmt_sync.words import counted, human

__all__ = ["BundleRemote", "Written", "host_channel", "lines", "parse_size", "write_bundle"]

SMALLEST = 2**20
"""Least bytes of a volume."""


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
) -> Written:
    """Write what the other side has not into files in ``folder``, each smaller than ``max_size`` bytes.

    ``again`` makes the bundle of that number once more, with the runs that were in it as they are now.
    Raises ``CommError`` when the folder takes no more; files that are whole stay, and the next call goes on.
    """
    with Outbox(channel or host_channel()) as outbox:
        sending = Sending(outbox, is_chained=channel is not None, since=since, again=again)
        remote = BundleRemote(folder, sending, max_size=max_size, key=key)
        try:
            push = Push(remote)
            outcomes = push.run(folders)
            if push.fault:
                raise push.fault
            remote.close()
        finally:
            remote.abandon()
        absent = sending.absent(outcome.uid for outcome in outcomes)
        return Written(outbox.channel, sending.number, remote.paths, outcomes, absent)


class BundleRemote:
    """A :class:`runfmt_sync.remotes.Remote` that knows by a book what it has, and takes all into volumes."""

    store_id = ""

    def __init__(
        self, folder: Path, sending: Sending, *, max_size: int = 4 * 2**30, key: SecretKey | None = None
    ) -> None:
        self.url = str(folder)
        self.paths: list[Path] = []
        self._folder, self._sending, self._max_size, self._key = folder, sending, max_size, key
        self._lock = threading.Lock()
        self._volume: Volume | None = None

    def prepare(self) -> None:
        """See that the folder is there, and which number is due."""
        if not self._folder.parent.is_dir():
            raise CommError(
                f"there is no folder {self._folder.parent} for {self._folder}: mount it, or make it"
            )
        with self._faults():
            self._folder.mkdir(exist_ok=True)
            remove_unfinished(self._folder, self._sending.channel)
            there = volumes_in(self._folder, self._sending.channel)
            self._sending.begin(max((number for number, _, _ in there), default=0))

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is known to be at the other side, or in the volumes, of runs that are not the same."""
        with self._lock:
            found = ((ask.uid, self._sending.have(ask)) for ask in asks)
            return {uid: have for uid, have in found if have is not None}

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Put extents into volumes."""
        refused: dict[str, Refused] = {}
        small = self._small(_true(pieces), refused)
        for group in bundle.groups(small, min(bundle.GROUP, self._max_size // 4)):
            with self._lock, self._faults():
                self._add(group)
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
        after = self._sending.after(group)
        volume = self._volume or self._open()
        if not volume.add(group, after):
            self._finish(volume)
            volume = self._open()
            if not volume.add(group, after):
                raise CommError(f"{self._max_size:,} bytes are too few: take a larger --max-size")
        self._sending.put(group, volume.version)

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """Nothing can be read from there."""
        raise CommError(f"{self.url}: a bundle is not read from while it is made")

    def ids(self) -> dict[str, str]:
        """Nobody can say."""
        return {}

    # Volumes

    def _open(self) -> Volume:
        self._volume = Volume(self._folder, self._sending.next_volume(), self._max_size)
        return self._volume

    def close(self) -> None:
        """Finish the last volume; nothing is written if there is nothing to write."""
        with self._lock, self._faults():
            if unchanged := self._sending.unchanged():
                volume = self._volume or self._open()
                volume.runs |= unchanged
            if self._volume or self.paths or self._sending.goes_on:
                self._finish(self._volume or self._open(), last=True)
                self._remove_others()

    def abandon(self) -> None:
        """Leave nothing of a volume that is not whole."""
        if self._volume:
            self._volume.abandon()
            self._volume = None

    def _finish(self, volume: Volume, *, last: bool = False) -> None:
        volume.finish(last=last)
        self._sending.be_unsure(volume)
        fault_point("bundle.forgotten")
        volume.appear(self._key)
        fault_point("bundle.renamed")
        self._sending.be_sure(volume, last=last)
        fault_point("bundle.recorded")
        self.paths.append(volume.path)
        self._volume = None

    def _remove_others(self) -> None:
        """Remove volumes of this number that a call left that was killed, or that made it before."""
        for number, volume, path in [*volumes_in(self._folder, self._sending.channel)]:
            if number == self._sending.number and volume > self._sending.volume:
                remove_volume(path)

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
