"""A stream where nothing is appended: segments, whose names say which bytes they hold. Pure.

``<start>-<end>-<digest>``: offsets of 20 digits, and the first 16 of the SHA-256. Equal names
mean equal bytes, so writing one again, by whoever, changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Part", "Segment", "chain", "digest_of", "length_of", "name_of", "parse", "to_merge"]

_NAME = re.compile(r"([0-9]{20})-([0-9]{20})-([0-9a-f]{16})")
SMALL = 2**20
"""Bytes below which a segment is merged with its neighbours."""
MANY = 16
"""So many small segments behind each other are merged."""


@dataclass(frozen=True, order=True)
class Segment:
    """Bytes of a stream from ``start`` to before ``end``; ``digest`` are the first 16 digits of theirs."""

    start: int
    end: int
    digest: str


class Part(NamedTuple):
    """What readers take of a segment: all behind its first ``skip`` bytes."""

    segment: Segment
    skip: int


def name_of(segment: Segment) -> str:
    """The name of a segment."""
    return f"{segment.start:020}-{segment.end:020}-{segment.digest}"


def parse(name: str) -> Segment | None:
    """The inverse of :func:`name_of`, None for a name that is none."""
    found = _NAME.fullmatch(name)
    segment = Segment(int(found[1]), int(found[2]), found[3]) if found else None
    return segment if segment and segment.start <= segment.end else None


def chain(segments: Iterable[Segment]) -> list[Part]:
    """What readers read: from the beginning on without a gap, bytes that they have left out."""
    parts: list[Part] = []
    reached = 0
    for segment in sorted(segments, key=lambda one: (one.start, -one.end, one.digest)):
        if segment.start > reached:
            break
        if segment.end > reached:
            parts.append(Part(segment, reached - segment.start))
            reached = segment.end
    return parts


def to_merge(parts: Sequence[Part], limit: int) -> list[Segment]:
    """The small segments at the end of a stream that are better one, of at most so many bytes."""
    found: list[Segment] = []
    size = 0
    for segment, skip in reversed(parts):
        size += segment.end - segment.start
        if skip or segment.end - segment.start >= SMALL or size > limit:
            break
        found.insert(0, segment)
    return found if len(found) >= MANY else []


def digest_of(parts: Sequence[Part]) -> str:
    """What changes when a chain does."""
    return hashlib.sha256(" ".join(name_of(part.segment) for part in parts).encode()).hexdigest()


def length_of(parts: Sequence[Part]) -> int:
    """Where a chain ends, in bytes."""
    return parts[-1].segment.end if parts else 0
