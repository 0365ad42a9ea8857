"""``console.log``: what Python's stdout and stderr printed (R102)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from runfmt.stream import Stream

__all__ = ["Console", "Lines"]

LONGEST = 65536
"""Characters of an unfinished line that are kept back."""


class Lines:
    """Cuts text into lines; of a line rewritten with carriage returns the last state stays. Pure."""

    def __init__(self) -> None:
        self._open = ""

    def take(self, text: str) -> list[str]:
        """The lines that this text completes."""
        *whole, self._open = (self._open + text).split("\n")
        if len(self._open) > LONGEST:
            ends_in_return = self._open.endswith("\r")
            self._open = _last_state(self._open) + "\r" * ends_in_return
        if len(self._open) > LONGEST:
            whole.append(self._open)
            self._open = ""
        return [_last_state(line) for line in whole]

    def rest(self) -> list[str]:
        """The unfinished line, if there is one."""
        rest, self._open = _last_state(self._open), ""
        return [rest] if rest else []


def _last_state(line: str) -> str:
    """What a terminal shows of a line: what follows the last carriage return that is followed by text."""
    if "\r" not in line:
        return line
    return next((state for state in reversed(line.split("\r")) if state), "")


class Console:
    """Copies what goes through ``sys.stdout`` and ``sys.stderr`` to a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # Reentrant: a signal handler may print in the middle of a print.
        self._lock = threading.RLock()
        self._patched: list[tuple[Any, Callable[[str], Any], Lines]] = []

    def start(self) -> None:
        """Begin to copy; handlers that hold the two files already are copied too."""
        for file in dict.fromkeys((sys.stdout, sys.stderr)):
            if file is not None:
                self._patch(file)

    def _patch(self, file: Any) -> None:
        lines, original = Lines(), file.write

        def write(text: str) -> Any:
            written = original(text)
            if isinstance(text, str):
                with self._lock:  # of several threads that print, none loses a piece of the open line
                    self._append(lines.take(text))
            return written

        try:
            file.write = write
        except AttributeError:  # a file of C that takes no attribute cannot be copied
            return
        self._patched.append((file, write, lines))

    def _append(self, lines: list[str]) -> None:
        if lines:
            self._stream.append("".join(line + "\n" for line in lines).encode("utf-8", "replace"))

    def flush(self) -> None:
        """Write what is in the buffer."""
        self._stream.flush()

    def sync(self) -> None:
        """Make durable what was copied."""
        self._stream.sync()

    def stop(self) -> None:
        """Write the unfinished lines, and let go."""
        for _, _, lines in self._patched:
            self._append(lines.rest())
        self._let_go()
        self._stream.close()

    def abandon(self) -> None:
        """Let go, in a forked child: the stream is the parent's."""
        self._let_go()
        self._stream.abandon()

    def _let_go(self) -> None:
        for file, write, _ in self._patched:
            if vars(file).get("write") is write:
                del file.write
        self._patched = []
