"""Small pieces of HTML. What comes from runs is text in them: nothing of it is markup or an address."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from runfmt.notebook import value_text

__all__ = ["absent", "cell", "data_uri", "figure", "named", "script_json", "sortable", "tag"]


EMPTY = ("image", "img", "meta", "rect")
"""Elements without anything in them."""


def tag(name: str, *inner: str, **attributes: Any) -> str:
    """An element around HTML; of attributes, all texts are escaped, None and False are left out."""
    said = []
    for key, value in attributes.items():
        if value is not None and value is not False:
            shown = "" if value is True else f'="{escape(str(value))}"'
            said.append(f" {key.rstrip('_').replace('_', '-')}{shown}")
    start = f"<{name}{''.join(said)}"
    return f"{start}/>" if name in EMPTY else f"{start}>{''.join(inner)}</{name}>"


def named(name: str, color: str, run: int | None = None) -> str:
    """A name behind its colour; that of a run makes its curves stand out."""
    dot = tag("span", class_="swatch", style=f"background:{color}")
    return tag("span", dot, tag("span", escape(name)), class_="run-name", data_run=run)


def cell(value: Any) -> str:
    """A cell with a value, which is sorted as a number if it is one."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return tag(
        "td",
        escape(value_text(value)),
        data_number=repr(value) if is_number else None,
    )


def sortable(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with cells in HTML, whose columns can be sorted by."""
    head = tag("tr", *(tag("th", escape(title)) for title in titles))
    body = (tag("tr", *row) for row in rows)
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_="sorted"), class_="scroll")


def figure(shown: str, caption: str) -> str:
    """Something with a caption below it."""
    return tag("figure", shown, tag("figcaption", escape(caption)) if caption else "", class_="piece")


def absent(text: str) -> str:
    """What is said where nothing can be shown."""
    return tag("p", escape(text), class_="absent")


def data_uri(data: bytes, kind: str) -> str:
    """An address that holds the data itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def script_json(value: Any) -> str:
    """JSON that may stand in a script element: no ``<`` in it ends that."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
