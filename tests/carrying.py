"""A mirror that is reached by files only: what is pushed is bundled here, and unbundled there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from runfmt.errors import Error
from runfmt_sync.channels import Outbox
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.remotes import Remote
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.sending import Sending
from runfmt_sync.sneakernet import BundleRemote
from runfmt_sync.unbundle import Unbundled, unbundle


def open_carried(url: str) -> Remote:
    """The folder of that path, with a stick beside it."""
    return CarriedRemote(DirectoryRemote(url), Path(url).with_name("stick"))


class CarriedRemote:
    """A remote that answers by itself, as if by receipts, and takes everything through bundles in files.

    Each process has a channel of its own, as two machines would.
    """

    def __init__(self, far: DirectoryRemote, stick: Path) -> None:
        self._far, self._stick = far, stick
        self._lock = threading.Lock()
        self.url = far.url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._far, name)

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Carry extents over in files that are put into the worst order."""
        with self._lock, Outbox(f"carried-{os.getpid()}") as outbox:
            here = BundleRemote(self._stick, Sending(outbox), max_size=2**25)
            try:
                here.prepare()
                refused = here.apply(pieces)
                here.close()
            finally:
                here.abandon()
            done = self._unbundle(here.paths[::-1])
        for path in here.paths:
            path.unlink()
        for arrival in done.arrivals:
            assert arrival.refused or not arrival.problems, arrival.problems
            refused |= arrival.refused
        return refused

    def _unbundle(self, paths: list[Path]) -> Unbundled:
        """Unbundle; who is told that another is doing so waits for him, as he is told, and tries again."""
        while True:
            try:
                return unbundle(paths, self._far, {})
            except Error as error:
                if "wait for it" not in str(error):
                    raise
                with FileLock(self._far.store.private / "unbundle.lock"):
                    pass
