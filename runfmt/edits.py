"""``edits.json``: what people changed after the trainer (R093-R096). Pure.

A trainer's record is not falsified: edits lie over it, and two sides of a sync
merge them pointer by pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from runfmt.rows import pointer_keys

__all__ = ["ATTRIBUTES", "merge_edits", "overlay"]

ATTRIBUTES = {
    "project": str,
    "entity": str,
    "name": str,
    "notes": str,
    "tags": list,
    "group": str,
    "job_type": str,
}
"""What of ``run.json`` may be edited, and its type."""


def overlay(document: Mapping[str, Any], edits: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Lay edits over ``{"config": .., "summary": .., "name": .., ..}``.

    Gives the new object, the given one unchanged, and the pointers of the
    entries that were ignored (R094).
    """
    laid = _copy(document)
    wrong = [pointer for pointer, entry in edits.items() if not _is_entry(pointer, entry)]
    good = [
        (entry["time"], pointer.encode(), pointer) for pointer, entry in edits.items() if pointer not in wrong
    ]
    for _, _, pointer in sorted(good):
        _apply(laid, pointer_keys(pointer), edits[pointer])
    return laid, wrong


def merge_edits(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Both sides' edits, the later of each pointer (R096). Commutative, associative, idempotent."""
    merged = dict(ours)
    for pointer, entry in theirs.items():
        if pointer not in merged or _rank(entry) > _rank(merged[pointer]):
            merged[pointer] = entry
    return merged


def _rank(entry: Any) -> tuple[float, bytes]:
    time = entry.get("time") if isinstance(entry, Mapping) else None
    number = float(time) if isinstance(time, (int, float)) and not isinstance(time, bool) else float("-inf")
    return number, orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)


def _is_entry(pointer: str, entry: Any) -> bool:
    if not pointer.startswith("/") or not isinstance(entry, Mapping):
        return False
    time = entry.get("time")
    if (
        isinstance(time, bool)
        or not isinstance(time, (int, float))
        or not isinstance(entry.get("author"), str)
    ):
        return False
    root, *inside = pointer_keys(pointer)
    if inside:
        return root in ("config", "summary")
    return root in ATTRIBUTES and isinstance(entry.get("value", ATTRIBUTES[root]()), ATTRIBUTES[root])


def _apply(document: dict[str, Any], keys: list[str], entry: Mapping[str, Any]) -> None:
    *above, last = keys
    place = document
    for key in above:
        if not isinstance(place.get(key), dict):
            if "value" not in entry:
                return
            place[key] = {}
        place = place[key]
    if "value" in entry:
        place[last] = _copy(entry["value"])
    else:
        place.pop(last, None)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
