"""Replaces and reads files. The only module that replaces a file (R004)."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from runfmt.errors import FormatError
from runfmt.rows import decode_document, encode_document

__all__ = [
    "copy_named",
    "create",
    "keep_aside",
    "leave_to_system",
    "lock",
    "make_durable",
    "make_folder",
    "may_be_file",
    "move",
    "open_lock",
    "read_document",
    "release",
    "remove_folder",
    "replace",
    "replace_document",
    "sync",
    "temporary_beside",
    "temporary_folder",
]

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system says that has no locks."""
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EACCES)
"""What a file system says that has no such thing, cannot be written, or shows no names."""
PIECE = 2**20
"""Bytes of a file that are held at a time while it is copied."""


def replace(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o666) -> None:
    """Give a file new contents as a whole: a reader sees the old or the new, never a mixture.

    ``mode`` are its permissions, less the umask. With ``durable`` the contents and the
    name are on disk when this returns. Raises ``OSError``; the old contents then stand, and
    nothing is left behind.
    """
    temporary = temporary_beside(path)
    try:
        with (
            _named(path),
            open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file,
        ):
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which file it was, which the system does not when it refuses to write into an open one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def replace_document(
    path: Path, document: Mapping[str, Any], *, durable: bool = True, mode: int = 0o666
) -> None:
    """Write a JSON document whole (R090)."""
    replace(path, encode_document(document), durable=durable, mode=mode)


def copy_named(
    source: Path, folder: Path, name: Callable[[str], str], *, keep: bool = False, durable: bool = False
) -> tuple[Path, str, int]:
    """Copy a file in pieces, as a whole: ``name`` gives the copy's name in the folder from its SHA-256.

    Gives path, SHA-256 and size of the copy. With ``keep`` a file that is there under the
    name with the same size stays as it is; with ``durable`` the contents are fsynced before they
    replace others. Raises ``OSError``; nothing is left behind then.
    """
    import hashlib  # loads OpenSSL, which `import runfmt` has no time for

    temporary, digest, size = temporary_beside(folder / "copy"), hashlib.sha256(), 0
    try:
        with _named(folder), open(source, "rb") as original, open(temporary, "xb") as file:
            while piece := original.read(PIECE):
                digest.update(piece)
                size += file.write(piece)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        target = folder / name(digest.hexdigest())
        if not (keep and target.is_file() and target.stat().st_size == size):
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target, digest.hexdigest(), size


def create(path: Path, *, binary: bool, encoding: str | None = None) -> IO[Any]:
    """Open a new private file, to be moved into its place when it is whole."""
    return open(path, "xb") if binary else open(path, "x", encoding=encoding or "utf-8")


def may_be_file(path: Path) -> bool:
    """Whether it is a file, or something that the disk refuses to tell of: who reads it will know."""
    try:
        return path.is_file()
    except OSError:
        return True


def move(source: Path, path: Path) -> None:
    """Put a file that is whole into its place, by a copy where that is on another disk."""
    try:
        os.replace(source, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_named(source, path.parent, lambda _: path.name)


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON document; one that is absent is empty.

    Raises ``FormatError`` (R091) if it is there and is no JSON object, ``OSError`` if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return decode_document(data)
    except FormatError as error:
        raise FormatError(error.rule, error.message, str(path)) from None


def keep_aside(path: Path) -> Path:
    """Keep what could not be read under a private name (R005); gives that. Raises ``OSError``."""
    aside = path.with_name(f".{path.name}.damaged")
    replace(aside, path.read_bytes())
    return aside


def make_folder(folder: Path, top: Path) -> None:
    """Make a folder in a run directory, but never that itself: it would come back where it was moved away.

    Raises ``OSError``.
    """
    if not top.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the run directory was moved or deleted", str(top))
    folder.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder: it is gone as a whole before the first file in it is (R005). Raises ``OSError``."""
    import shutil  # loads bz2 and lzma, which `import runfmt` has no time for

    aside = temporary_beside(path)
    os.replace(path, aside)
    shutil.rmtree(aside)


def temporary_beside(path: Path) -> Path:
    """A private name in the same folder (R005), from which a rename is atomic."""
    return path.with_name(f".{path.name[:80]}.{os.urandom(4).hex()}.tmp")


def open_lock(path: Path) -> int:
    """A descriptor of a file that is only locked, and made where there is none. Raises ``OSError``."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def lock(path: Path) -> int | None:
    """A descriptor that holds the lock on a file until it is closed; None if another process has it.

    Where the file system has no locks it holds none. A forked child closes its copy.
    """
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        release(descriptor)
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            release(descriptor)
            raise
    return descriptor


def release(held: int) -> None:
    """Close a descriptor that holds a lock: it is free then, whatever the disk answers."""
    with suppress(OSError):
        os.close(held)


def leave_to_system(path: Path) -> None:
    """Leave it to the system when a file becomes durable; for who may lose it in a power cut."""


def make_durable(files: Iterable[Path], top: Path) -> None:
    """Make files durable, and the names that lead to them from ``top``; passes over what is gone."""
    folders: set[Path] = set()
    for path in files:
        with suppress(FileNotFoundError):
            sync(path)
        folders.update(folder for folder in path.parents if folder.is_relative_to(top))
    for folder in sorted(folders, reverse=True):  # the inner ones first
        sync(folder)


def temporary_folder(owner: object, parent: Path | None = None) -> Path:
    """Make a private folder that goes with an object; one of the system's without a parent."""
    import shutil
    import tempfile

    folder, process = tempfile.mkdtemp(prefix="runfmt-", dir=parent), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # a forked child leaves it to its parent
            shutil.rmtree(folder, ignore_errors=True)

    weakref.finalize(owner, remove)
    return Path(folder)


def sync(path: Path) -> None:
    """Make the contents of a file durable, or the names in a folder. Raises ``OSError``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
