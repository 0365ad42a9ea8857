"""A mirror that is reached by files only: what is pushed is bundled here, and unbundled there."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runfmt_sync.channels import Outbox
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.remotes import Remote
from runfmt_sync.sending import Sending
from runfmt_sync.sneakernet import BundleRemote
from runfmt_sync.unbundle import unbundle


class CarriedRemote:
    """A remote that answers by itself, as if by receipts, and takes everything through bundles in files."""

    def __init__(self, far: Remote, stick: Path) -> None:
        self._far, self._stick = far, stick
        self._lock = threading.Lock()
        self.url = far.url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._far, name)

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Carry extents over in files that are put into the worst order."""
        with self._lock, Outbox("carried") as outbox:
            here = BundleRemote(self._stick, Sending(outbox), max_size=2**25)
            try:
                here.prepare()
                refused = here.apply(pieces)
                here.close()
            finally:
                here.abandon()
            done = unbundle(here.paths[::-1], self._far, {})
        for path in here.paths:
            path.unlink()
        for arrival in done.arrivals:
            assert arrival.refused or not arrival.problems, arrival.problems
            refused |= arrival.refused
        return refused
