"""Whom the server listens to at all: its own names, no other site's pages, nobody without pause. Pure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "RateLimit", "host_of", "is_foreign"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of a server that only its own machine reaches: a page whose own name leads here is not heard."""
MANY = 10_000
"""Callers from which those that have paused are forgotten."""


def host_of(header: str) -> str:
    """The name in a ``Host`` header, without a port and in lower case; empty if there is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a page of another site makes the request: a browser says whose it is in ``Origin``."""
    return origin is not None and origin.partition("://")[2] != host


class RateLimit:
    """So many requests a second of each caller, and ``burst`` of them at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, caller: str) -> float:
        """Count a request; gives the seconds that its caller must wait before it, 0 to go on.

        ``_full_at`` is when a caller has all of the burst again: each request moves it on.
        """
        now = self._clock()
        with self._lock:
            if len(self._full_at) > MANY:
                self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            full_at = max(self._full_at.get(caller, now), now) + 1 / self._rate
            late = full_at - now - self._burst / self._rate
            if late <= 0:
                self._full_at[caller] = full_at
        return max(late, 0.0)
