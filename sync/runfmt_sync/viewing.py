"""What is shown: a folder of runs, one run, or a bundle, which is unpacked for as long as that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from runfmt.errors import FormatError, UsageError, warn
from runfmt_sync import bundle
from runfmt_sync.server.folder import Folder
from runfmt_sync.state import state_folder
from runfmt_sync.store import Store

__all__ = ["opened"]


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The runs of a path. Raises ``UsageError`` if it is none, ``FormatError`` for a bad bundle."""
    with ExitStack() as stack:
        if path.is_dir():
            yield Folder(path, _private(path, stack), may_edit=True)
        elif path.is_file():
            temporary = Path(stack.enter_context(TemporaryDirectory(prefix="runfmt-view-")))
            _unpack(path, temporary)
            yield Folder(temporary, temporary / ".runfmt", may_edit=False)
        else:
            text = (
                f"there is no {path}: name a folder of runs, a run or a bundle; a new folder is made by mkdir"
            )
            raise UsageError(text)


def _private(path: Path, stack: ExitStack) -> Path:
    """Where what was read of a folder is kept for the next time; for this time only where none can be."""
    name = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:20]
    private = state_folder() / "view" / name
    try:
        private.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(stack.enter_context(TemporaryDirectory(prefix="runfmt-view-")))
    return private


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
