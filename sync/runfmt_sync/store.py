"""A directory of runs that takes extents (``applying``), and says what it has of them.

What it has confirmed is durable, whoever wrote it: a process that was killed may have
left bytes that no power cut had spared.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from runfmt.documents import read_document, remove_folder, replace_document
from runfmt.errors import FormatError
from runfmt.layout import PRIVATE_STORE, RUN, id_problem, is_safe, is_uid
from runfmt.locks import Locks
from runfmt.reading import StoredRun, find_runs
from runfmt.stores import IDENTITY, bury, deleted, locks_of
from runfmt_sync.applying import Batch, Written, refusal
from runfmt_sync.digests import Changed, Known, KnownDigests
from runfmt_sync.durability import Barrier, Disk
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Inventory, is_known, known_of, scan, signatures
from runfmt_sync.plan import Ask, Have, Held

__all__ = ["Store"]

INCOMING = ".incoming"
TRIES = 3
WRITTEN = 2000
"""Runs of which is kept what was written to them."""


@dataclass(frozen=True)
class _Look:
    """What was found of a run, None if it is as asked; files not known before; and what keeps that."""

    have: Have | None
    news: Collection[Path] = ()
    remember: Callable[[], None] = lambda: None


class Store:
    """A directory of runs. Raises ``OSError`` where the disk does, ``Refused`` where the rule does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = _read_id(root)
        self._folders: dict[str, Path] = {}
        self._refusals: dict[str, str] = {}
        self._names: dict[str, Path] = {}
        self._written: dict[str, Mapping[str, Known]] = {}
        self.pieces = Written()
        self.look()

    @property
    def private(self) -> Path:
        """Where the store keeps what is its own."""
        return self.root / PRIVATE_STORE

    def look(self) -> None:
        """Find the runs that are there: some may have been copied in, moved or removed by hand."""
        known = [*self._folders.items()]
        for uid, folder in known:
            if uid in self._refusals or not os.path.exists(f"{folder}/{RUN}"):  # or mended by hand
                self._refusals.pop(uid, None)
                self._folders.pop(uid, None)
        if len(self._folders) < len(known):  # another copy of what is gone is the run now
            self._names = {str(folder).lower(): folder for folder in [*self._folders.values()]}
        for folder in find_runs(self.root) if self.root.is_dir() else ():
            if str(folder).lower() not in self._names:
                self._register(folder)

    def prepare(self) -> None:
        """Make the folder a store, if it is none yet; opening one writes nothing."""
        if not self.id:
            self.root.mkdir(exist_ok=True)
            with self.locks().take("store"):
                self.id = _read_id(self.root) or _make_id(self.root)

    def check(self) -> None:
        """Raise where the disk was taken away from the mount point: nothing is written below that."""
        if self.id and _read_id(self.root) != self.id:
            raise FileNotFoundError(errno.ENOENT, "the store is gone", str(self.root))

    def _register(self, folder: Path) -> None:
        self._names[str(folder).lower()] = folder
        with suppress(FormatError, OSError):
            document = read_document(folder / RUN)
            uid = document.get("uid")
            if not isinstance(uid, str) or not is_uid(uid):
                return
            self._folders.setdefault(uid, folder)
            if document.get("runfmt") != 1 or document.get("requires") != []:
                try:
                    StoredRun(folder)
                except FormatError as error:
                    self._refusals[uid] = str(error)

    @property
    def runs(self) -> Mapping[str, Path]:
        """The folder of each run that readers can see, by uid."""
        return self._folders

    def seen(self, uid: str) -> Path | None:
        """Where a run lies that readers can see, and that nobody removed meanwhile."""
        folder = self._folders.get(uid)
        return folder if folder is not None and os.path.exists(f"{folder}/{RUN}") else None

    def folder_of(self, uid: str) -> Path | None:
        """Where a run lies, seen or still incoming."""
        if folder := self.seen(uid):
            return folder
        return incoming if is_uid(uid) and (incoming := self.incoming(uid)).is_dir() else None

    def incoming(self, uid: str) -> Path:
        """Where a new run is put together."""
        return self.root / INCOMING / uid

    # What is there

    def have(self, asks: Iterable[Ask], digests: KnownDigests, *, believe: bool = True) -> dict[str, Have]:
        """What is here of runs, of those that are not the same as asked; all of it is durable."""
        self.check()
        looks = {ask.uid: self._try_to_look(ask, digests, believe) for ask in asks}
        self._make_durable([path for look in looks.values() for path in look.news])
        self.check()  # a disk that was taken away has made nothing durable
        for look in looks.values():
            look.remember()
        return {uid: look.have for uid, look in looks.items() if look.have is not None}

    def _try_to_look(self, ask: Ask, digests: KnownDigests, believe: bool) -> _Look:
        if ask.uid in self._refusals:
            return _Look(Have(refused=self._refusals[ask.uid]))
        for _ in range(TRIES):
            try:
                return self._look(ask, digests, believe)
            except (Changed, FileNotFoundError):
                continue  # another sync is at it
            except OSError as error:
                return _Look(Have(refused=str(refusal(error))))
        self.check()
        return _Look(Have(refused="it changes while it is read: sync again"))

    def _look(self, ask: Ask, digests: KnownDigests, believe: bool) -> _Look:
        folder = self.folder_of(ask.uid)
        if folder is None:
            return _Look(Have(staged=self._staged(ask.uid), deleted=self.deleted(ask.uid)))
        key = str(folder)[len(str(self.root)) + 1 :]  # as `relative_to`, in a tenth of its time
        seen = folder == self._folders.get(ask.uid)
        known: dict[str, Known] = {}
        if believe:
            now = signatures(folder) or {}
            standing = digests.standing(key, now) if seen else None
            if standing is not None and (standing.uid, standing.digest) == (ask.uid, ask.digest):
                return _Look(None)
            written = self._written.get(ask.uid, {})
            known = digests.of(key) | {
                path: one for path, one in written.items() if one.signature == now.get(path)
            }
        entries, problems = scan(folder, known, at=ask.streams)
        found = Inventory(folder, ask.uid, "", entries)
        is_whole = seen and all(entry.length == entry.proof.size for entry in entries.values())
        held = {path: Held(entry.length, entry.proof) for path, entry in entries.items()}
        if not seen:
            held.pop(RUN, None)  # what makes the run appear has to come again
        return _Look(
            None if is_whole and found.digest == ask.digest else Have(held, self._staged(ask.uid)),
            [folder / path for path, entry in entries.items() if not is_known(entry, known)],
            partial(
                digests.remember,
                key,
                known_of(entries),
                found.standing if is_whole and not problems else None,
            ),
        )

    def _make_durable(self, files: Collection[Path]) -> None:
        """Make files durable, with all names that lead to them from here."""
        if files:
            inner = {path.parent for path in files}
            above = {folder for path in inner for folder in (path, *path.parents)}
            with Disk(self.root) as disk:
                disk.make_durable(files, above - {*self.root.parents})

    def _staged(self, uid: str) -> dict[str, int]:
        with suppress(FileNotFoundError), os.scandir(self.parts(uid)) as parts:
            return {part.name: part.stat().st_size for part in parts}
        return {}

    def parts(self, uid: str) -> Path:
        """Where files of a run wait until they are whole, named by their digests."""
        return self.root / INCOMING / f"{uid}.parts"

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of a path of a run, from an offset."""
        folder = self._folders.get(uid)
        if folder is None or not is_safe(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{uid}/{path}")
        file = open(folder / path, "rb")  # noqa: SIM115
        file.seek(offset)
        return file

    # Deleting

    def delete(self, uid: str, by: str) -> str:
        """Remove a run, all copies of it, and remember that. Gives the time, also if it was before.

        It is not taken again, but a run that is copied here by hand afterwards is here again. Raises
        ``FileNotFoundError`` if it never was here.
        """
        self.check()
        if not self.folder_of(uid) and not self.deleted(uid):
            raise FileNotFoundError(errno.ENOENT, "there is no such run", uid)
        with self.locks().take(uid):
            bury(self.root, uid, by)
            fault_point("delete.tombstone")
            while (folder := self.folder_of(uid)) is not None:
                remove_folder(folder)
                self.look()  # there may be another copy
            shutil.rmtree(self.parts(uid), ignore_errors=True)
        return self.deleted(uid)

    def deleted(self, uid: str) -> str:
        """When a run was deleted, empty if it was not."""
        return deleted(self.root, uid)

    def edited(self, uid: str) -> None:
        """The edits of a run were changed where it lies, which is all there is to do."""

    # Applying

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Apply extents, sorted by run and in the order of committing; gives the runs that were refused.

        All is durable when this returns. New runs share a barrier, and appear after it.
        """
        self.check()
        refused: dict[str, Refused] = {}
        with Disk(self.root) as disk, Batch(self, disk, refused) as batch:
            for uid, group in groupby(pieces, key=lambda piece: piece[0].uid):
                batch.apply(uid, group)
            batch.finish()
        return refused

    def written(self, written: Mapping[str, Mapping[str, Known]]) -> None:
        """What was applied and is durable: whoever asks next for its digests need not wait for a reading."""
        if len(self._written) > WRITTEN:
            self._written.clear()
        self._written.update(written)

    def locks(self) -> Locks:
        """Locks among all who write to the store, by uid or any name."""
        return locks_of(self.root)

    def publish(self, uid: str, barrier: Barrier) -> None:
        """Let an incoming run appear, by one rename."""
        incoming = self.incoming(uid)
        document = read_document(incoming / RUN)
        if document.get("uid") != uid:
            raise Refused(f"{RUN} is of another run than {uid} [R016]")
        run_id = document.get("id")
        if not isinstance(run_id, str) or (wrong := id_problem(run_id)):
            raise Refused(f"id {run_id!r} {wrong if isinstance(run_id, str) else 'is no text'} [R013]")
        while (target := self._free_folder(uid, run_id)) is not None:
            fault_point("store.before-publish")
            try:
                os.rename(incoming, target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    continue  # another run took the name just now
                raise
            fault_point("store.published")
            self._folders[uid] = self._names[str(target).lower()] = target
            barrier.folders |= {target.parent, incoming.parent}
            return
        shutil.rmtree(incoming)
        raise Refused("another sync brought the run at the same time", again=True)

    def _free_folder(self, uid: str, run_id: str) -> Path | None:
        """``<id>``, or ``<end of uid>/<id>`` where that is taken; None if the run is there already."""
        for folder in (self.root, self.root / uid[-8:]):
            folder.mkdir(exist_ok=True)
            taken = self._taken(folder, run_id)
            if taken is None:
                return folder / run_id
            self._register(taken)
            if self.seen(uid):
                return None
        raise Refused(f"both {run_id} and {uid[-8:]}/{run_id} are taken by other runs: rename one of them")

    def _taken(self, folder: Path, run_id: str) -> Path | None:
        """Who has the name, ignoring case (R015)."""
        if os.path.lexists(folder / run_id):
            return folder / run_id
        known = self._names.get(str(folder / run_id).lower())
        return known if known is not None and os.path.lexists(known) else None


def _read_id(root: Path) -> str:
    """The identity of a store, empty if it has none yet."""
    with suppress(FormatError, NotADirectoryError):
        known = read_document(root / PRIVATE_STORE / IDENTITY).get("id")
        if isinstance(known, str) and re.fullmatch(r"[0-9a-f-]{36}", known):
            return known
    return ""


def _make_id(root: Path) -> str:
    made = str(uuid.uuid4())
    replace_document(root / PRIVATE_STORE / IDENTITY, {"id": made})
    return made
