"""What the server does, without HTTP: a store, an index of it, and who may see and do what."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from runfmt.documents import read_document
from runfmt.errors import FormatError
from runfmt.layout import EDITS, RUN
from runfmt.reading import StoredRun
from runfmt.rows import decode_document
from runfmt_sync import bundle
from runfmt_sync.digests import KnownDigests
from runfmt_sync.extents import Extent, Piece, Refused, Wanted, piece_at
from runfmt_sync.inventory import run_digest
from runfmt_sync.plan import Ask, Have
from runfmt_sync.server.folder import Paced, mark_of
from runfmt_sync.server.reading import Absent, Reading
from runfmt_sync.server.records import Audit, Counters
from runfmt_sync.server.tokens import Caller, TokenFile, Tokens
from runfmt_sync.store import Store

if TYPE_CHECKING:
    from runfmt_sync.server.shared import SharedStore

__all__ = ["Service"]

LOOK_EVERY = 1.0
"""Seconds, at least, between two looks for runs that were copied in by hand."""
REST = 10
"""So many times as long as a look took there is none: of many runs it takes a while."""
NOT_HIS = "the run is of another project than the token"
PROJECT = "/project"
"""The pointer of an edit of the project that a run is shown in."""


class Service:
    """May be called from several threads; what a caller may not see is not there for him."""

    def __init__(self, store: Store | SharedStore, tokens: Tokens) -> None:
        self.store, self.tokens = store, tokens
        self.counters = Counters()
        self._audit = Audit(self.store.private / "audit.jsonl")
        self._digests = KnownDigests(self.store.private / "digests.jsonl")
        self.reading = Reading(self.store.private, self.store.private / "index")
        self.reading.keep_only(self.store.runs)
        self._projects = _Projects()
        is_folder = isinstance(store, Store)  # where it is not told what changed, and has to search
        self._look = Paced(store.look, LOOK_EVERY, REST) if is_folder else store.look

    @classmethod
    def of(cls, root: Path) -> Service:
        """The service of a folder, which is made a store if it is none."""
        store = Store(root)
        store.prepare()
        return cls(store, Tokens(TokenFile(store)))

    def close(self) -> None:
        """Close what is open."""
        self.reading.close()
        self._audit.close()
        if not isinstance(self.store, Store):
            self.store.close()

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

    def folders(self) -> list[Path]:
        """The folders of all runs."""
        self._look()
        return [*self.store.runs.values()]

    def rows(self, caller: Caller, **wanted: Any) -> tuple[list[dict[str, Any]], str | None]:
        """A list of runs (H040, H041)."""
        self._look()
        return self.reading.rows(self.store.runs, self.store.root, may_see=caller.may_see, **wanted)

    def about(self, uid: str, caller: Caller) -> dict[str, Any]:
        """What is to be said of a run but its rows (H061). Raises ``Absent``."""
        return self.reading.about(self.visible(caller), self.store.root, uid)

    def visible(self, caller: Caller) -> Mapping[str, Path]:
        """The folder of each run that the caller may see, by uid."""
        self._look()
        return self.store.runs if caller.project is None else _His(self.store.runs, caller, self._projects)

    def mark(self) -> str:
        """What changes when runs come or go."""
        return mark_of(self.store.runs)

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

    def fetch(self, wanted: Iterable[Wanted], caller: Caller) -> Iterator[Piece]:
        """The extents that spans are; what is not there so, or not for this caller, is left out (H047)."""
        runs = self.visible(caller)
        for uid, span in wanted:
            with suppress(Absent, FileNotFoundError):
                if piece := piece_at(self.reading.file(runs, uid, span.path), uid, span):
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
        visible = self.visible(caller)
        if self._moves(uid, decode_document(data), caller):
            raise Refused(NOT_HIS)
        edits = self.reading.edit(visible, uid, data, caller.name)
        self.store.edited(uid)
        self._audit.wrote(caller.name, "edit", uid, bytes=len(data))
        return edits

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
            body = [b"".join(sent)] if extent.path in (RUN, EDITS) else sent
            if self._is_his(extent.uid, caller) and self._stays(extent, body, caller):
                yield extent, body
            else:
                refused[extent.uid] = Refused(NOT_HIS)

    def _stays(self, extent: Extent, body: Iterable[bytes], caller: Caller) -> bool:
        """Whether a run is of the caller's project with this too."""
        if caller.project is None or extent.path not in (RUN, EDITS):
            return True
        try:
            document = decode_document(b"".join(body))
        except FormatError:
            return False
        if extent.path == EDITS:
            return not self._moves(extent.uid, document, caller)
        return extent.offset == 0 and caller.may_see(document.get("project", ""))

    def _moves(self, uid: str, edits: Mapping[str, Any], caller: Caller) -> bool:
        """Whether edits show a run in another project than the caller's, and nobody else's did so before."""
        entry = edits.get(PROJECT)
        if caller.project is None or not isinstance(entry, dict) or caller.may_see(entry.get("value", "")):
            return False
        folder = self.store.runs.get(uid)
        with suppress(FormatError, OSError):
            return folder is None or read_document(folder / EDITS).get(PROJECT) != entry
        return True

    def _is_his(self, uid: str, caller: Caller) -> bool:
        folder = self.store.runs.get(uid)
        return folder is None or caller.project is None or caller.may_see(self._projects.of(folder))

    def _folder(self, uid: str, caller: Caller) -> Path:
        self._look()
        folder = self.store.runs.get(uid)
        if folder is None or not self._is_his(uid, caller):
            raise Absent(f"there is no run {uid}")
        return folder


class _Projects:
    """Of which project runs are, as their trainers recorded it; a document is read again only if it moved."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], object]] = {}

    def of(self, folder: Path) -> object:
        """The project of a run, None if it cannot be told."""
        try:
            status = os.lstat(folder / RUN)
            look = status.st_size, status.st_mtime_ns, status.st_ino
            known = self._known.get(folder)
            if known is None or known[0] != look:
                known = self._known[folder] = look, StoredRun(folder).document.get("project", "")
            return known[1]
        except (FormatError, OSError):
            return None


class _His(Mapping[str, Path]):
    """The runs of the project of a caller, each looked at when it is asked for."""

    def __init__(self, runs: Mapping[str, Path], caller: Caller, projects: _Projects) -> None:
        self._runs, self._caller, self._projects = runs, caller, projects

    def __getitem__(self, uid: str) -> Path:
        folder = self._runs[uid]
        if not self._caller.may_see(self._projects.of(folder)):
            raise KeyError(uid)
        return folder

    def __iter__(self) -> Iterator[str]:
        return (uid for uid in dict(self._runs) if uid in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
