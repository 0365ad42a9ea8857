"""What a metrics stream says, by the letter of the specification and as slowly as it likes.

Works on rows as Python objects, and shares no code with the package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
Flat = dict[tuple[str, ...], Any]
"""The leaves of a row, each under the keys that lead to it."""

CONTROL = ("_rewind", "_gap", "_summary", "_define")
RESERVED = ("_step", "_timestamp", "_runtime", "_nonfinite", *CONTROL)


def canonical(value: Any) -> str:
    """Text that is equal for equal values: 1 is neither 1.0 nor true, and NaN is NaN."""
    return json.dumps(value, sort_keys=True)


def flatten(tree: Row, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value and "_type" not in value:
            yield from flatten(value, (*above, key))
        else:
            yield (*above, key), value


def lay(flat: Flat, path: tuple[str, ...], value: Any) -> None:
    """Put a leaf over what is there (R041, R042)."""
    below = [known for known in flat if known[: len(path)] == path and known != path]
    if value == {} and below:
        return
    for known in [*below, *(path[:length] for length in range(1, len(path)))]:
        flat.pop(known, None)
    flat[path] = value


def survivors(rows: list[Row]) -> list[Row]:
    """The rows that no rewind supersedes, in byte order (R050)."""
    kept: list[Row] = []
    for row in rows:
        rewind = row.get("_rewind")
        if type(rewind) is int and rewind >= -1:
            kept = [earlier for earlier in kept if earlier["_step"] <= rewind]
        kept.append(row)
    return kept


def user_part(row: Row) -> Row:
    return {key: value for key, value in row.items() if key not in RESERVED}


def logical_rows(rows: list[Row]) -> dict[int, tuple[Any, Flat]]:
    """Time and leaves of each step, steps in order (R040-R044)."""
    steps: dict[int, tuple[Any, Flat]] = {}
    for row in survivors(rows):
        if user_part(row) or not any(key in row for key in CONTROL):
            time, flat = steps.get(row["_step"], (None, {}))
            for path, value in flatten(user_part(row)):
                lay(flat, path, value)
            steps[row["_step"]] = (row.get("_timestamp", time), flat)
    return dict(sorted(steps.items()))


# The summary


def definitions(rows: list[Row]) -> dict[str, Row]:
    """What is defined of each name, whatever was rewound (R051, R080)."""
    found: dict[str, Row] = {}
    for said in (row["_define"] for row in rows if "_define" in row):
        there = {} if said.get("overwrite") else found.get(said["name"], {})
        ops = {*there.get("summary", []), *said.get("summary", [])}
        found[said["name"]] = {**there, **said, "summary": ops}
    return found


def definition_of(path: str, known: dict[str, Row]) -> Row:
    """The one that counts (R081)."""
    if path in known:
        return known[path]
    globs = [name[:-1] for name in known if name.endswith("*") and not path.startswith("_")]
    fitting = [beginning for beginning in globs if path.startswith(beginning)]
    return known[max(fitting, key=len) + "*"] if fitting else {"summary": set()}


def statistics(values: list[Any], definition: Row) -> Row:
    """The members of R083; ``values`` are those of the logical rows, without nulls."""
    if not values:
        return {}
    shown = {"first": values[0], "last": values[-1]}
    numbers = [value for value in values if type(value) in (int, float) and value == value]
    if numbers:
        shown |= {"min": min(numbers), "max": max(numbers)}
        infinite = [number for number in numbers if math.isinf(number)]
        shown["mean"] = sum(infinite) if infinite else math.fsum(numbers) / len(numbers)
        shown["best"] = shown["max" if definition.get("goal") == "maximize" else "min"]
    return {op: shown[op] for op in definition["summary"] if op in shown}


def summary(rows: list[Row]) -> dict[str, Any]:
    """The summary by path, for keys none of which lies in another and that need no escape (R080-R088)."""
    known, kept = definitions(rows), survivors(rows)
    values: dict[str, list[Any]] = {}
    for _, flat in logical_rows(rows).values():
        for path, value in flat.items():
            values.setdefault(".".join(path), []).extend([] if value is None else [value])
    said: dict[str, tuple[int, bool, Any]] = {}
    for place, row in enumerate(kept):
        hand = row.get("_summary", {})
        said |= dict.fromkeys(hand.get("del", []), (place, False, None))
        said |= {path: (place, True, value) for path, value in hand.get("set", {}).items()}
    shown = {path: _shown(path, kept, values.get(path, []), said, known) for path in {*values, *said}}
    return {path: value for path, value in shown.items() if value is not None}


def _shown(path: str, kept: list[Row], values: list[Any], said: dict[str, Any], known: dict[str, Row]) -> Any:
    definition = definition_of(path, known)
    place, is_set, value = said.get(path, (-1, False, None))
    given_since = any(_gives(row, path) for row in kept[place + 1 :])
    plain = values[-1] if values else None
    if "none" in definition["summary"]:
        return None
    if is_set:
        return plain if given_since else value
    if definition["summary"] - {"copy"}:
        return statistics(values, definition) or None
    return plain if given_since or path not in said else None


def _gives(row: Row, path: str) -> bool:
    return any(".".join(keys) == path and value is not None for keys, value in flatten(user_part(row)))
