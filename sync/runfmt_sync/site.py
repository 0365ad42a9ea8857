"""Runs behind the URL of a server, read and edited as those of a folder: what ``runfmt.Api(url)`` stands on.

The list of the server says what a run is; only its metrics have to be fetched, and are then
read by the same reader as any.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from runfmt.api import Folder, belongs
from runfmt.documents import temporary_folder
from runfmt.editing import author
from runfmt.edits import stamped
from runfmt.errors import CommError, FormatError, RunNotFound, UsageError, warn
from runfmt.history import Problem
from runfmt.layout import CONFIG, EDITS, RUN, id_problem, is_safe, is_stream, is_uid, phase, writer_of
from runfmt.reading import StoredRun
from runfmt.rows import decode_document, encode_document
from runfmt_sync.extents import Span
from runfmt_sync.plan import Ask, Have
from runfmt_sync.remotes import SMALL, Remote, fetch

if TYPE_CHECKING:
    from runfmt_sync.remotes.http import HttpRemote

__all__ = ["Distant", "RemoteRun", "Shelf", "Site"]

TOGETHER = 64
"""Runs whose metrics are fetched at once."""


class Distant(Folder):
    """Runs behind a URL, or those that ``names`` mean: [[entity/]project/]id, or [entity/]project."""

    def __init__(self, url: str, names: list[str]) -> None:
        super().__init__("/".join([url, *names]))
        self._names = names

    def opened(
        self, entity: str | None = None, project: str | None = None, run_id: str | None = None
    ) -> Iterator[StoredRun]:
        """The runs that these mean, all without."""
        raise NotImplementedError

    @property
    def is_one(self) -> bool:
        """Whether the names are those of one run."""
        return bool(self._names) and next(self._by_id(), None) is not None

    def named(self, run_id: str) -> Iterator[StoredRun]:
        """The runs of an id. Raises ``FormatError`` for one that must be refused."""
        yield from self.opened(run_id=run_id)

    def runs(self) -> Iterator[StoredRun]:
        """All that are meant; those that cannot be read are warned of, and left out."""
        if self._names and (found := [*self._by_id()]):
            yield from found
        else:
            entity, project = ([None, None, *self._names])[-2:]
            yield from self.opened(entity, project)

    def _by_id(self) -> Iterator[StoredRun]:
        entity, project, run_id = ([None, None, *self._names])[-3:]
        return self.opened(entity, project, run_id)

    def again(self, run: StoredRun) -> StoredRun:
        """The run as it is now. Raises ``RunNotFound`` if it is gone."""
        for now in self.named(run.id):
            if now.uid == run.uid:
                return now
        raise RunNotFound(f"the run {run.id} is gone ({run.where})")


class Site(Distant):
    """The runs of a server."""

    def __init__(self, remote: HttpRemote, names: list[str]) -> None:
        super().__init__(remote.url, names)
        self.remote = remote

    def opened(
        self, entity: str | None = None, project: str | None = None, run_id: str | None = None
    ) -> Iterator[StoredRun]:
        """The runs that these mean, as the server's list has them."""
        asked = {"project": project, "id": run_id}
        shelf = Shelf(self.remote)
        for row in self.remote.rows(**{key: value for key, value in asked.items() if value is not None}):
            if "refused" in row:
                warn(f"{self.remote.url}/{row['path']} was left out: {row['refused']}", stacklevel=3)
                continue
            if "state" not in row:  # H063
                raise CommError(
                    f"{self.remote.url} is too small a server to read runs at: `runfmt pull "
                    f"{self.remote.url} -o FOLDER` brings them here"
                )
            run = RemoteRun(shelf, row)
            if belongs(run, entity, project):
                shelf.ids[str(run.uid)] = run.id
                yield run

    def sizes(self, run: StoredRun) -> Mapping[str, int]:
        """The files of a run, each with its bytes."""
        return {path: file["size"] for path, file in self.remote.files(str(run.uid)).items()}

    def bring(self, run: StoredRun, path: str) -> Path:
        """A file of a run, fetched."""
        return (run.fetch([path]) if isinstance(run, RemoteRun) else run.path) / path

    def edit(self, run: StoredRun, changes: Mapping[str, Any]) -> None:
        """Say changes, which the server merges with what others say (H050)."""
        try:
            with self.remote.read(str(run.uid), EDITS) as file:
                there = decode_document(file.read())
        except FileNotFoundError:
            there = {}
        entries = stamped(changes, there, round(time.time(), 6), author())
        self._change(run, "PATCH", "/edits", encode_document(entries))

    def delete(self, run: StoredRun) -> None:
        """Remove a run for good: no sync brings it to the server again (H052)."""
        self._change(run, "DELETE")

    def _change(self, run: StoredRun, method: str, where: str = "", body: bytes | None = None) -> None:
        answer = self.remote.request(method, f"/v1/runs/{run.uid}{where}", body=body, bear=(404, 409))
        if answer.status_code == 404:
            raise RunNotFound(f"the run {run.id} is gone ({run.where})")
        if answer.status_code == 409:
            raise UsageError(f"run {run.id} is being written ({run.where}): end the training first")


class Shelf:
    """Files of runs of one list, in a private folder that goes with this object.

    Who reads the metrics of a run will read those of the next: what is small is fetched together.
    ``ids`` are those of the runs, by uid; ``is_needed`` says which files a run is made of.
    """

    def __init__(self, remote: Remote, is_needed: Callable[[str], bool] | None = None) -> None:
        self.remote, self._is_needed = remote, is_needed or _is_read
        self.ids: dict[str, str] = {}
        self._haves: dict[str, Have] = {}
        self._read: set[str] = set()

    def sizes(self, uid: str) -> dict[str, int]:
        """The files of a run, each with its bytes. Raises ``FileNotFoundError`` if the run is gone."""
        if uid not in self._haves:
            uids = self._next(uid, self._haves)
            found = self.remote.have([Ask(one, "", {}) for one in uids])
            self._haves |= {one: found.get(one, Have()) for one in uids}
        have = self._haves[uid]
        if not have.entries:
            raise FileNotFoundError(errno.ENOENT, have.refused or "the run is gone", self.ids[uid])
        return {path: held.length for path, held in have.entries.items()}

    def metrics(self, uid: str) -> Path:
        """The folder of a run, with its documents and metrics."""
        needed = [path for path in self.sizes(uid) if self._is_needed(path)]
        if uid not in self._read:
            self._fetch_small(self._next(uid, self._read))
        return self.bring(uid, needed)

    def bring(self, uid: str, paths: Iterable[str]) -> Path:
        """The folder of a run, with these files too."""
        for path in filter(is_safe, paths):
            if not self._place(uid, path).exists():
                with self.remote.read(uid, path) as source, open(self._place(uid, path), "xb") as file:
                    shutil.copyfileobj(source, file)
        return self._folder / uid / self.ids[uid]

    def _fetch_small(self, uids: list[str]) -> None:
        """Fetch what is small; what changes meanwhile is left to who asks for it."""
        wanted = [
            (uid, Span(path, 0, held.length))
            for uid in uids
            if uid in self._haves
            for path, held in sorted(self._haves[uid].entries.items(), key=lambda item: phase(item[0]))
            if self._is_needed(path) and held.length <= SMALL
        ]
        for (uid, span), data in zip(wanted, fetch(self.remote, wanted), strict=True):
            if data is not None:
                self._place(uid, span.path).write_bytes(data)
        self._read.update(uids)

    def _next(self, uid: str, known: Container[str]) -> list[str]:
        """Some runs of the list of which nothing is known yet, from this one on."""
        uids = [*self.ids]
        return [one for one in uids[uids.index(uid) :] if one not in known][:TOGETHER]

    def _place(self, uid: str, path: str) -> Path:
        place = self._folder / uid / self.ids[uid] / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    @cached_property
    def _folder(self) -> Path:
        return temporary_folder(self)


def _is_read(path: str) -> bool:
    """Whether a file is needed to read the metrics of a run."""
    return path in (RUN, CONFIG, EDITS) or writer_of(path) is not None


class RemoteRun(StoredRun):
    """A run of a server, as its row says (H040); the metrics are fetched when they are asked for."""

    def __init__(self, shelf: Shelf, row: Mapping[str, Any]) -> None:
        self._shelf, self._row = shelf, row
        self.document, self._document_problems = _document(row["attributes"]), []
        if wrong := id_problem(self.id):  # it becomes the name of a folder here, as the uid does
            raise FormatError("R013", f"id {self.id!r} {wrong}", shelf.remote.url)
        if not is_uid(str(self.uid)):
            raise FormatError("R010", f"uid {self.uid!r} is no UUID in lower case", shelf.remote.url)

    @cached_property
    def path(self) -> Path:  # type: ignore[override]
        """A private folder that goes with this object, with the documents and metrics of the run."""
        return self._shelf.metrics(str(self.uid))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The files of the run, each with its bytes."""
        return self._shelf.sizes(str(self.uid))

    def fetch(self, paths: Iterable[str]) -> Path:
        """Fetch files that are not here yet; gives the folder."""
        return self._shelf.bring(str(self.uid), paths)

    @property
    def where(self) -> str:
        """Where the run is, for people."""
        project = self.attributes["project"]
        return "/".join([self._shelf.remote.url, *([project] if project else []), self.id])

    url = where

    def state(self, now: float | None = None) -> str:
        """The state that the server derived."""
        return str(self._row["state"])

    @property
    def length(self) -> int:
        """How many rows the server found; of a run that it is still reading they are counted here."""
        return super().length if "pending" in self._row else int(self._row["rows"])

    @cached_property
    def newest_line(self) -> float:
        """The time that the server found."""
        return float(self._row["time"])

    @cached_property
    def stream_names(self) -> list[str]:
        """The names of the streams, sorted."""
        return sorted(filter(is_stream, self.sizes))

    @cached_property
    def files(self) -> list[str]:
        """The paths of everything that the server has of the run, sorted."""
        return sorted(self.sizes)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """``run.json`` with the edits laid over."""
        return self.document

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` with the edits laid over."""
        return self._config

    @cached_property
    def _config(self) -> dict[str, Any]:
        return _document(self._row["config"])

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary with the edits laid over; of a run that the server is still reading it is made here."""
        return super().summary if "pending" in self._row else _document(self._row["summary"])

    @property
    def unreadable(self) -> list[Problem]:
        """Nothing: what the server could not read is not in its row."""
        return []

    def events(self, kind: str = "events", writer: str = "main") -> list[dict[str, Any]]:
        """The good lines of another stream, which is fetched."""
        self.fetch(name for name in self.stream_names if writer_of(name, kind) == writer)
        return super().events(kind, writer)


def _document(said: Any) -> dict[str, Any]:
    """A document out of a row, non-finite numbers put back (R035)."""
    try:
        return decode_document(orjson.dumps(said))
    except FormatError as error:
        raise FormatError(error.rule, f"the server says what is no document: {error.message}") from None
