"""A directory of runs that takes extents: the one rule that applies them.

Stream: the offset is what is there → append; already there with the same bytes →
nothing to do; something missing before it → refused; other bytes → diverged.
File: put aside until it is whole and its digest right, then renamed into place.
So repeating, reordering, interrupting and racing are all harmless.

A new run is put together in ``.incoming/<uid>`` and appears by one rename when its
``run.json`` is in. In a run that readers can see, what has a phase is durable
before the next phase begins.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from runfmt.documents import read_document, remove_folder, replace_document
from runfmt.editing import lay_edits_together
from runfmt.errors import Error, FormatError, explain
from runfmt.layout import (
    EDITS,
    PRIVATE_LOCK,
    PRIVATE_STORE,
    RUN,
    id_problem,
    is_safe,
    is_stream,
    is_uid,
    phase,
)
from runfmt.reading import StoredRun, find_runs
from runfmt_sync.digests import Changed, KnownDigests, Proof, prove_file
from runfmt_sync.extents import Extent, Piece
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Inventory, committed_size, known_of, scan, signatures
from runfmt_sync.plan import Ask, Have, Held

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["Refused", "Store"]

INCOMING = ".incoming"
TRIES = 3
ONE_RUN = {
    errno.EACCES,
    errno.EFBIG,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
}
"""What is refused of one file while others may be fine: FAT has no files of 4 GiB, and few signs in names."""
DEEPEST = 128
"""Folders in folders that are made: who walks through them must be able to."""
MANY = 32
"""Files from which it pays to have all of them written at once."""


class Refused(Error):
    """An extent that does not fit to what is there; nothing of it was kept.

    ``again``: it may fit after asking anew what is there.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class Store:
    """A directory of runs. Raises ``OSError`` where the disk does, ``Refused`` where the rule does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = _read_id(root)
        self._folders: dict[str, Path] = {}
        self._refusals: dict[str, str] = {}
        self._names: dict[str, Path] = {}
        self.look()

    @property
    def private(self) -> Path:
        """Where the store keeps what is its own."""
        return self.root / PRIVATE_STORE

    def look(self) -> None:
        """Find the runs that are there: some may have been copied in, moved or removed by hand."""
        for uid, folder in [*self._folders.items()]:
            if uid in self._refusals or not (folder / RUN).exists():  # or mended by hand
                self._refusals.pop(uid, None)
                self._folders.pop(uid, None)
                self._names.pop(str(folder).lower(), None)
        for folder in find_runs(self.root) if self.root.is_dir() else ():
            if str(folder).lower() not in self._names:
                self._register(folder)

    def prepare(self) -> None:
        """Make the folder a store, if it is none yet; opening one writes nothing."""
        if not self.id:
            self.root.mkdir(exist_ok=True)
            with self.lock("store"):
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
        return folder if folder is not None and (folder / RUN).exists() else None

    def folder_of(self, uid: str) -> Path | None:
        """Where a run lies, seen or still incoming."""
        if folder := self.seen(uid):
            return folder
        incoming = self.root / INCOMING / uid
        return incoming if is_uid(uid) and incoming.is_dir() else None

    # What is there

    def have(self, asks: Iterable[Ask], digests: KnownDigests, *, believe: bool = True) -> dict[str, Have]:
        """What is here of runs, of those that are not the same as asked."""
        self.check()
        found = ((ask.uid, self._have(ask, digests, believe)) for ask in asks)
        return {uid: have for uid, have in found if have is not None}

    def _have(self, ask: Ask, digests: KnownDigests, believe: bool) -> Have | None:
        if ask.uid in self._refusals:
            return Have(refused=self._refusals[ask.uid])
        for _ in range(TRIES):
            try:
                return self._look(ask, digests, believe)
            except (Changed, FileNotFoundError):
                continue  # another sync is at it
            except OSError as error:
                return Have(refused=str(_refusal(error)))
        self.check()
        return Have(refused="it changes while it is read: sync again")

    def _look(self, ask: Ask, digests: KnownDigests, believe: bool) -> Have | None:
        folder = self.folder_of(ask.uid)
        if folder is None:
            return Have(staged=self._staged(ask.uid), deleted=self.deleted(ask.uid))
        key = folder.relative_to(self.root).as_posix()
        seen = folder == self._folders.get(ask.uid)
        if seen and believe:
            standing = digests.standing(key, signatures(folder))
            if standing is not None and (standing.uid, standing.digest) == (ask.uid, ask.digest):
                return None
        entries, problems = scan(folder, digests.of(key) if believe else {}, at=ask.streams)
        found = Inventory(folder, ask.uid, "", entries)
        is_whole = seen and all(entry.length == entry.proof.size for entry in entries.values())
        digests.remember(key, known_of(entries), found.standing if is_whole and not problems else None)
        if is_whole and found.digest == ask.digest:
            return None
        held = {path: Held(entry.length, entry.proof) for path, entry in entries.items()}
        if not seen:
            held.pop(RUN, None)  # what makes the run appear has to come again
        return Have(held, self._staged(ask.uid))

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
        """Remove a run, and remember that: it is not taken again. Gives the time, also if it was before.

        Raises ``FileNotFoundError`` if it never was here. A run that is copied here by hand is here again.
        """
        self.check()
        if not self.folder_of(uid) and not self.deleted(uid):
            raise FileNotFoundError(errno.ENOENT, "there is no such run", uid)
        with self.lock(uid[-2:]):
            if not self.deleted(uid):
                self._tombstone(uid).parent.mkdir(exist_ok=True)
                replace_document(self._tombstone(uid), {"time": _now(), "by": by})
            fault_point("delete.tombstone")
            while (folder := self.folder_of(uid)) is not None:
                remove_folder(folder)
            shutil.rmtree(self.parts(uid), ignore_errors=True)
        self.look()
        return self.deleted(uid)

    def deleted(self, uid: str) -> str:
        """When a run was deleted, empty if it was not."""
        return str(read_document(self._tombstone(uid)).get("time", "")) if is_uid(uid) else ""

    def _tombstone(self, uid: str) -> Path:
        return self.private / "deleted" / f"{uid}.json"

    # Applying

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Apply extents, sorted by run and in the order of committing; gives the runs that were refused.

        All is durable when this returns. New runs share a barrier, and appear after it.
        """
        self.check()
        refused: dict[str, Refused] = {}
        with _Batch(self, refused) as batch:
            for uid, group in groupby(pieces, key=lambda piece: piece[0].uid):
                batch.apply(uid, group)
            batch.finish()
        return refused

    def lock(self, name: str) -> FileLock:
        """A lock among all who write to the store; runs share 256 of them, so that they stay few."""
        from filelock import FileLock  # 20 ms, and most syncs write nothing

        folder = self.private / "locks"
        folder.parent.mkdir(exist_ok=True)  # never the root: a stick may have been taken away
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{name}{PRIVATE_LOCK}")

    def publish(self, uid: str, barrier: _Barrier) -> None:
        """Let an incoming run appear, by one rename."""
        incoming = self.root / INCOMING / uid
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


def _refusal(error: OSError) -> Refused:
    """What a disk refuses of one run; raises again what it would refuse of all."""
    if error.errno not in ONE_RUN:
        raise error
    return Refused(f"the remote cannot take it: {explain(error)}")


class _Batch:
    """Runs that are applied together; their locks are held until they have appeared.

    Locks are taken in one order, and given back before it would be broken, so that
    two batches never wait for each other.
    """

    def __init__(self, store: Store, refused: dict[str, Refused]) -> None:
        self._store, self._refused = store, refused
        self._barrier = _Barrier()
        self._incoming: list[str] = []
        self._locks = ExitStack()
        self._last = ""

    def __enter__(self) -> _Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def apply(self, uid: str, pieces: Iterable[Piece]) -> None:
        """Apply the extents of one run."""
        if not is_uid(uid):
            self._refused[uid] = Refused(f"{uid!r} is no uid [R010]")
            return
        self._take_lock(uid[-2:])
        with self._refusals(uid):
            if not self._store.seen(uid) and (time := self._store.deleted(uid)):
                raise Refused(f"the run was deleted here at {time}", again=True)
            if _Application(self._store, uid, self._barrier).apply(pieces):
                self._incoming.append(uid)

    def _take_lock(self, name: str) -> None:
        if name < self._last:
            self.finish()
        if name != self._last:
            self._locks.enter_context(self._store.lock(name))
            self._last = name

    def finish(self) -> None:
        """Make all durable, let new runs appear, and let others at the runs."""
        self._barrier.wait()
        for uid in self._incoming:
            with self._refusals(uid):
                self._store.publish(uid, self._barrier)
        self._barrier.wait()
        self._locks.close()
        self._incoming, self._last = [], ""

    @contextmanager
    def _refusals(self, uid: str) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            self._refused[uid] = error
        except FormatError as error:
            self._refused[uid] = Refused(str(error))
        except OSError as error:
            if error.errno == errno.EACCES and uid not in self._store.runs:
                raise  # where nothing new can be made, no run can
            self._refused[uid] = _refusal(error)


class _Barrier:
    """What has to become durable together."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.folders: set[Path] = set()
        self.renames: dict[Path, Path] = {}

    def wait(self) -> None:
        """Make the files durable, then let those appear that are to be renamed."""
        fault_point("store.before-fsync")
        written = [*self.files, *self.renames]
        if len(written) > MANY:
            _start_writing(written[0])
        for path in written:
            _fsync(path)
        fault_point("store.before-rename")
        for part, path in self.renames.items():
            os.replace(part, path)
            self.folders.add(path.parent)
            fault_point("store.renamed")
        for folder in self.folders:
            _fsync_folder(folder)
        self.files, self.folders, self.renames = [], set(), {}


class _Application:
    """The extents of one run being applied, under its lock; a new run waits for the common barrier."""

    def __init__(self, store: Store, uid: str, common: _Barrier) -> None:
        self._uid, seen = uid, store.seen(uid)
        self.visible = seen is not None
        self.folder = seen or store.root / INCOMING / uid
        self._parts = store.parts(uid)
        self._barrier = _Barrier() if self.visible else common
        self._checked: set[Path] = set()

    def apply(self, pieces: Iterable[Piece]) -> bool:
        """Apply them in their order; gives whether the run is new and now whole."""
        reached = 0
        is_old = self.folder.exists()
        self._make(self.folder)
        for extent, body in pieces:
            _check(extent)
            if self.visible and phase(extent.path) != reached:
                self._barrier.wait()
            reached = phase(extent.path)
            self._make((self.folder / extent.path).parent)
            if extent.whole is None:
                self._append(extent, body)
            elif extent.path == EDITS:
                self._merge(extent, body)
            else:
                self._take(extent, extent.whole, body)
        if self.visible:
            self._barrier.wait()
            with suppress(OSError):  # pieces of other files may be there
                self._parts.rmdir()
        if self.visible or reached != phase(RUN):
            return False
        if is_old:  # a sync that was killed may have left bytes that are not durable yet
            for path in self.folder.rglob("*"):
                self._wrote(path)
        return True

    def _make(self, folder: Path) -> None:
        """Make a folder of the run, through no symbolic link (R006)."""
        if folder in self._checked:
            return
        if folder != self.folder:
            self._make(folder.parent)
            if folder.is_symlink():
                raise Refused(f"{folder} is a symbolic link: nothing is written through it [R006]")
        if not folder.is_dir():
            if folder == self.folder:
                folder.parent.mkdir(exist_ok=True)  # never the root: a stick may have been taken away
            folder.mkdir(exist_ok=True)
            self._barrier.folders.add(folder.parent)
        self._checked.add(folder)

    def _append(self, extent: Extent, body: Iterable[bytes]) -> None:
        path = self.folder / extent.path
        with _open(path) as file:
            append(file, extent, body)
        self._wrote(path)

    def _wrote(self, path: Path) -> None:
        self._barrier.files.append(path)
        self._barrier.folders.add(path.parent)

    def _take(self, extent: Extent, whole: Proof, body: Iterable[bytes]) -> None:
        """A file or a piece of one; in a run that is seen it appears at the barrier after it is whole."""
        path = self.folder / extent.path
        in_place = not self.visible and extent.length == whole.size
        part = path if in_place else self._part(whole.digest)
        data = b"".join(body)
        _check_digest(extent, data)
        if part in self._barrier.renames:  # another file with the same bytes, that has to have its name first
            self._barrier.wait()
        if extent.offset and not part.exists() and _is(path, whole):
            return  # it became whole before
        with _open(part) as file:
            if extent.offset > (there := file.seek(0, os.SEEK_END)):
                raise Refused(f"{extent.path}: only {there:,} bytes of it are here", again=True)
            _write(file, extent.offset, data)
            fault_point("store.part")
            end = extent.offset + extent.length
            if end < whole.size:
                return
            file.truncate(end)
            if extent.length < end and prove_file(file) != whole:
                part.unlink()
                raise Refused(f"{extent.path}: its pieces do not make the file; it starts anew", again=True)
        if self.visible:
            if extent.path == RUN and read_document(part).get("uid") != self._uid:
                part.unlink()
                raise Refused(f"{RUN} is of another run than {self._uid} [R016]")
            self._barrier.renames[part] = path
            return
        if not in_place:
            os.replace(part, path)
        self._wrote(path)

    def _part(self, digest: str) -> Path:
        self._parts.parent.mkdir(exist_ok=True)
        self._parts.mkdir(exist_ok=True)
        return self._parts / digest

    def _merge(self, extent: Extent, body: Iterable[bytes]) -> None:
        """``edits.json`` is never replaced: both sides' edits are kept (R096)."""
        data = b"".join(body)
        _check_digest(extent, data)
        try:
            lay_edits_together(self.folder, data)
        except (FormatError, TimeoutError) as error:
            raise Refused(str(error)) from None
        fault_point("store.merged")


def append(file: BinaryIO, extent: Extent, body: Iterable[bytes]) -> None:
    """Append an extent to a stream that is open for reading and writing, unbuffered.

    Of each chunk only the last has the LF that commits it, so the last is held
    back until the digest is right. Raises ``Refused``; the stream is then as it was.
    """
    there = committed_size(file)
    if extent.offset > there:
        raise Refused(f"{extent.path}: only {there:,} bytes are here", again=True)
    file.truncate(there)  # an unterminated tail; never a line
    digest, offset, held = hashlib.sha256(), extent.offset, b""
    for chunk in body:
        digest.update(chunk)
        known = min(max(there - offset, 0), len(chunk))
        file.seek(offset)
        if known and file.read(known) != chunk[:known]:
            raise Refused(f"{extent.path} has diverged: other bytes are here", again=True)
        _write(file, max(offset - len(held), there), held)
        held, offset = chunk[known:], offset + len(chunk)
    if offset != extent.offset + extent.length or digest.hexdigest() != extent.sha256 or not _ends_line(held):
        file.truncate(there)
        raise Refused(f"{extent.path}: an extent arrived with another digest than was announced", again=True)
    fault_point("store.append")
    _write(file, offset - len(held), held)
    fault_point("store.appended")


def _ends_line(held: bytes) -> bool:
    return not held or held.endswith(b"\n")


def _is(path: Path, whole: Proof) -> bool:
    """Whether a file is there with these contents."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != whole.size:
        return False
    with open(path, "rb") as file:
        return prove_file(file) == whole


def _open(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    return open(descriptor, "r+b", buffering=0)


def _write(file: BinaryIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _check(extent: Extent) -> None:
    if not is_safe(extent.path):
        raise Refused(f"{extent.path!r} may not be written [R007]")
    if extent.path.count("/") > DEEPEST:
        raise Refused(f"{extent.path[:80]}...: folders in folders in folders, more than {DEEPEST}")
    if (extent.whole is None) != is_stream(extent.path):
        raise Refused(f"{extent.path}: a stream goes in lines, a file whole [R003, R004]")


def _check_digest(extent: Extent, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != extent.sha256:
        raise Refused(f"{extent.path}: an extent arrived with another digest than was announced", again=True)


def _start_writing(path: Path) -> None:
    """Let the file system write all it has in one go, so that the fsyncs that follow find little to do.

    Only a hint, eight times faster for many small files; the guarantee is theirs.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            ctypes.CDLL(None).syncfs(descriptor)
        finally:
            os.close(descriptor)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_folder(path: Path) -> None:
    try:
        _fsync(path)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.EACCES,
            errno.ENOTSUP,
        ):  # some file systems have no such thing
            raise


def _read_id(root: Path) -> str:
    """The identity of a store, empty if it has none yet."""
    with suppress(FormatError, NotADirectoryError):
        known = read_document(root / PRIVATE_STORE / "store.json").get("id")
        if isinstance(known, str) and re.fullmatch(r"[0-9a-f-]{36}", known):
            return known
    return ""


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _make_id(root: Path) -> str:
    made = str(uuid.uuid4())
    replace_document(root / PRIVATE_STORE / "store.json", {"id": made})
    return made
