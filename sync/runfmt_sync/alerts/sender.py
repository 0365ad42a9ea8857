"""A process that sends to one target what is due, one after the other, and ends.

It outlives the sync that started it: a sync that is killed leaves no delivery in doubt, and a target
that hangs holds up nobody. The URL of the target is in none of its arguments, which anybody may read.
"""

from __future__ import annotations

import errno
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
from runfmt_sync.alerts.handover import Handover
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

    @property
    def is_one(self) -> bool:
        """Whether what is told goes in one message, and not to several receivers behind one URL."""
        return len(self._service) == 1

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


class _Sender:
    """Sends to a target; ``stop`` ends it behind what it is at."""

    def __init__(self, home: Home, target: Target) -> None:
        self._id, self._outbox, self._service = target.id, Outbox(home.folder), Apprised(target.url)
        self._handover = Handover(home.folder / f"{target.id}.handed")
        self._is_told_to_end = False

    def stop(self, *_: object) -> None:
        """End behind the delivery that is under way."""
        self._is_told_to_end = True

    def run(self) -> None:
        """Send what is due, until something fails: what follows may fail for the same reason."""
        if key := self._handover.last():  # a sender was killed
            self._outbox.confirm(self._id, key)
            self._handover.clear()
        while not self._is_told_to_end and (delivery := self._outbox.claim(self._id)):
            signal.alarm(PATIENCE)
            if not self._send(delivery):
                break

    def _send(self, delivery: Delivery) -> bool:
        if self._service.is_one:
            self._handover.watch(delivery.key)
        problem = self._service.send(delivery)
        if problem:
            self._handover.clear()
            self._outbox.failed(self._id, delivery.key, problem)
            return False
        fault_point("alert.sent")
        self._outbox.confirm(self._id, delivery.key)
        self._handover.clear()
        return True


def _give_up(*_: object) -> None:
    """End a call that takes too long, as its own limits would have."""
    raise TimeoutError(errno.ETIMEDOUT, f"no answer for {PATIENCE} seconds")


def main(home: Home, target_id: str) -> None:
    """Send to a target what is due, when no other process does."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE)
    for target in (target for target in home.targets() if target.id == target_id):
        with Locks(home.folder / "locks").take(target_id):
            sender = _Sender(home, target)
            signal.signal(signal.SIGTERM, sender.stop)
            sender.run()


if __name__ == "__main__":
    main(Home(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
