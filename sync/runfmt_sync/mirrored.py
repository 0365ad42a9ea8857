"""Runs in a mirror that has no list, read and edited as those of a folder: an object store.

What a run is, its documents and its lines say, so those are fetched, for many runs at once; the rest
is when it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from runfmt.api import belongs
from runfmt.editing import author
from runfmt.edits import stamped
from runfmt.errors import FormatError, UsageError, warn
from runfmt.layout import EDITS, is_stream
from runfmt.reading import StoredRun
from runfmt.rows import decode_document, encode_document
from runfmt_sync.digests import prove_bytes
from runfmt_sync.extents import Span, piece_of
from runfmt_sync.inventory import DOCUMENTS
from runfmt_sync.remotes import Mirror
from runfmt_sync.site import Distant, Shelf

__all__ = ["Mirrored"]


class Mirrored(Distant):
    """The runs of a mirror."""

    def __init__(self, remote: Mirror, names: list[str]) -> None:
        super().__init__(remote.url, names)
        self.remote = remote

    def opened(
        self, entity: str | None = None, project: str | None = None, run_id: str | None = None
    ) -> Iterator[StoredRun]:
        """The runs that these mean, as their documents say."""
        shelf = Shelf(self.remote, _is_needed)
        ids = self.remote.ids()
        shelf.ids = {uid: known for uid, known in ids.items() if run_id in (None, known)}
        for uid in shelf.ids:
            try:
                run = MirroredRun(shelf, uid)
            except (FormatError, FileNotFoundError) as error:
                warn(f"{self.remote.url}/{shelf.ids[uid]} was left out: {error}", stacklevel=3)
                continue
            if belongs(run, entity, project):
                yield run

    def sizes(self, run: StoredRun) -> Mapping[str, int]:
        """The files of a run, each with its bytes."""
        return run.sizes if isinstance(run, MirroredRun) else super().sizes(run)

    def bring(self, run: StoredRun, path: str) -> Path:
        """A file of a run, fetched."""
        return (run.fetch(path) if isinstance(run, MirroredRun) else run.path) / path

    def edit(self, run: StoredRun, changes: Mapping[str, Any]) -> None:
        """Say changes, which are merged with what others say (R096)."""
        uid = str(self.again(run).uid)
        try:
            with self.remote.read(uid, EDITS) as file:
                there = decode_document(file.read())
        except FileNotFoundError:
            there = {}
        data = encode_document(stamped(changes, there, round(time.time(), 6), author()))
        piece = piece_of(uid, Span(EDITS, 0, len(data), prove_bytes(data)), data)
        for error in self.remote.apply([piece]).values():
            raise error

    def delete(self, run: StoredRun) -> None:
        """Remove a run for good: no sync brings it again."""
        now = self.again(run)
        if now.state() == "running":
            raise UsageError(f"run {run.id} is being written ({run.where}): end the training first")
        self.remote.delete(str(now.uid), author())


class MirroredRun(StoredRun):
    """A run in a mirror, whose documents and lines were fetched; other files are when they are asked for."""

    def __init__(self, shelf: Shelf, uid: str) -> None:
        self._shelf, self._uid = shelf, uid
        super().__init__(shelf.metrics(uid))

    @property
    def where(self) -> str:
        """Where the run is, for people."""
        project = self.attributes["project"]
        return "/".join([self._shelf.remote.url, *([project] if project else []), self.id])

    url = where

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The files of the run, each with its bytes."""
        return self._shelf.sizes(self._uid)

    @cached_property
    def files(self) -> list[str]:
        """The paths of everything that the mirror has of the run, sorted."""
        return sorted(self.sizes)

    def fetch(self, path: str) -> Path:
        """Fetch a file that is not here yet; gives the folder."""
        return self._shelf.bring(self._uid, [path])


def _is_needed(path: str) -> bool:
    return path in DOCUMENTS or (is_stream(path) and path.endswith(".jsonl"))
