"""Which remotes have a run, as far as is known here: nobody is asked, and only documents are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runfmt.errors import Error
from runfmt.layout import phase
from runfmt_sync.configuration import known_remotes
from runfmt_sync.digests import prove_bytes
from runfmt_sync.inventory import signatures
from runfmt_sync.receipts import Receipt, Receipts, address_of, last_stores

__all__ = ["whereabouts"]


def whereabouts(folder: Path, uid: str) -> list[dict[str, Any]]:
    """Each remote that has a name or has the run: whether it confirmed all of it as it is now, and when.

    One without a name has its address for one.
    """
    with suppress(Error, OSError):  # names that cannot be read are said by who uses them
        return [*_known(folder, uid)]
    return []


def _known(folder: Path, uid: str) -> Iterator[dict[str, Any]]:
    named, stores = known_remotes()[0], last_stores()
    addresses = {address_of(url) for url in named.values()}
    others = {address: address for address in stores if address not in addresses}
    for name, url in {**named, **others}.items():
        receipt = Receipts(stores.get(address_of(url), "")).get(uid)
        if receipt or name in named:
            is_synced = receipt is not None and _covers(receipt, folder)
            yield {"name": name, "url": url, "synced": is_synced, "time": receipt and receipt.time}


def _covers(receipt: Receipt, folder: Path) -> bool:
    """Whether the files of a run are those of a receipt: the same names and sizes, and equal documents."""
    there = signatures(folder)
    if there is None or there.keys() != receipt.files.keys():
        return False
    for path, signature in there.items():
        proof = receipt.files[path]
        if signature.size != proof.size:
            return False
        if phase(path) >= 2 and prove_bytes(Path(os.path.join(folder, path)).read_bytes()) != proof:
            return False
    return True
