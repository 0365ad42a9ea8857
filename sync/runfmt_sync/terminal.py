"""Curves in a terminal: dots of braille, or where there is no colour a sign for each of several runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runfmt.drawing import extent
from runfmt.scales import Axis, Scale, axis_of, labels, number
from runfmt_sync.curves import XY, reduce
from runfmt_sync.curves import extent as range_of
from runfmt_sync.words import printable

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Frame", "Line", "chart", "line_of", "plot", "smoothed", "sparkline"]

COLORS = ("bright_blue", "yellow", "green", "magenta", "cyan", "red")
SIGNS = "*+xo#@%&"
BARS = "▁▂▃▄▅▆▇█"
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by row and column (Unicode, chapter 21.1)."""
PLAIN = str.maketrans("┤│└┬─…·∞", "||++-.-?")
"""What stands for signs that a terminal does not know."""
LABELLED = 24
"""Columns from which values stand beside the frame."""
SCALE = 1000
"""So many units is the width of a chart for :func:`smoothed`, whatever its axis counts."""


class Line(NamedTuple):
    """A curve as it is drawn: at each place the value, and the least and the greatest one."""

    name: str
    x: Any
    y: Any
    low: Any
    high: Any
    last: float | None = None
    left_out: Sequence[str] = ()
    """What of it is not shown: ``2 NaN``."""


def line_of(
    name: str, curve: XY, span: tuple[float, float], places: int, *, log: bool = False, smooth: float = 0
) -> Line:
    """A curve over a range; what is not finite, or with ``log`` not above 0, is left out and counted."""
    x, y = curve
    is_shown = np.isfinite(y) & ((y > 0) if log else True)
    odd = {
        "NaN": np.isnan(y),
        "∞": y == np.inf,
        "-∞": y == -np.inf,
        "not above 0": np.isfinite(y) & ~is_shown,
    }
    left_out = [f"{where.sum():,} {what}" for what, where in odd.items() if where.any()]
    x, y = x[is_shown], y[is_shown]
    there = reduce((x, y), *span, places)
    shown = smoothed(there.x, there.y, smooth, span[1] - span[0]) if smooth else there.y
    low, high = (shown, shown) if smooth or there.low is None else (there.low, there.high)
    return Line(name, there.x, shown, low, high, float(y[-1]) if len(y) else None, left_out)


def smoothed(x: Any, y: Any, weight: float, width: float) -> Any:
    """An exponential moving average, weighted by distance and debiased, as W&B's slider does it.

    ``weight`` is 0 to 1, ``width`` that of the chart in units of ``x``.
    """
    kept = min(weight**0.5, 0.999)
    total, count, before, found = 0.0, 0.0, x[:1].sum(), []
    for place, value in zip(x.tolist(), y.tolist(), strict=True):
        decay = kept ** ((place - before) / width * SCALE if width else 1)
        total, count, before = total * decay + value, count * decay + 1, place
        found.append(total / count)
    return np.array(found)


def sparkline(values: Any, places: int) -> str:
    """Values as so many bars, those of a place as one; a blank where none is finite."""
    there = reduce((np.arange(len(values), dtype=float), values), 0, max(len(values) - 1, 1), places)
    if not len(there.y):
        return ""
    at = there.x if there.bucket is None else there.bucket
    up, bars = extent(there.y.tolist()), [" "] * (int(at[-1]) + 1)
    for place, value in zip(at, there.y.tolist(), strict=True):
        bars[int(place)] = BARS[min(int(up.place(value) * len(BARS)), len(BARS) - 1)]
    return "".join(bars)


# A chart


class _Canvas:
    """Characters of a chart, each with the number of the line that was drawn there last."""

    def __init__(self, width: int, height: int, *, dots: bool) -> None:
        self.size, self._across, self._down = (width, height), 2 if dots else 1, 4 if dots else 1
        self._bits: dict[tuple[int, int], int] = {}
        self._owners: dict[tuple[int, int], int] = {}

    def stroke(self, start: tuple[float, float], end: tuple[float, float], owner: int) -> None:
        """Draw from a place to another; a place is 0 to 1 from the left and from the bottom."""
        width, height = self.size[0] * self._across - 1, self.size[1] * self._down - 1
        (x, y), (x1, y1) = ((p[0] * width, (1 - p[1]) * height) for p in (start, end))
        steps = max(round(abs(x1 - x)), round(abs(y1 - y)), 1)
        for step in range(steps + 1):
            self._dot(round(x + (x1 - x) * step / steps), round(y + (y1 - y) * step / steps), owner)

    def _dot(self, column: int, row: int, owner: int) -> None:
        cell = row // self._down, column // self._across
        self._bits[cell] = self._bits.get(cell, 0) | DOTS[row % self._down][column % self._across]
        self._owners[cell] = owner

    def row(self, number: int) -> Iterable[tuple[str, int]]:
        """The characters of a row, each with its owner, -1 where nothing is."""
        for column in range(self.size[0]):
            owner = self._owners.get((number, column), -1)
            dots = chr(0x2800 + self._bits.get((number, column), 0))
            yield " " if owner < 0 else dots if self._down > 1 else _sign(owner), owner


def _sign(owner: int) -> str:
    return SIGNS[owner % len(SIGNS)]


class Frame(NamedTuple):
    """How a chart is drawn: ``height`` is that of the curves; ``dots`` means braille, else signs."""

    title: str
    x: str
    log: bool
    width: int
    height: int
    colored: bool
    dots: bool


def chart(lines: Sequence[Line], frame: Frame) -> list[Text]:
    """A chart with axes and a legend; no line is wider than the frame."""
    from rich.text import Text

    across = extent(place for line in lines for place in (*line.x[:1].tolist(), *line.x[-1:].tolist()))
    up = extent((v for line in lines for side in (line.low, line.high) for v in side.tolist()), log=frame.log)
    beside = _beside(up, frame.height) if frame.width >= LABELLED else {}
    left = max(map(len, beside.values()), default=-1) + 2
    canvas = _Canvas(max(frame.width - left, 1), frame.height, dots=frame.dots)
    for owner, line in enumerate(lines):
        _draw(canvas, line, across, up, owner)
    axis = axis_of(frame.x)
    drawn = [Text(printable(f"{frame.title} over {axis.name}"), style="bold" if frame.colored else "")]
    for row in range(frame.height):
        text = Text(f"{beside[row]:>{left - 2}} ┤" if row in beside else f"{'│':>{left}}")
        for owner, signs in groupby(canvas.row(row), lambda sign: sign[1]):
            style = _color(owner) if frame.colored and owner >= 0 else ""
            text.append("".join(sign for sign, _ in signs), style)
        drawn.append(text)
    drawn += [Text(line) for line in _below(across, axis, left, canvas.size[0])]
    drawn += _legend(lines, frame)
    for text in drawn:
        text.rstrip()
        text.truncate(frame.width, overflow="ellipsis")
    return drawn


def _color(owner: int) -> str:
    return COLORS[owner % len(COLORS)]


def _draw(canvas: _Canvas, line: Line, across: Scale, up: Scale, owner: int) -> None:
    before = None
    for x, y, low, high in zip(
        *(side.tolist() for side in (line.x, line.y, line.low, line.high)), strict=True
    ):
        place = across.place(x)
        canvas.stroke((place, up.place(low)), (place, up.place(high)), owner)
        here = place, up.place(y)
        canvas.stroke(before or here, here, owner)
        before = here


def _beside(up: Scale, height: int) -> dict[int, str]:
    """What stands beside which rows."""
    ticks = up.ticks(max(height // 3, 2))
    return {
        round((1 - up.place(tick)) * (height - 1)): label
        for tick, label in zip(ticks, labels(ticks), strict=True)
    }


def _below(across: Scale, axis: Axis, left: int, width: int) -> list[str]:
    """The axis with its ticks, and what stands below them, as far as there is room."""
    ticks = axis.ticks(across.low, across.high, max(width // 12, 1))
    line, below = ["─"] * width, ""
    for tick, label in zip(ticks, axis.labels(ticks), strict=True):
        at = round(across.place(tick) * (width - 1))
        begin = min(max(at - len(label) // 2, 0), width - len(label))
        if begin >= len(below) + bool(below):
            below = below.ljust(begin) + label
            line[at] = "┬"
    return [f"{'└':>{left}}{''.join(line)}", " " * left + below]


def _legend(lines: Sequence[Line], frame: Frame) -> Iterable[Text]:
    """A line for each curve: its sign, its name, the last value, and what is not shown."""
    from rich.text import Text

    for owner, line in enumerate(lines):
        text = Text("─" if frame.dots else _sign(owner), style=_color(owner) if frame.colored else "")
        last = "nothing to show" if line.last is None else number(line.last)
        left_out = f"  ({', '.join(line.left_out)} left out)" if line.left_out else ""
        yield text.append(f" {printable(line.name)}  {last}{left_out}", "default" if frame.colored else "")


# The command


def plot(
    paths: Sequence[str],
    key: str,
    *,
    x: str,
    log: bool,
    smooth: float,
    width: int | None,
    height: int | None,
) -> None:
    """Print the curves of a key, as wide and high as the terminal unless it is said otherwise.

    Raises ``UsageError`` if no run has such a number.
    """
    from rich.console import Console

    from runfmt_sync.measured import AXES, curves_of

    x = AXES.get(x, x)
    curves = curves_of(paths, key, x)
    console = Console(highlight=False, width=width)
    is_unicode, colored = console.encoding.startswith("utf"), console.color_system is not None
    span = range_of([curve for _, curve in curves]) or (0.0, 1.0)
    lines = [line_of(name, curve, span, 2 * console.width, log=log, smooth=smooth) for name, curve in curves]
    height = height or max(min(console.height - len(lines) - 4, 24), 5)
    dots = is_unicode and (colored or len(lines) == 1)
    for text in chart(lines, Frame(key, x, log, console.width, height, colored, dots)):
        text.plain = text.plain if is_unicode else text.plain.translate(PLAIN)
        console.print(text, soft_wrap=True)
