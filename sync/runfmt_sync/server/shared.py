"""The store of a server with several workers: a mirror that all write to, and each worker's copy of it.

What is confirmed was asked of the mirror, and what is taken is durable there before it is
answered. What people look at is read from the worker's copy, a directory of runs as any, that
follows the mirror: the database says which runs changed, and they are pulled. A copy may be
deleted, and a worker too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runfmt.documents import read_document, remove_folder, replace_document
from runfmt.errors import CommError, FormatError, UsageError
from runfmt.layout import EDITS
from runfmt_sync.digests import KnownDigests, prove_bytes
from runfmt_sync.extents import Piece, Refused, Span, piece_of
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have
from runfmt_sync.pull import MORE_HERE, Puller
from runfmt_sync.remotes import Mirror, open_remote
from runfmt_sync.server.database import Change, Database
from runfmt_sync.server.tokens import Tokens
from runfmt_sync.store import Store

__all__ = ["SharedStore", "open_shared"]

log = logging.getLogger("runfmt.server")


class SharedStore:
    """What a service asks of a :class:`runfmt_sync.store.Store`, of many workers. From several threads."""

    def __init__(self, mirror: Mirror, database: Database, folder: Path) -> None:
        self._mirror, self._database = mirror, database
        mirror.prepare()
        self.id = mirror.store_id
        self._copy = Store(folder)
        self._copy.prepare()
        self._puller = Puller(mirror, self._copy)
        self._mark = self._copy.private / "follows.json"
        self._following, self._noticed = threading.Lock(), -1
        database.know([*mirror.ids()])
        self._seen = self._read_mark()

    @property
    def root(self) -> Path:
        """The folder of the copy."""
        return self._copy.root

    @property
    def private(self) -> Path:
        """Where the worker keeps what is its own."""
        return self._copy.private

    @property
    def runs(self) -> Mapping[str, Path]:
        """The folder of each run in the copy, by uid."""
        return self._copy.runs

    def check(self) -> None:
        """Raise where the copy cannot be written."""
        self._copy.check()

    def seen(self, uid: str) -> Path | None:
        """Where a run lies in the copy."""
        return self._copy.seen(uid)

    def deleted(self, uid: str) -> str:
        """When a run was deleted, empty if it was not."""
        have = self._mirror.have([Ask(uid, "", {})]).get(uid)
        return have.deleted if have else ""

    # The mirror

    def have(self, asks: Iterable[Ask], _: KnownDigests, *, believe: bool = True) -> dict[str, Have]:
        """What is in the mirror of runs, of those that are not the same as asked.

        Who hears of edits reads them next, from the copy, and lays his own over them.
        """
        self._notice()
        found = self._mirror.have([*asks], believe=believe)
        self.look()
        behind = [uid for uid, have in found.items() if self._has_other_edits(uid, have)]
        if behind:  # somebody changed them in the mirror without a word: all are told
            with self._database.writing(behind):
                pass
            self.look()
        return found

    def _has_other_edits(self, uid: str, have: Have) -> bool:
        held, folder = have.entries.get(EDITS), self.seen(uid)
        if held is None or folder is None:
            return False
        try:
            return prove_bytes((folder / EDITS).read_bytes()) != held.proof
        except FileNotFoundError:
            return True

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Apply extents to the mirror, and to the copy as far as it has what is before them."""
        taken = [(extent, [*body]) for extent, body in pieces]
        uids = sorted({extent.uid for extent, _ in taken})
        if not uids:
            return {}
        with self._database.writing(uids):
            self._notice()
            fault_point("shared.locked")
            refused = self._mirror.apply(taken)
            fault_point("shared.applied")
        self._copy.apply(piece for piece in taken if piece[0].uid not in refused)
        return refused

    def edited(self, uid: str) -> None:
        """Bring the edits of a run in the copy to the mirror, where they are merged (R096)."""
        data = (self._copy.runs[uid] / EDITS).read_bytes()
        piece = piece_of(uid, Span(EDITS, 0, len(data), prove_bytes(data)), data)
        for error in self.apply([piece]).values():
            raise error

    def delete(self, uid: str, by: str) -> str:
        """Remove a run for good. Gives the time, also if it was before."""
        with self._database.writing([uid], deleted=True):
            self._notice()
            deleted = self._mirror.delete(uid, by)
        self._forget(uid)
        return deleted

    def _notice(self) -> None:
        """Take notice of what other workers did in the mirror."""
        latest = self._database.latest()
        if latest != self._noticed:
            self._mirror.look()
            self._noticed = latest

    # The copy

    def look(self) -> None:
        """Follow the mirror: pull what changed, forget what was deleted."""
        with self._following:
            changes = self._database.changes(self._seen)
            if not changes:
                return
            if any(change.version == 0 for change in changes) and self._database.take_over():
                changes = self._database.changes(self._seen)
            self._notice()
            try:
                self._follow(changes)
            except CommError as error:
                log.warning("the copy in %s is not up to date: %s", self.root, error)
        self._copy.look()

    def close(self) -> None:
        """Give back what is open."""
        self._database.close()

    def _follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.deleted:
                self._forget(change.uid)
        self._pull([change.uid for change in changes if not change.deleted])
        reached = max((change.version for change in changes), default=self._seen)
        if reached > self._seen:
            self._seen = reached
            replace_document(self._mark, {"store": self.id, "seen": reached}, durable=False)

    def _pull(self, uids: Sequence[str]) -> None:
        """Bring runs into the copy. One that has more than the mirror, restored from a backup, comes anew."""
        if not uids:
            return
        more = MORE_HERE.format(remote=self._mirror.url)
        for is_again in (False, True):
            outcomes, fault = self._puller.pull({uid: uid for uid in uids})
            if fault:
                raise fault
            uids = [outcome.uid for outcome in outcomes if more in outcome.problems]
            for uid in uids if is_again else ():  # or it was taken here just now
                log.warning("the mirror has less of the run %s than it had: its copy is made anew", uid)
                self._forget(uid)
        if uids:
            self._puller.pull({uid: uid for uid in uids})

    def _forget(self, uid: str) -> None:
        """Remove a run from the copy; it may come again."""
        while (folder := self._copy.folder_of(uid)) is not None:
            remove_folder(folder)
            self._copy.look()

    def _read_mark(self) -> int:
        """How far the copy follows; from the beginning if it is of another store."""
        with suppress(FormatError):
            document = read_document(self._mark)
            if document.get("store") == self.id and isinstance(document.get("seen"), int):
                return int(document["seen"])
        return 0


def open_shared(store: str, database: str, folder: Path) -> tuple[SharedStore, Tokens]:
    """The store behind a URL, with a worker's copy of it in a folder, and the tokens in the database."""
    mirror = open_remote(store)
    if not isinstance(mirror, Mirror):
        raise UsageError(f"{store} cannot be the store of a server: name an object store, or a folder")
    folder.mkdir(parents=True, exist_ok=True)
    shared = Database(database)
    return SharedStore(mirror, shared, folder), Tokens(shared.document("tokens"))
