"""What is shown: a folder of runs, one run, or a bundle, which is unpacked for as long as that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from runfmt.errors import FormatError, UsageError, explain, warn
from runfmt_sync import bundle
from runfmt_sync.server.folder import Folder
from runfmt_sync.state import index_folder, state_folder
from runfmt_sync.store import Store

__all__ = ["entrance", "opened"]


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The runs of a path. Raises ``UsageError`` if it is none, ``FormatError`` for a bad bundle."""
    with ExitStack() as stack:
        if path.is_dir():
            private = _private(path)
            if private is None:
                private = indexes = _temporary(stack)
            else:
                indexes = index_folder()
            yield _closing(stack, Folder(path, private, indexes, may_edit=True))
        elif path.is_file():
            runs, private = _temporary(stack), _temporary(stack)
            _unpack(path, runs)
            yield _closing(stack, Folder(runs, private, private, may_edit=False))
        else:
            raise UsageError(f"there is no {path}: name a folder of runs, a run or a bundle")


def entrance(address: str, folder: Path) -> Path:
    """A file for its owner alone that leads a browser to an address: everybody sees what is called."""
    path = folder / "open.html"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n')
    return path


def _closing(stack: ExitStack, folder: Folder) -> Folder:
    stack.callback(folder.reading.close)
    return folder


def _temporary(stack: ExitStack) -> Path:
    """A folder for as long as runs are shown."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="runfmt-view-")))


def _private(path: Path) -> Path | None:
    """Where what was read of a folder is kept for the next time, None where nothing can be kept.

    Each machine has its own: they may share a home, on which a database is not safe with several.
    """
    name = f"{os.uname().nodename}\0{path.resolve()}".encode("utf-8", "surrogateescape")
    private = state_folder() / "view" / hashlib.sha256(name).hexdigest()[:20]
    try:
        private.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=private):
            return private
    except OSError as error:
        warn(f"{explain(error)}: what is read now is not kept, so the next call reads all again")
        return None


def _unpack(path: Path, folder: Path) -> None:
    """Put the runs of a bundle into a folder; of those that cannot be taken it is said why."""
    store = Store(folder)
    store.prepare()
    with open(path, "rb") as file:
        try:
            bundle.check(bundle.unpacked(file), bundle.MAX_UNPACKED)
        except FormatError as error:
            raise FormatError(error.rule, error.message, str(path)) from None
        refused = store.apply(bundle.pieces(bundle.unpacked(file)))
    for uid, why in refused.items():
        warn(f"the run {uid} of {path} is not shown: {why}")
