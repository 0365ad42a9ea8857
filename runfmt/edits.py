"""``edits.json``: what people changed after the trainer (R093-R096). Pure.

A trainer's record is not falsified: edits lie over it, and two sides of a sync
merge them pointer by pointer.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runfmt.history import is_time
from runfmt.layout import MAX_DEPTH
from runfmt.rows import is_leaf, is_pointer, marked, pointer_key, pointer_keys

__all__ = ["ATTRIBUTES", "are_same", "differences", "is_attribute", "merge_edits", "overlay", "stamped"]

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


def differences(before: Mapping[str, Any], after: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """What leads from one object to another: pointers, each with its ``value``, or without (R093).

    The inverse of :func:`overlay`. Objects are compared key by key, so that two people who change
    different keys of one do not meet.
    """
    changes: dict[str, Any] = {f"{above}/{pointer_key(key)}": {} for key in before if key not in after}
    for key, value in after.items():
        pointer, there = f"{above}/{pointer_key(key)}", before.get(key)
        if not is_leaf(value):
            changes |= differences(there if isinstance(there, dict) else {}, value, pointer)
        elif key not in before or _text(value) != _text(there):
            changes[pointer] = {"value": value}
    return changes


def stamped(changes: Mapping[str, Any], there: Mapping[str, Any], now: float, author: str) -> dict[str, Any]:
    """Entries for changes, each later than those there that it is to prevail over, however clocks go."""
    return {
        pointer: {**change, "time": _after(pointer, there, now), "author": author}
        for pointer, change in changes.items()
    }


def _after(pointer: str, there: Mapping[str, Any], now: float) -> float:
    """The time now, or the least one after the entries that touch the same place."""
    times = [_rank(entry)[0] for other, entry in there.items() if _touch(pointer, other)]
    return min(max([now, *(math.nextafter(time, math.inf) for time in times)]), sys.float_info.max)


def _touch(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def merge_edits(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Both sides' edits, the later of each pointer (R096). Commutative, associative, idempotent."""
    merged = dict(ours)
    for pointer, entry in theirs.items():
        if pointer not in merged or _rank(entry) > _rank(merged[pointer]):
            merged[pointer] = entry
    return merged


def are_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two sides have the same edits, however the numbers and NaN in them compare."""
    return ours.keys() == theirs.keys() and all(_rank(ours[key]) == _rank(theirs[key]) for key in ours)


def _rank(entry: Any) -> tuple[float, bytes]:
    """Time, then the JSON text: unequal entries never have the same rank."""
    time = entry.get("time") if isinstance(entry, Mapping) else None
    return float(time) if is_time(time) else float("-inf"), _text(entry)


def _text(value: Any) -> bytes:
    return orjson.dumps(marked({"entry": value}), option=orjson.OPT_SORT_KEYS)


def _is_entry(pointer: str, entry: Any) -> bool:
    if not is_pointer(pointer) or not isinstance(entry, Mapping):
        return False
    if not is_time(entry.get("time")) or not isinstance(entry.get("author"), str):
        return False
    root, *inside = pointer_keys(pointer)
    if inside:
        return root in ("config", "summary") and len(inside) < MAX_DEPTH
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
