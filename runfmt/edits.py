"""``edits.json``: what people changed after the trainer (R093-R096). Pure.

A trainer's record is not falsified: edits lie over it, and two sides of a sync
merge them pointer by pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runfmt.history import is_time
from runfmt.rows import is_pointer, marked, pointer_keys

__all__ = ["ATTRIBUTES", "is_attribute", "merge_edits", "overlay"]

ATTRIBUTES: dict[str, Callable[[], Any]] = {
    "project": str,
    "entity": str,
    "name": str,
    "notes": str,
    "tags": list,
    "group": str,
    "job_type": str,
}
"""What of ``run.json`` may be edited; each makes its own default."""


def is_attribute(name: str, value: object) -> bool:
    """Whether a value may stand under that name in ``run.json``: text, or ``tags``, a list of text."""
    if ATTRIBUTES[name] is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def overlay(document: Mapping[str, Any], edits: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Lay edits over ``{"config": .., "summary": .., "name": .., ..}``.

    Gives the new object, the given one unchanged, and the pointers of the
    entries that were ignored (R094).
    """
    laid = _copy(document)
    good = {pointer for pointer, entry in edits.items() if _is_entry(pointer, entry)}
    for pointer in sorted(good, key=lambda pointer: (edits[pointer]["time"], pointer.encode())):
        _apply(laid, pointer_keys(pointer), edits[pointer])
    return laid, [pointer for pointer in edits if pointer not in good]


def merge_edits(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Both sides' edits, the later of each pointer (R096). Commutative, associative, idempotent."""
    merged = dict(ours)
    for pointer, entry in theirs.items():
        if pointer not in merged or _rank(entry) > _rank(merged[pointer]):
            merged[pointer] = entry
    return merged


def _rank(entry: Any) -> tuple[float, bytes]:
    """Time, then the JSON text: unequal entries never have the same rank."""
    time = entry.get("time") if isinstance(entry, Mapping) else None
    text = orjson.dumps(marked({"entry": entry}), option=orjson.OPT_SORT_KEYS)
    return float(time) if is_time(time) else float("-inf"), text


def _is_entry(pointer: str, entry: Any) -> bool:
    if not is_pointer(pointer) or not isinstance(entry, Mapping):
        return False
    if not is_time(entry.get("time")) or not isinstance(entry.get("author"), str):
        return False
    root, *inside = pointer_keys(pointer)
    if inside:
        return root in ("config", "summary")
    return root in ATTRIBUTES and ("value" not in entry or is_attribute(root, entry["value"]))


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
