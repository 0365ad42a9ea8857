"""A place of which only a receipt is at hand (B030): what it held when the receipt was made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from runfmt.documents import replace
from runfmt.errors import CommError, FormatError
from runfmt.layout import is_stream
from runfmt_sync.digests import BLOCK, Proof
from runfmt_sync.extents import Piece, Refused
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.remotes import Remote
from runfmt_sync.wire import entries_from_json, entries_to_json

__all__ = ["ReceiptRemote", "open_receipt", "receipt_of", "seen_from", "write_receipt"]

BATCH = 256
"""Runs that are asked about at once."""


def receipt_of(remote: Remote) -> dict[str, Any]:
    """What a remote holds, as a receipt."""
    made_at = datetime.now(timezone.utc)
    uids, runs = iter(sorted(remote.ids())), {}
    while some := [*islice(uids, BATCH)]:
        for uid, have in remote.have([Ask(uid, "", {}) for uid in some]).items():
            runs[uid] = {"entries": entries_to_json(have.entries)}
    return {
        "receipt": 1,
        "store": remote.store_id,
        "made_at": made_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "runs": runs,
    }


def write_receipt(remote: Remote, path: Path) -> int:
    """Write a receipt of a remote; gives how many runs are in it."""
    receipt = receipt_of(remote)
    replace(path, orjson.dumps(receipt) + b"\n")
    return len(receipt["runs"])


def open_receipt(path: Path) -> ReceiptRemote:
    """Read a receipt. Raises ``FormatError`` (B030) if it is none."""
    try:
        said = orjson.loads(path.read_bytes())
        if said["receipt"] != 1:
            raise FormatError("B030", f"receipt version {said['receipt']!r} is not known", str(path))
        runs = {uid: entries_from_json(run["entries"]) for uid, run in said["runs"].items()}
        made_at = datetime.strptime(said["made_at"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        return ReceiptRemote(str(path), str(said["store"]), made_at, runs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, FormatError) and error.rule == "B030":
            raise
        raise FormatError("B030", f"this is no receipt: {error}", str(path)) from None


class ReceiptRemote:
    """A :class:`runfmt_sync.remotes.Remote` that can only say what it held at ``made_at`` (Unix seconds)."""

    def __init__(self, url: str, store_id: str, made_at: float, runs: dict[str, dict[str, Held]]) -> None:
        self.url, self.store_id, self.made_at = url, store_id, made_at
        self._runs = runs

    def prepare(self) -> None:
        """Nothing is written to it."""

    def entries(self, uid: str) -> dict[str, Held]:
        """What it held of a run."""
        return self._runs.get(uid, {})

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What it held of runs, each stream proved as far as ours reaches."""
        return {
            ask.uid: Have({path: seen_from(path, held, ask) for path, held in self.entries(ask.uid).items()})
            for ask in asks
        }

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Nothing can be brought to it."""
        raise CommError(f"{self.url} is a receipt: it takes nothing")

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """Nothing can be read from it."""
        raise CommError(f"{self.url} is a receipt: what it tells of is elsewhere")

    def ids(self) -> dict[str, str]:
        """The runs that it held; it knows no ids."""
        return dict.fromkeys(self._runs, "")


def seen_from(path: str, held: Held, ask: Ask) -> Held:
    """A stream that was longer than ours is proved as far as ours reaches, so far as its blocks can tell."""
    ours = ask.proofs.get(path)
    if ours is None or not is_stream(path) or held.proof.size <= ours.size:
        return held
    common = min(len(ours.blocks), len(held.proof.blocks), ours.size // BLOCK)
    same = ours.blocks[:common] == held.proof.blocks[:common]
    return Held(held.length, ours if same else Proof(ours.size, held.proof.blocks[:common], ""))
