"""Which runs are asked for, and in what order: MongoDB's operators, as W&B takes them. Pure.

A condition is made once, so that a mistake in it raises before any run is looked at, and
is then asked about each run through a function that gives the value of a key.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from numbers import Real
from typing import Any, TypeVar

from runfmt.errors import UsageError

__all__ = ["MISSING", "condition", "in_order", "order_of"]

MISSING: Any = object()
"""The value of a key that a run does not have."""

KEYS = {
    "name": "id",  # as in W&B, where it is the id
    "id": "id",
    "display_name": "name",
    "displayName": "name",
    "state": "state",
    "tags": "tags",
    "notes": "notes",
    "group": "group",
    "job_type": "job_type",
    "jobType": "job_type",
    "project": "project",
    "entity": "entity",
    "created_at": "created_at",
    "createdAt": "created_at",
    "heartbeat_at": "heartbeat_at",
    "heartbeatAt": "heartbeat_at",
    "host": "host",
    "username": "username",
}
"""What may be asked about besides ``config.x`` and ``summary_metrics.x``, and the name it has here."""
TREES = {"config": "config", "summary_metrics": "summary", "summary": "summary"}
TIMES = ("created_at", "heartbeat_at")

Look = Callable[[str], Any]
Test = Callable[[Any], bool]
T = TypeVar("T")


def condition(filters: Mapping[str, Any]) -> Callable[[Look], bool]:
    """Whether a run, whose values ``look`` gives, fits to filters; all of them must hold.

    A list, such as the tags, fits where one of its elements does. What compares with
    values of another kind, or with a missing one, does not fit. Raises ``UsageError``.
    """
    if not isinstance(filters, Mapping):
        raise UsageError(f"filters={filters!r} are none: give a dict, as {{'config.lr': {{'$gt': 0.1}}}}")
    parts = [_part(key, wanted) for key, wanted in sorted(filters.items(), key=_cost)]
    return lambda look: all(part(look) for part in parts)


def _cost(item: tuple[str, Any]) -> int:
    """A summary is computed from the whole history: it is asked for last."""
    root = str(item[0]).partition(".")[0]
    return 2 if TREES.get(root) == "summary" else int(root.startswith("$"))


def _part(key: str, wanted: Any) -> Callable[[Look], bool]:
    if key == "$not":
        inner = condition(wanted)
        return lambda look: not inner(look)
    if key in ("$and", "$or", "$nor"):
        parts = [condition(each) for each in _listed(key, wanted)]
        if key == "$and":
            return lambda look: all(part(look) for part in parts)
        return lambda look: any(part(look) for part in parts) == (key == "$or")
    name = _checked_key(key)
    test = _test(name, wanted)
    return lambda look: test(look(name))


def _checked_key(key: Any) -> str:
    root, dot, path = str(key).partition(".")
    if dot and path and root in TREES:
        return f"{TREES[root]}.{path}"
    if key in KEYS:
        return KEYS[key]
    known = ", ".join(
        ["config.<key>", "summary_metrics.<key>", *dict.fromkeys(KEYS), "$and, $or, $nor, $not"]
    )
    raise UsageError(f"{key!r} is nothing that runs are asked for: use one of {known}")


def _test(name: str, wanted: Any) -> Test:
    """The test of one key's value: all operators, or equality."""
    said = wanted if _is_operators(wanted) else {"$eq": wanted}
    tests = [_operator(name, key, operand) for key, operand in said.items()]
    return lambda found: all(test(found) for test in tests)


def _is_operators(wanted: Any) -> bool:
    return isinstance(wanted, Mapping) and any(str(key).startswith("$") for key in wanted)


def _operator(name: str, key: str, operand: Any) -> Test:
    if key in ("$not", "$nin", "$ne"):
        opposite = _test(name, operand) if key == "$not" else _operator(name, _OPPOSITES[key], operand)
        return lambda found: not opposite(found)
    if key == "$exists":
        return lambda found: (found is not MISSING) == bool(operand)
    if key == "$regex":
        pattern = _pattern(operand)
        return lambda found: any(isinstance(v, str) and pattern.search(v) for v in _each(found))
    if key == "$in":
        tests = [_operator(name, "$eq", each) for each in _listed(key, operand)]
        return lambda found: any(test(found) for test in tests)
    operand = _as_stored(name, operand)
    if key == "$eq":
        return lambda found: any(_is_equal(value, operand) for value in _each(found))
    if key not in _ORDERS:
        known = ", ".join([*_ORDERS, "$eq", "$ne", "$in", "$nin", "$exists", "$regex", "$not"])
        raise UsageError(f"operator {key!r} of {name!r} is unknown: use one of {known}")
    if (kind := _kind(operand)) is None:
        raise UsageError(f"{name!r} {key} {operand!r}: give a number or a text to compare with")
    return lambda found: any(_kind(v) == kind and _ORDERS[key](v, operand) for v in _each(found))


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPPOSITES = {"$ne": "$eq", "$nin": "$in"}


def _listed(key: str, wanted: Any) -> list[Any]:
    if isinstance(wanted, (str, Mapping)) or not isinstance(wanted, Iterable):
        raise UsageError(f"{key} takes a list, not {wanted!r}")
    return list(wanted)


def _pattern(operand: Any) -> re.Pattern[str]:
    try:
        return re.compile(operand)
    except (re.error, OverflowError, RecursionError, TypeError) as error:
        raise UsageError(f"$regex {operand!r} is no regular expression: {error}") from None


def _each(found: Any) -> list[Any]:
    return [found, *found] if isinstance(found, list) else [found]


def _is_equal(found: Any, wanted: Any) -> bool:
    if found is MISSING:
        return wanted is None
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    return "number" if isinstance(value, Real) else "text" if isinstance(value, str) else None


def _as_stored(name: str, operand: Any) -> Any:
    """An operand as runs have it: a time in the form of ``run.json``, an empty attribute as missing."""
    if name in TIMES and operand is not None:
        return _time_text(operand)
    return None if operand == "" and "." not in name else operand


def _time_text(time: Any) -> str:
    try:
        moment = time if isinstance(time, datetime) else datetime.fromisoformat(re.sub("Z$", "+00:00", time))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, TypeError, ValueError):
        raise UsageError(f"{time!r} is no time: write it as '2026-11-24' or '2026-11-24T03:05:54Z'") from None


def order_of(order: str) -> tuple[str, bool]:
    """The key of an order, and whether it is descending (``-`` before it, not ``+`` or nothing).

    Raises ``UsageError``.
    """
    if not isinstance(order, str):
        raise UsageError(f"order={order!r} is no text: write it as '-summary_metrics.acc'")
    return _checked_key(order[1:] if order[:1] in ("+", "-") else order), order.startswith("-")


def in_order(valued: Iterable[tuple[Any, T]], *, descending: bool) -> list[T]:
    """Items in the order of their values: numbers, then texts; what has no value comes last, either way."""
    ranked = [(_sort_rank(value), item) for value, item in valued]
    having = [(rank, item) for rank, item in ranked if rank is not None]
    having.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in having] + [item for rank, item in ranked if rank is None]


def _sort_rank(value: Any) -> tuple[int, Any] | None:
    if value is MISSING or value is None or value != value:
        return None
    if isinstance(value, (Real, str)):
        return (0, value) if isinstance(value, Real) else (1, value)
    return 2, repr(value)
