"""A run of elsewhere, in the words in which a trainer would have logged it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from runfmt.errors import FormatError
from runfmt.layout import id_problem
from runfmt.media import Media, MediaFile

__all__ = ["Control", "OldRow", "OldRun", "Point", "Shown", "literal", "medium", "rows_of", "spelled"]

Point = tuple[int, float, str, Any]
"""Step, Unix seconds, key, value: one value of a tool that knows no rows."""


class Control(dict[str, Any]):
    """Stands in place of a row's values for a control row: what follows from there on."""


@dataclass(frozen=True)
class Shown:
    """Stands in place of a row's values where what is known ends: the summary that was shown then.

    ``removed`` are paths that were taken out of it. Unless the process ``has_ended``, it may still change.
    """

    summary: Mapping[str, Any]
    removed: tuple[str, ...]
    has_ended: bool


OldRow = tuple[int, float, Mapping[str, Any] | Shown]
"""Step, Unix seconds, values by key: what ``log`` was given, media too."""


@dataclass
class OldRun:
    """What is known of a run. ``origin`` is what it is called where it is from, for ever.

    ``rows`` are in the order in which they were logged. ``files`` lie below ``files/``, and are paths, or
    contents. ``losses`` are what of it cannot be taken along; more may be said while the rows are read.
    """

    origin: str
    id: str
    rows: Iterable[OldRow] = ()
    about: dict[str, Any] = field(default_factory=dict)
    """What ``run.json`` has: ``project``, ``name``, ``notes``, ``tags``, ``group``, ``job_type``."""
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    state: str = "finished"
    exit_code: int | None = 0
    started: float | None = None
    is_undated: bool = False
    """Whether ``started`` is only when the file was last written; rows without a time have it too."""
    ended: float | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    system: list[dict[str, Any]] = field(default_factory=list)
    console: list[Path] = field(default_factory=list)
    files: dict[str, Path | bytes] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    """All that it lies in, where that may be several."""
    losses: list[str] = field(default_factory=list)

    @property
    def uid(self) -> str:
        """The same for the same run, whenever it is imported."""
        return str(uuid5(NAMESPACE_URL, self.origin))

    @property
    def safe_id(self) -> str:
        """The id as a directory may be called (R013)."""
        if id_problem(self.id) is None:
            return self.id
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.id).strip(".-")[:100] + "-" + self.uid[:8]


def rows_of(points: Iterable[Point]) -> Iterator[OldRow]:
    """Rows of points, sorted by time; those of one step and one moment were logged together.

    Other points of the step are rows of their own, so that what comes later changes none of them.
    """
    step, time, row = 0, 0.0, dict[str, Any]()
    for at, when, key, value in sorted(points, key=lambda point: (point[1], point[0])):
        if row and ((at, when) != (step, time) or key in row):
            yield step, time, row
            row = {}
        if not row:
            step, time = at, when
        row[key] = value
    if row:
        yield step, time, row


def medium(type: str, contents: bytes | Path, ending: str, caption: str | None = None, **about: Any) -> Media:
    """A medium of a file that is kept byte by byte, whatever is in it."""
    [kind] = [kind for kind in MediaFile.__subclasses__() if kind.type == type]
    made = kind.__new__(kind)
    MediaFile.__init__(made, contents, ending, caption, **about)
    return made


def literal(text: str) -> Any:
    """The number, truth value or nothing of which a text is the very spelling; else the text."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float)) and repr(value) == text else text


def spelled(time: float) -> str:
    """Unix seconds as ``run.json`` has them. Raises ``FormatError`` for what is no time."""
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError) as error:
        raise FormatError("R010", f"{time:g} seconds are no time") from error
