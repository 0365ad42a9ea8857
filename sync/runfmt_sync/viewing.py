"""What is shown: a folder of runs, one run, a bundle, which is unpacked for as long as that, or a mirror."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from runfmt.elsewhere import is_url
from runfmt.errors import CommError, FormatError, UsageError, explain, warn
from runfmt.layout import FILES
from runfmt_sync import bundle
from runfmt_sync.index import forget_unused
from runfmt_sync.pull import Puller
from runfmt_sync.remotes import open_remote
from runfmt_sync.server.folder import Folder
from runfmt_sync.state import index_folder, state_folder
from runfmt_sync.store import Store

__all__ = ["entrance", "opened"]

EVERY, REST = 5.0, 20.0
"""Between two looks at a mirror: seconds at least, and times as long as a look took."""
GRACE = 5.0
"""Seconds in which a look that is under way may end."""


@contextmanager
def opened(place: str) -> Iterator[Folder]:
    """The runs of a folder, a bundle or a mirror.

    Raises ``UsageError`` for what is none, ``FormatError`` for a bad bundle, ``CommError``.
    """
    path = Path(place)
    forget_unused(index_folder())
    with ExitStack() as stack:
        if is_url(place):
            copy = stack.enter_context(_followed(place))
            yield _closing(stack, Folder(copy, _temporary(stack), index_folder(), may_edit=False))
        elif path.is_dir():
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
            raise UsageError(f"there is no {path}: name a folder of runs, a run, a bundle or a URL")


@contextmanager
def _followed(url: str) -> Iterator[Path]:
    """A copy of the runs of a mirror, without their saved files, which is brought up to date by a thread."""
    remote, folder = open_remote(url), _private(url)
    with ExitStack() as stack:
        store = Store((folder or _temporary(stack)) / "copy")
        store.root.mkdir(exist_ok=True)
        store.prepare()
        puller, ending, said = Puller(remote, store, wanted=_is_shown), threading.Event(), set[str]()

        def look() -> None:
            outcomes, fault = puller.pull(remote.ids())
            troubles = {f"{one.id}: {problem}" for one in outcomes for problem in one.problems}
            for text in sorted(troubles - said):
                warn(text)
            said.update(troubles)
            if fault is not None:
                raise fault

        def follow() -> None:
            pause = EVERY
            while not ending.wait(pause):
                began = time.monotonic()
                try:
                    look()
                except CommError as error:
                    warn(f"{error}: what is shown is older")
                pause = max(EVERY, REST * (time.monotonic() - began))

        look()
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield store.root
        finally:
            ending.set()
            thread.join(GRACE)


def _is_shown(path: str) -> bool:
    return not path.startswith(f"{FILES}/")


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


def _private(place: Path | str) -> Path | None:
    """Where what was read of a folder or a URL is kept for the next time, None where nothing can be kept.

    Each machine has its own: they may share a home, on which a database is not safe with several.
    """
    where = place.resolve() if isinstance(place, Path) else place
    name = f"{os.uname().nodename}\0{where}".encode("utf-8", "surrogateescape")
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
