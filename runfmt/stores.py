"""A folder that runs are brought to, a store, as far as who deletes a run in it must know it.

What it has of its own lies in ``.runfmt``, which nobody else reads (R005).
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from runfmt.documents import read_document, remove_folder, replace_document
from runfmt.layout import PRIVATE_LOCK, PRIVATE_STORE, is_uid
from runfmt.locks import Locks
from runfmt.reading import StoredRun

__all__ = ["IDENTITY", "bury", "deleted", "locks_of", "remove_run", "store_of"]

IDENTITY = "store.json"
"""What says in ``.runfmt`` that a folder is a store, and which."""


def store_of(run: Path) -> Path | None:
    """The store in which a run lies, however deep; None if it lies in none."""
    for folder in run.resolve().parents:
        if (folder / PRIVATE_STORE / IDENTITY).is_file():
            return folder
    return None


def locks_of(root: Path) -> Locks:
    """Locks among all who write to a store, by uid or any name."""
    private = root / PRIVATE_STORE
    private.mkdir(exist_ok=True)  # never the root: a stick may have been taken away
    return Locks(private / PRIVATE_LOCK)


def deleted(root: Path, uid: str) -> str:
    """When a run was deleted in a store, empty if it was not."""
    return str(read_document(_tombstone(root, uid)).get("time", "")) if is_uid(uid) else ""


def bury(root: Path, uid: str, by: str) -> None:
    """Remember that a run was deleted in a store; one that was deleted before keeps its time."""
    if not deleted(root, uid):
        tombstone = _tombstone(root, uid)
        tombstone.parent.mkdir(exist_ok=True)
        time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        replace_document(tombstone, {"time": time, "by": by})


def _tombstone(root: Path, uid: str) -> Path:
    return root / PRIVATE_STORE / "deleted" / f"{uid}.json"


def remove_run(run: StoredRun, by: str) -> None:
    """Remove a run's folder; a store remembers that, and no sync brings it again. Raises ``OSError``."""
    root = store_of(run.path)
    if root is None or run.uid is None:
        remove_folder(run.path)
        return
    with locks_of(root).take(run.uid):
        bury(root, run.uid, by)
        remove_folder(run.path)
