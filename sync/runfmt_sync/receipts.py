"""Receipts: what a remote has confirmed, run by run. They lie in the tool's state, one set a store."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runfmt_sync.digests import Proof
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Inventory
from runfmt_sync.state import Journal, state_folder, store_state

__all__ = [
    "Receipt",
    "Receipts",
    "address_of",
    "decode_receipt",
    "encode_receipt",
    "is_another_store",
    "last_stores",
]


@dataclass(frozen=True)
class Receipt:
    """At ``time`` (Unix seconds) the store held these files of a run, proved by their digests."""

    uid: str
    id: str
    digest: str
    time: float
    files: Mapping[str, Proof]


def encode_receipt(receipt: Receipt) -> dict[str, Any]:
    """A receipt as a JSON object."""
    files = {
        path: {"size": p.size, "sha256": p.tail, "blocks": p.blocks} for path, p in receipt.files.items()
    }
    return {
        "uid": receipt.uid,
        "id": receipt.id,
        "digest": receipt.digest,
        "time": receipt.time,
        "files": files,
    }


def decode_receipt(document: Mapping[str, Any]) -> Receipt:
    """The inverse of :func:`encode_receipt`; keys that are not known are ignored."""
    files = {path: Proof(f["size"], tuple(f["blocks"]), f["sha256"]) for path, f in document["files"].items()}
    return Receipt(document["uid"], document["id"], document["digest"], document["time"], files)


class Receipts:
    """The receipts of one store."""

    def __init__(self, store_id: str) -> None:
        self._journal = Journal(store_state(store_id) / "receipts.jsonl" if store_id else None)

    def get(self, uid: str) -> Receipt | None:
        """The last receipt of a run, if there is one that can be read."""
        with suppress(TypeError, KeyError, AttributeError, ValueError):
            return decode_receipt(self._journal.get(uid))
        return None

    def digest(self, uid: str) -> str | None:
        """The digest of a run when it was last confirmed."""
        document = self._journal.get(uid)
        return document.get("digest") if isinstance(document, dict) else None

    def record(self, inventory: Inventory) -> None:
        """Keep that all of a run is confirmed; the same again costs nothing."""
        if self.digest(inventory.uid) == inventory.digest:
            return
        files = {path: entry.proof for path, entry in inventory.entries.items()}
        receipt = Receipt(inventory.uid, inventory.id, inventory.digest, round(time.time(), 6), files)
        fault_point("receipt.before")
        self._journal.put(inventory.uid, encode_receipt(receipt))
        fault_point("receipt.written")


def is_another_store(url: str, store_id: str) -> bool:
    """Whether behind a URL or a path there was another store the last time; remembers this one."""
    journal = _stores()
    before = journal.get(address_of(url))
    if before != store_id:
        journal.put(address_of(url), store_id)
    return before is not None and before != store_id


def last_stores() -> dict[str, str]:
    """Which store was behind each address the last time."""
    return {address: str(store) for address, store in _stores().items()}


def _stores() -> Journal:
    return Journal(state_folder() / "stores.jsonl")


def address_of(url: str) -> str:
    """A URL, or the whole of a path, as what is known of it is kept."""
    return url.rstrip("/") if "://" in url else os.path.abspath(url)
