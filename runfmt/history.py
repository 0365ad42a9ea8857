"""A metrics stream as logical rows (R040-R056): pure functions on its lines."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any, BinaryIO, TypeGuard

from runfmt.errors import FormatError
from runfmt.layout import MAIN, MAX_ROW, MAX_STEP, METRICS, is_safe
from runfmt.rows import CONTROL, decode, merge
from runfmt.summary import Definitions, HandValues

__all__ = ["History", "Problem", "Reader", "is_step", "is_time", "read_history", "read_lines"]

MAX_PROBLEMS = 1000
"""So many problems of a stream are listed, the others counted."""
CONTROL_RULES = {"_rewind": "R050", "_gap": "R052", "_summary": "R053", "_define": "R054"}


@dataclass(frozen=True, order=True)
class Problem:
    """Something in a run that is not as the specification says.

    ``offset`` is the byte where the line begins, -1 for a whole file.
    """

    path: str
    offset: int
    rule: str
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        at = f" at byte {self.offset:,}" if self.offset >= 0 else ""
        return f"{self.path}{at}: {self.text} [{self.rule}]"


@dataclass
class History:
    """What one metrics stream says.

    ``rows`` are the logical rows in the order of their steps; each has ``_step``
    and, if one was given, ``_timestamp``. ``size`` is the committed length in bytes.
    """

    writer: str = MAIN
    rows: list[dict[str, Any]] = field(default_factory=list)
    definitions: Definitions = field(default_factory=Definitions)
    hand: HandValues = field(default_factory=HandValues)
    problems: list[Problem] = field(default_factory=list)
    unlisted: int = 0
    """How many more problems there are."""
    size: int = 0
    last_step: int = -1
    """Step of the last data row in the stream, -1 if there is none."""
    last_timestamp: float | None = None


def read_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The committed lines of a stream (R020) with their offsets, each with its LF.

    A line longer than a row may be comes as None, and is never held whole. An
    uncommitted tail comes last, as empty bytes with the offset where it begins.
    Memory is bounded by a few of the longest rows.
    """
    offset = 0
    while line := stream.readline(MAX_ROW):
        length, whole, fits = len(line), line[-1:] == b"\n", True
        while not whole and (more := stream.readline(MAX_ROW)):
            length, whole, fits = length + len(more), more[-1:] == b"\n", False
        if not whole:
            yield offset, b""
            return
        yield offset, line if fits else None
        offset += length


def read_history(
    stream: BinaryIO | bytes,
    path: str = METRICS,
    writer: str = MAIN,
    may_open: Callable[[object], bool] = is_safe,
) -> History:
    """Read a metrics stream from its beginning; what is wrong in it is listed, never raised.

    ``may_open`` judges the paths of values with a ``_type`` (R070).
    """
    reader = Reader(path, writer, may_open)
    for offset, line in read_lines(io.BytesIO(stream) if isinstance(stream, bytes) else stream):
        reader.take(offset, line)
    return reader.finish()


class Reader:
    """Takes the lines of one stream in order, and gives its history; ``steps`` are its rows so far."""

    def __init__(self, path: str, writer: str, may_open: Callable[[object], bool]) -> None:
        self.path = path
        self.may_open = may_open
        self.history = History(writer=writer)
        self.steps: dict[int, dict[str, Any]] = {}
        self.ascends = True
        """Whether the steps were met in their order, as they nearly always are."""

    def report(self, offset: int, rule: str, text: str) -> None:
        if len(self.history.problems) < MAX_PROBLEMS:
            self.history.problems.append(Problem(self.path, offset, rule, text))
        else:
            self.history.unlisted += 1

    def take(self, offset: int, line: bytes | None) -> None:
        if line == b"":
            self.report(offset, "R020", "an unfinished last line was left out")
            return
        if line is None:
            self.report(offset, "R027", f"a line of more than {MAX_ROW:,} bytes was left out")
            return
        self.history.size = offset + len(line)
        try:
            row, restored = decode(line)
        except FormatError as error:
            self.report(offset, error.rule, error.message)
            return
        step = row.get("_step")
        if not is_step(step):
            self.report(offset, "R030", f"a row without a valid _step was left out: {short(step)}")
            return
        if not restored:
            self.report(offset, "R036", "an entry of _nonfinite does not say NaN or infinity of a null")
        row["_step"] = step = int(step)
        self.take_row(offset, step, row, line)

    def take_row(self, offset: int, step: int, row: dict[str, Any], line: bytes) -> None:
        time = row.get("_timestamp")
        if is_time(time):
            self.history.last_timestamp = time
        else:
            row.pop("_timestamp", None)
            self.report(offset, "R031", f"_timestamp is not a number: {short(time)}")
        row.pop("_runtime", None)
        # A key may be spelled with escapes; a line without any of these bytes has no value with a path.
        if (b"_type" in line or b"\\u" in line) and not all(map(self.paths_are_safe, row.values())):
            self.report(offset, "R070", "a path in a value leads out of the run")
        controls = [(key, row.pop(key)) for key in CONTROL if key in row]
        for key, value in controls:
            self.control(offset, step, key, value)
        if controls and row.keys() <= {"_step", "_timestamp"}:
            return
        self.history.hand.logged(step, row)
        self.history.last_step = step
        there = self.steps.get(step)
        if there is None:
            self.ascends = self.ascends and step > next(reversed(self.steps), -1)
            self.steps[step] = row
        else:
            merge(there, row)

    def control(self, offset: int, step: int, key: str, value: Any) -> None:
        if not getattr(self, key)(offset, step, value):
            self.report(offset, CONTROL_RULES[key], f"{key} has not the form of its rule: {short(value)}")

    def _rewind(self, offset: int, step: int, value: Any) -> bool:
        if not (is_step(value) or (value == -1 and not isinstance(value, bool))):
            return False
        self.drop_above(int(value))
        self.history.hand.rewind(int(value))
        self.history.last_step = int(value)
        return True

    def drop_above(self, step: int) -> None:
        if self.ascends:  # many rewinds must not each look at every row
            while self.steps and next(reversed(self.steps)) > step:
                self.steps.popitem()
        else:
            self.steps = {known: row for known, row in self.steps.items() if known <= step}

    def _gap(self, offset: int, step: int, value: Any) -> bool:
        if not isinstance(value, dict) or not isinstance(value.get("reason"), str):
            return False
        rows = value.get("rows")
        if not is_step(rows) or rows < 1:
            return False
        self.report(offset, "R052", f"{int(rows):,} rows were lost here: {value['reason'][:200]}")
        return True

    def _summary(self, offset: int, step: int, value: Any) -> bool:
        return self.history.hand.take(step, value)

    def _define(self, offset: int, step: int, value: Any) -> bool:
        return self.history.definitions.take(value)

    def paths_are_safe(self, value: Any) -> bool:
        if isinstance(value, dict):
            if "_type" in value and "path" in value and not self.may_open(value["path"]):
                return False
            return all(self.paths_are_safe(item) for item in value.values())
        return all(self.paths_are_safe(item) for item in value) if isinstance(value, list) else True

    def finish(self) -> History:
        steps = self.steps
        self.history.rows = [steps[step] for step in sorted(steps)]
        return self.history


def is_step(value: object) -> TypeGuard[int | float]:
    """Whether a value is a step, however the number is spelled (R030)."""
    if type(value) is int:
        return 0 <= value <= MAX_STEP
    return isinstance(value, float) and value.is_integer() and 0 <= value <= MAX_STEP


def is_time(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number of seconds (R031)."""
    return (type(value) is float or type(value) is int) and math.isfinite(value)
