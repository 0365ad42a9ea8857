"""Words for people: sizes, counts, and lines that cannot steer a terminal."""

from __future__ import annotations

import os

__all__ = ["counted", "human", "plain", "printable"]


def human(size: float) -> str:
    """A number of bytes: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(count: int, noun: str) -> str:
    """How many there are: ``1 run``, ``1,200 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(line: str) -> str:
    """A line whose names cannot steer a terminal: they may come from anywhere."""
    return line if line.isprintable() else "".join(c if c.isprintable() else "�" for c in line)


def plain(text: str) -> str:
    """A text that is one: a file's name may hold other bytes."""
    return text if text.isascii() else os.fsencode(text).decode(errors="replace")
