"""What the page asks, out of JSON: each question is checked as a whole before anything is read. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runfmt.errors import FormatError

__all__ = [
    "STREAMS",
    "Curve",
    "CurvesAsked",
    "KeysAsked",
    "ObjectsAsked",
    "curves_asked",
    "keys_asked",
    "objects_asked",
    "uids_asked",
]

MOST_RUNS = 10_000
"""Most runs of one question."""
MOST_CURVES = 2_000
MOST_POINTS = 10_000
"""Most points of one curve."""
MOST_OF_ALL = 1_000_000
"""Most points of all curves of one question."""
MOST_VALUES = 200
"""Most values of one run."""
STREAMS = ("metrics", "system")


@dataclass(frozen=True)
class Curve:
    """A key of a writer's stream."""

    uid: str
    key: str
    stream: str = "metrics"
    writer: str = "main"


@dataclass(frozen=True)
class KeysAsked:
    """Which keys these runs have (H072)."""

    uids: tuple[str, ...]
    stream: str


@dataclass(frozen=True)
class CurvesAsked:
    """Curves over ``x`` (``_step``, ``_timestamp``, ``_runtime`` or a key), in a range or all (H073)."""

    curves: tuple[Curve, ...]
    x: str
    low: float | None
    high: float | None
    points: int


@dataclass(frozen=True)
class ObjectsAsked:
    """The value of a key at a step, or the last one; and ``many`` of those before it (H076)."""

    uids: tuple[str, ...]
    key: str
    step: int | None
    writer: str
    many: int = 0


def uids_asked(said: Any, rule: str = "H077") -> tuple[str, ...]:
    """The runs that are meant. Raises ``FormatError``."""
    uids = _object(said, rule).get("uids")
    if not isinstance(uids, list) or not all(isinstance(uid, str) for uid in uids):
        raise FormatError(rule, "uids is a list of text")
    if len(uids) > MOST_RUNS:
        raise FormatError(rule, f"{len(uids):,} runs at once: ask for at most {MOST_RUNS:,}")
    return tuple(dict.fromkeys(uids))


def keys_asked(said: Any) -> KeysAsked:
    """A question for keys. Raises ``FormatError``."""
    return KeysAsked(uids_asked(said, "H072"), _one_of(said.get("stream", "metrics"), "stream", "H072"))


def curves_asked(said: Any) -> CurvesAsked:
    """A question for curves. Raises ``FormatError``."""
    curves = _object(said, "H073").get("curves")
    if not isinstance(curves, list):
        raise FormatError("H073", "curves is a list")
    points = said.get("points", 400)
    if type(points) is not int or not 1 <= points <= MOST_POINTS:
        raise FormatError("H073", f"points is 1 to {MOST_POINTS:,}")
    if len(curves) > MOST_CURVES or len(curves) * points > MOST_OF_ALL:
        text = f"{len(curves):,} curves of {points:,} points: ask for at most {MOST_CURVES:,} curves, "
        raise FormatError("H073", f"{text}and for {MOST_OF_ALL:,} points of all")
    low, high = (_bound(said.get(name), name) for name in ("from", "to"))
    return CurvesAsked(tuple(map(_curve, curves)), _text(said, "x", "H073", "_step"), low, high, points)


def objects_asked(said: Any) -> ObjectsAsked:
    """A question for values. Raises ``FormatError``."""
    uids = uids_asked(said, "H076")
    step = said.get("step")
    if step is not None and (type(step) is not int or step < 0):
        raise FormatError("H076", "step is an integer of at least 0, or null")
    many = said.get("many", 0)
    if type(many) is not int or not 0 <= many <= MOST_VALUES:
        raise FormatError("H076", f"many is 0 to {MOST_VALUES:,}")
    return ObjectsAsked(uids, _text(said, "key", "H076"), step, _text(said, "writer", "H076", "main"), many)


def _curve(said: Any) -> Curve:
    said = _object(said, "H073")
    stream = _one_of(said.get("stream", "metrics"), "stream", "H073")
    uid, key = _text(said, "uid", "H073"), _text(said, "key", "H073")
    return Curve(uid, key, stream, _text(said, "writer", "H073", "main"))


def _object(said: Any, rule: str) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise FormatError(rule, "a question is a JSON object")
    return said


def _text(said: Mapping[str, Any], name: str, rule: str, default: str | None = None) -> str:
    value = said.get(name, default)
    if not isinstance(value, str):
        raise FormatError(rule, f"{name} is text")
    return value


def _one_of(value: Any, name: str, rule: str) -> str:
    if value not in STREAMS:
        raise FormatError(rule, f"{name} is one of {', '.join(STREAMS)}")
    return str(value)


def _bound(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise FormatError("H073", f"{name} is a number, or null")
    return float(value)
