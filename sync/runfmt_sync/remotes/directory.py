"""A directory of runs as a remote: a USB stick, a network share, another disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runfmt.errors import CommError, FormatError, explain, warn
from runfmt.reading import StoredRun
from runfmt_sync.digests import KnownDigests
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.plan import Ask, Have
from runfmt_sync.state import store_state
from runfmt_sync.store import Store

__all__ = ["DirectoryRemote"]


class DirectoryRemote:
    """A :class:`runfmt_sync.remotes.Remote` on a path; a folder that is not there yet holds no runs."""

    def __init__(self, path: str) -> None:
        root = Path(path).expanduser()
        self.url = str(root)
        if not root.parent.is_dir():
            raise CommError(f"there is no folder {root.parent} for the remote {root}: mount it, or make it")
        if root.exists() and not root.is_dir():
            raise CommError(f"the remote {root} is a file: name a folder")
        with self._faults():
            self.store = Store(root)
        self._digests = self._known()

    def _known(self) -> KnownDigests:
        return KnownDigests(store_state(self.store_id) / "digests.jsonl" if self.store_id else None)

    @property
    def store_id(self) -> str:
        """The id in the folder, empty before runs were brought to it."""
        return self.store.id

    def prepare(self) -> None:
        """Make the folder, if its parent is there, and give it an id."""
        if not self.store_id:
            with self._faults():
                self.store.prepare()
            self._digests = self._known()

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is in the directory of runs, of those that are not the same."""
        with self._faults():
            return self.store.have(asks, self._digests, believe=believe)

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Write extents to the directory."""
        with self._faults():
            return self.store.apply(pieces)

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """A file in the directory. Raises ``FileNotFoundError`` for one that is gone."""
        with self._faults(but=FileNotFoundError):
            return self.store.read(uid, path, offset)

    def look(self) -> None:
        """Find the runs that others brought."""
        with self._faults():
            self.store.look()

    def delete(self, uid: str, by: str) -> str:
        """Remove a run, and remember that."""
        with self._faults(but=FileNotFoundError):
            return self.store.delete(uid, by)

    def ids(self) -> dict[str, str]:
        """The id of each run in the directory; a run that must be refused is warned of."""
        return {run.uid: run.id for run in self._runs() if run.uid}

    def _runs(self) -> Iterator[StoredRun]:
        for folder in self.store.runs.values():
            try:
                yield StoredRun(folder)
            except FormatError as error:
                warn(str(error))

    @contextmanager
    def _faults(self, but: type[OSError] | tuple[()] = ()) -> Iterator[None]:
        """What the disk refuses is the remote's fault."""
        try:
            yield
        except but:
            raise
        except OSError as error:
            raise CommError(
                f"the remote {self.url} gave up: {explain(error)}; mend it, then try again"
            ) from error
