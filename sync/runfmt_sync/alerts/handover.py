"""What was handed to the network: so that a sender that is killed then does not send it again.

What a process has given to the system is sent though the process is killed. So the moment before, its
key is written into a file: by a system call, as a kill takes nothing of that. A power cut may take it,
and what is handed over by other ways than HTTP and SMTP, or in several messages, is not marked at all:
that is sent again, rather twice than never.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["Handover"]

SENDING = ("http.client.send", "smtplib.send")
"""Of what Python tells before it sends (its table of audit events); the second argument are the bytes."""


class Handover:
    """Of one target and one process, for as long as that lives."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._key = b""
        sys.addaudithook(self._hear)

    def last(self) -> str:
        """The key of what was handed over and not cleared, empty if there is none."""
        return os.pread(self._descriptor, 64, 0).decode("ascii", "replace")

    def watch(self, key: str) -> None:
        """Mark a key when bytes are sent that hold it."""
        self._key = key.encode()

    def clear(self) -> None:
        """What became of it is known, or kept elsewhere."""
        self._key = b""
        os.ftruncate(self._descriptor, 0)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._key and event in SENDING:
            sent = arguments[1]
            if self._key in (sent.encode() if isinstance(sent, str) else sent):
                os.pwrite(self._descriptor, self._key, 0)
