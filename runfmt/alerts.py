"""Alerts: what a level and a waiting time may be."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Any

from runfmt.errors import UsageError

__all__ = ["AlertLevel", "check_alert"]

WAIT = 60.0
"""Seconds within which a second alert of the same title is dropped, unless said otherwise."""


class AlertLevel(Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


def check_alert(level: Any = None, wait_duration: Any = None) -> tuple[str, float]:
    """The level as text and the waiting time in seconds; None is ``INFO`` and a minute.

    Raises ``UsageError`` for another level, ``TypeError`` for a time that is no number and no ``timedelta``.
    """
    text = AlertLevel.INFO.value if level is None else getattr(level, "value", level)
    if text not in [one.value for one in AlertLevel]:
        raise UsageError(f"alert level {text!r} is unknown: use 'INFO', 'WARN' or 'ERROR'")
    if wait_duration is None:
        return text, WAIT
    if isinstance(wait_duration, timedelta):
        return text, wait_duration.total_seconds()
    if isinstance(wait_duration, bool) or not isinstance(wait_duration, (int, float)):
        raise TypeError(f"wait_duration is seconds or a timedelta, not {type(wait_duration).__name__}")
    return text, float(wait_duration)
