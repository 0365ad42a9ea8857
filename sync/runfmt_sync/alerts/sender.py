"""A process that sends to one target what is due, one after the other, and ends.

It outlives the sync that started it: a sync that is killed leaves no delivery in doubt, and a target
that hangs holds up nobody. The URL of the target is in none of its arguments, which anybody may read.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runfmt.errors import MissingLibrary, UsageError
from runfmt.locks import Locks
from runfmt_sync.alerts.outbox import Delivery, Outbox
from runfmt_sync.alerts.targets import Home, Target, without_secrets
from runfmt_sync.faults import fault_point

__all__ = ["Apprised", "start_sender"]

PATIENCE = 60
"""Seconds that one delivery may take; then the process ends, and it is tried again."""
MANUAL = "https://github.com/caronc/apprise/wiki says how it is made"
KEY = "Idempotency-Key"
"""The header that tells a delivery that came twice, where a service takes headers."""


class Apprised:
    """A target as Apprise knows it. Raises ``UsageError`` if it does not, ``MissingLibrary`` without it."""

    def __init__(self, url: str) -> None:
        try:
            import apprise
        except ImportError:
            raise MissingLibrary("alerts", "'runfmt[alerts]'") from None
        if "://" not in url:
            raise UsageError(f"a URL of Apprise's is wanted, as slack://... or mailtos://...: {MANUAL}")
        self._url = url
        with _hearing(url) as heard:
            self._service: Any = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if self._service is None:
            raise UsageError(f"Apprise takes no such URL: {heard.first}; {MANUAL}")

    def send(self, delivery: Delivery) -> str:
        """Send; gives what is wrong, empty if it was taken."""
        headers = getattr(self._service, "headers", None)
        if isinstance(headers, dict):
            headers[KEY] = delivery.key
        with _hearing(self._url) as heard:
            try:
                is_taken = self._service.notify(
                    title=delivery.title, body=delivery.body, notify_type=delivery.urgency, body_format="text"
                )
            except Exception as error:  # a service of anybody's: it must not cost the others their alerts
                return without_secrets(f"{type(error).__name__}: {error}", self._url)
        return "" if is_taken else heard.first


@contextmanager
def _hearing(url: str) -> Iterator[_Heard]:
    """Hear what Apprise complains of, so that nobody else does: there may be secrets in it."""
    heard, log = _Heard(url), logging.getLogger("apprise")
    log.addHandler(heard)
    try:
        yield heard
    finally:
        log.removeHandler(heard)


class _Heard(logging.Handler):
    """What was complained of first, without what is secret in a URL."""

    def __init__(self, url: str) -> None:
        super().__init__(logging.WARNING)
        self._url, self.first = url, ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or without_secrets(record.getMessage(), self._url)


def start_sender(home: Home, target: Target) -> subprocess.Popen[bytes]:
    """Start a process that sends to a target; it is not ended by what ends this one."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(home.path.absolute()), str(home.folder.absolute()), target.id],
        cwd=home.folder,  # nobody else's modules are there
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class _Stop:
    """Whether it was told to end."""

    is_set = False

    def __call__(self, *_: object) -> None:
        self.is_set = True


def main(home: Home, target_id: str) -> None:
    """Send to a target what is due, unless another process does."""
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.alarm(PATIENCE)
    target = next((target for target in home.targets() if target.id == target_id), None)
    if target is None:
        return
    outbox, service = Outbox(home.folder), Apprised(target.url)
    with Locks(home.folder / "locks").take(target_id):
        while not stop.is_set and (delivery := outbox.claim(target_id)):
            signal.alarm(PATIENCE)
            problem = service.send(delivery)
            fault_point("alert.sent")
            if problem:
                outbox.failed(target_id, delivery.key, problem)
                return
            outbox.confirm(target_id, delivery.key)


if __name__ == "__main__":
    main(Home(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
