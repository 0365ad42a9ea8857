"""Round places on the axes of a chart, and how they are said to people. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Axis", "Scale", "axis_of", "duration", "labels", "linear_ticks", "log_ticks", "number"]

UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
MINUTE, HOUR, DAY = 60, 3600, 86400
SPANS = [
    *(1, 2, 5, 10, 15, 30),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 4, 7, 14, 30, 90, 365)),
]
"""Seconds between two places on an axis of time."""
AGES = 1e11
"""Seconds that nobody says in days."""


class Scale(NamedTuple):
    """A range of values; with ``log`` above 0."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is, 0 at the lower end and 1 at the upper."""
        low, high, at = map(math.log10, (self.low, self.high, value)) if self.log else (*self[:2], value)
        width = high / 2 - low / 2  # halved, the range of any two floats is finite
        return (at / 2 - low / 2) / width if width > 0 else 0.5

    def ticks(self, count: int) -> list[float]:
        """Round values on the scale, about so many."""
        return (log_ticks if self.log else linear_ticks)(self.low, self.high, count)


class Axis(NamedTuple):
    """What lies along an axis: its name, where its ticks are, and what stands at them."""

    name: str
    ticks: Callable[[float, float, int], list[float]]
    labels: Callable[[Sequence[float]], list[str]]


def axis_of(x: str) -> Axis:
    """The axis of ``_step``, ``_timestamp`` (Unix seconds, said as local time), ``_runtime`` or a metric."""
    if x == "_timestamp":
        return Axis("time", _clock_ticks, _moments)
    if x == "_runtime":
        return Axis("time since the start", _time_ticks, lambda ticks: [*map(duration, ticks)])
    return Axis("step", _whole_ticks, labels) if x == "_step" else Axis(x, linear_ticks, labels)


# Ticks


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about ``count`` at most; one if the range is a point."""
    if not high > low:
        return [low]
    return _multiples(low, high, _round_up((high / 2 - low / 2) / max(count, 1) * 2))


def _whole_ticks(low: float, high: float, count: int) -> list[float]:
    """The same where there are no halves."""
    return [tick for tick in linear_ticks(low, high, count) if tick == int(tick)] or [low]


def _round_up(step: float) -> float:
    """1, 2 or 5 times a power of ten, at least a step."""
    if math.isinf(step):
        return step
    power = 10.0 ** math.floor(math.log10(max(step, 5e-324)))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= step * 0.999999), 10 * power)


def _multiples(low: float, high: float, step: float) -> list[float]:
    if not step or math.isinf(step):
        return [low, high]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [float(f"{number * step:.15g}") for number in range(first, last + 1)]
    return [tick for tick in ticks if low - step / 1e6 <= tick <= high + step / 1e6] or [low]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there is room; round values where there are few."""
    first, last = math.floor(math.log10(low)), min(math.ceil(math.log10(high)), 308)
    decades = range(first, last + 1)
    for factors in ((1,), (1, 2, 5)):
        ticks = [factor * 10.0**power for power in decades for factor in factors]
        inside = [tick for tick in ticks if low * 0.999 <= tick and tick / 1.001 <= high]
        if len(inside) > 1 and (len(inside) >= count / 3 or len(factors) > 1):
            return inside[:: math.ceil(len(inside) / max(count, 2))]
    return [tick for tick in linear_ticks(low, high, count) if tick > 0]


def _time_ticks(low: float, high: float, count: int) -> list[float]:
    """Whole seconds, minutes, hours, days."""
    rough = (high - low) / max(count, 1)
    if not 1 <= rough < AGES:
        return linear_ticks(low, high, count)
    place = bisect_left(SPANS, rough)
    return _multiples(low, high, SPANS[place] if place < len(SPANS) else _round_up(rough / DAY) * DAY)


def _clock_ticks(low: float, high: float, count: int) -> list[float]:
    """The same as the clock of this place shows them, as far as there is one."""
    if not _has_clock((low, high)):
        return linear_ticks(low, high, count)
    zone = datetime.fromtimestamp(low).astimezone().utcoffset()
    ahead = zone.total_seconds() if zone else 0.0
    count = max(min(count, int(high - low)), 1)  # a clock shows no less than seconds
    return [tick - ahead for tick in _time_ticks(low + ahead, high + ahead, count)]


# What stands at them


def labels(ticks: Sequence[float]) -> list[str]:
    """Numbers in as few digits as tell what they are."""
    least = min((b - a for a, b in pairwise(ticks)), default=math.inf) / 1000
    for digits in range(1, 17):
        texts = [_short(tick, digits) for tick in ticks]
        if all(
            abs(_value(text) - tick) <= min(least, abs(tick) / 1e4)
            for text, tick in zip(texts, ticks, strict=True)
        ):
            return texts
    return texts


def number(value: float) -> str:
    """A number in five digits that matter, an integer in all: ``0.0012``, ``60,000``, ``1.5e-7``, ``NaN``."""
    if not math.isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else "-∞"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else _short(value, 5)


def _short(value: float, digits: int) -> str:
    """A number in so many digits, with a unit where that is shorter."""
    size = abs(value)
    if value and not 1e-4 <= size < 1e15:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{_trimmed(mantissa)}e{int(power)}"
    unit, name = next((unit for unit in UNITS if size >= unit[0] * 0.99999), (1.0, ""))
    return min(_fixed(value / unit, digits) + name, _fixed(value, digits), key=len)


def _fixed(value: float, digits: int) -> str:
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return _trimmed(f"{round(value, digits - before):.{max(digits - before, 0)}f}")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(text: str) -> float:
    """The number that a label says."""
    factor = next((unit for unit, name in UNITS if text.endswith(name)), 1.0)
    return float(text.rstrip("TBMk")) * factor


def duration(seconds: float) -> str:
    """Seconds as the two largest units: ``1.5s``, ``2m 30s``, ``3h``, ``1d 4h``."""
    size, sign = abs(seconds), "-" if seconds < 0 else ""
    if size >= AGES:
        return f"{number(seconds)}s"
    if size < 10:
        return f"{sign}{size:.2f}".rstrip("0").rstrip(".") + "s"
    parts = [(round(size) // DAY, "d"), (round(size) // HOUR % 24, "h")]
    parts += [(round(size) // MINUTE % 60, "m"), (round(size) % 60, "s")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def _has_clock(times: Sequence[float]) -> bool:
    return all(-6e10 < time < 2.5e11 for time in times)  # the years 68 to 9892


def _moments(ticks: Sequence[float]) -> list[str]:
    if not _has_clock(ticks):
        return labels(ticks)
    times = [datetime.fromtimestamp(tick) for tick in ticks]
    if all(time.hour == time.minute == time.second == 0 for time in times):
        return [f"{time:%Y-%m-%d}" for time in times]
    return [f"{time:%H:%M}" if not time.second else f"{time:%H:%M:%S}" for time in times]
