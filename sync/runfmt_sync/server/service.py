"""What the server does, without HTTP: a store, an index of it, and who may see and do what."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from runfmt.editing import lay_edits_together
from runfmt.edits import overlay
from runfmt.errors import FormatError
from runfmt.layout import EDITS, RUN, is_safe
from runfmt.reading import StoredRun, has_crashed
from runfmt.rows import decode_document
from runfmt_sync import bundle
from runfmt_sync.digests import KnownDigests
from runfmt_sync.extents import Extent, Piece, Refused, Wanted, piece_at
from runfmt_sync.inventory import run_digest
from runfmt_sync.plan import Ask, Have
from runfmt_sync.server.index import Index
from runfmt_sync.server.records import Audit, Counters
from runfmt_sync.server.tokens import Caller, Tokens
from runfmt_sync.store import Store

__all__ = ["Absent", "Service"]

LOOK_EVERY = 1.0
"""Seconds, at least, between two looks for runs that were copied in by hand."""
REST = 10
"""So many times as long as a look took there is none: of many runs it takes a while."""
PAGE = 1000
"""Most rows of a list."""
NOT_HIS = "the run is of another project than the token"


class Absent(LookupError):
    """There is nothing of that name for this caller."""


class Service:
    """May be called from several threads; what a caller may not see is not there for him."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.store.prepare()
        self.tokens = Tokens(self.store)
        self.counters = Counters()
        self._audit = Audit(self.store.private / "audit.jsonl")
        self._digests = KnownDigests(self.store.private / "digests.jsonl")
        self._index = Index(self.store.private / "index.sqlite")
        self._index.keep_only(self.store.runs)
        self._looking = threading.Lock()
        self._look_at = time.monotonic() + LOOK_EVERY

    def close(self) -> None:
        """Close what is open."""
        self._audit.close()

    def try_to_write(self) -> None:
        """Find out whether runs can be taken. Raises ``OSError``."""
        self.store.check()
        with tempfile.TemporaryFile(dir=self.store.private) as file:
            file.write(b"x")

    # What is there

    def have(self, asks: Iterable[Ask], caller: Caller, *, believe: bool) -> dict[str, Have]:
        """What is there of runs, of those that are not the same."""
        self._look()
        his: list[Ask] = []
        others: dict[str, Have] = {}
        for ask in asks:
            if self._is_his(ask.uid, caller):
                his.append(ask)
            else:
                others[ask.uid] = Have(refused=NOT_HIS)
        return {**others, **self.store.have(his, self._digests, believe=believe)}

    def runs(
        self,
        caller: Caller,
        *,
        project: str | None = None,
        run_id: str | None = None,
        after: str = "",
        limit: int = PAGE,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """So many rows behind one, in the order of their uids; and the last uid, if there are more (H041)."""
        self._look()
        found: list[dict[str, Any]] = []
        folders = sorted(item for item in dict(self.store.runs).items() if item[0] > after)
        for start in range(0, len(folders), PAGE):
            part = folders[start : start + PAGE]
            for row, (_, folder) in zip(self._index.rows(part), part, strict=True):
                about = row.get("attributes", {})
                if not caller.may_see(row.pop("owner", None)):
                    continue
                if project not in (None, about.get("project")) or run_id not in (None, about.get("id")):
                    continue
                if len(found) == limit:
                    return found, found[-1]["uid"]
                found.append(self._shown(row, folder))
        return found, None

    def _shown(self, row: dict[str, Any], folder: Path) -> dict[str, Any]:
        """A row with what changes without a file moving."""
        row["path"] = folder.relative_to(self.store.root).as_posix()
        if row.get("state") == "running" and has_crashed(row["time"]):
            row["state"] = "crashed"
        return row

    def run(self, uid: str, caller: Caller) -> dict[str, Any]:
        """The files of a run, size and digest of each (H042). Raises ``Absent``, ``Refused``, ``OSError``."""
        folder = self._folder(uid, caller)
        have = self.store.have([Ask(uid, "", {})], self._digests)[uid]
        if have.refused:
            raise Refused(f"the run must be refused: {have.refused}")
        proofs = {path: held.proof for path, held in have.entries.items()}
        files = {path: {"size": proof.size, "sha256": proof.digest} for path, proof in proofs.items()}
        return {
            "uid": uid,
            "id": StoredRun(folder).id,
            "digest": run_digest(proofs.items()),
            "files": files,
        }

    def file(self, uid: str, path: str, caller: Caller) -> Path:
        """Where a file of a run lies; no link is followed to it (R006). Raises ``Absent``."""
        folder = self._folder(uid, caller)
        with suppress(OSError):  # of names that are too long, say
            if is_safe(path) and _is_reached(folder, path) and (folder / path).is_file():
                return folder / path
        raise Absent(f"{uid} has no such file")

    def fetch(self, wanted: Iterable[Wanted], caller: Caller) -> Iterator[Piece]:
        """The extents that spans are; what is not there so, or not for this caller, is left out (H047)."""
        for uid, span in wanted:
            with suppress(Absent, FileNotFoundError):
                if piece := piece_at(self.file(uid, span.path, caller), uid, span):
                    yield piece

    # What changes it

    def apply(self, file: BinaryIO, caller: Caller) -> dict[str, Refused]:
        """Apply a bundle that was checked; all is durable when this returns."""
        refused: dict[str, Refused] = {}
        extents, sizes = Counter[str](), Counter[str]()

        def counted(pieces: Iterable[Piece]) -> Iterator[Piece]:
            for extent, body in pieces:
                extents[extent.uid] += 1
                sizes[extent.uid] += extent.length
                yield extent, body

        begun = time.monotonic()
        found = self.store.apply(counted(self._his(bundle.pieces(file), caller, refused)))
        refused = {**found, **refused}
        self.counters.add("runfmt_apply_seconds_total", time.monotonic() - begun)
        self.counters.add("runfmt_applied_extents_total", sum(extents.values()))
        self.counters.add("runfmt_applied_bytes_total", sum(sizes.values()))
        self.counters.add("runfmt_refused_runs_total", len(refused))
        for uid in {**sizes, **refused}:
            why = {"refused": str(refused[uid])} if uid in refused else {}
            self._audit.wrote(caller.name, "append", uid, bytes=sizes[uid], **why)
        return refused

    def edit(self, uid: str, data: bytes, caller: Caller) -> bytes:
        """Merge edits into a run (R096); gives what is there then. Raises ``FormatError`` for none."""
        folder = self._folder(uid, caller)
        if overlay({"config": {}, "summary": {}}, decode_document(data))[1]:
            raise FormatError("H050", "an entry has not the form of an edit, or may not be edited")
        lay_edits_together(folder, data)
        self._audit.wrote(caller.name, "edit", uid, bytes=len(data))
        return (folder / EDITS).read_bytes()

    def delete(self, uid: str, caller: Caller) -> str:
        """Remove a run, and remember that (H052). Raises ``Absent``, ``Refused`` if it is being written."""
        if (deleted := self.store.deleted(uid)) and not self.store.seen(uid):
            return deleted
        folder = self._folder(uid, caller)
        with suppress(FormatError):
            if StoredRun(folder).state() == "running":
                raise Refused("the run is being written: end the training first")
        deleted = self.store.delete(uid, caller.name)
        self._audit.wrote(caller.name, "delete", uid)
        return deleted

    def _his(self, pieces: Iterable[Piece], caller: Caller, refused: dict[str, Refused]) -> Iterator[Piece]:
        """The pieces that a caller may send; the runs of the others go to ``refused``."""
        for extent, sent in pieces:
            if extent.uid in refused:
                continue
            body = [b"".join(sent)] if extent.path == RUN else sent
            if self._is_his(extent.uid, caller) and (extent.path != RUN or _says(extent, body, caller)):
                yield extent, body
            else:
                refused[extent.uid] = Refused(NOT_HIS)

    def _is_his(self, uid: str, caller: Caller) -> bool:
        folder = self.store.runs.get(uid)
        return folder is None or caller.project is None or caller.may_see(_project(folder))

    def _folder(self, uid: str, caller: Caller) -> Path:
        self._look()
        folder = self.store.runs.get(uid)
        if folder is None or not self._is_his(uid, caller):
            raise Absent(f"there is no run {uid}")
        return folder

    def _look(self) -> None:
        """Find what was put there by hand, if it is time."""
        with self._looking:
            began = time.monotonic()
            if began > self._look_at:
                self.store.look()
                done = time.monotonic()
                self._look_at = done + max(LOOK_EVERY, REST * (done - began))


def _is_reached(folder: Path, path: str) -> bool:
    """Whether no link is on the way to a path."""
    place = folder
    for name in path.split("/"):
        place = place / name
        if place.is_symlink():
            return False
    return True


def _project(folder: Path) -> object:
    try:
        return StoredRun(folder).document.get("project", "")
    except (FormatError, OSError):
        return None


def _says(extent: Extent, body: Iterable[bytes], caller: Caller) -> bool:
    """Whether a whole ``run.json`` is of the caller's project."""
    if caller.project is None:
        return True
    try:
        document = decode_document(b"".join(body))
    except FormatError:
        return False
    return extent.offset == 0 and caller.may_see(document.get("project", ""))
