"""Values in W&B's words: most are what they are here. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from runfmt.rows import split_path

__all__ = ["nested", "translate"]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as a row, nested again."""
    row: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = split_path(path)
        place = row
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return row


def translate(values: Mapping[str, Any], unsaid: Counter[str]) -> dict[str, Any]:
    """The values of a row by path; what cannot be said is counted."""
    return dict(values)
