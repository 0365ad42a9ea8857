"""A stream where nothing is appended: segments, whose names say which bytes they hold. Pure.

``<start>-<end>-<digest>``: offsets of 20 digits, and the first 16 of the SHA-256. Equal names
mean equal bytes, so writing one again, by whoever, changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "Part", "Segment", "chain", "covered", "digest_of", "length_of", "name_of", "parse", "to_merge", "within",
]  # fmt: skip

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


def chain(segments: Iterable[Segment], without: Collection[Segment] = ()) -> list[Part]:
    """What readers read: from the beginning on without a gap, bytes that they have left out (O012)."""
    parts: list[Part] = []
    reached = 0
    for segment in sorted({*segments} - {*without}, key=lambda one: (one.start, -one.end, one.digest)):
        if segment.start > reached:
            break
        if segment.end > reached:
            parts.append(Part(segment, reached - segment.start))
            reached = segment.end
    return parts


def to_merge(parts: Sequence[Part], limit: int) -> list[Part]:
    """The small segments at the end of a stream that are better one, of at most so many bytes."""
    found: list[Part] = []
    size = 0
    for segment, skip in reversed(parts):
        size += segment.end - segment.start - skip
        if segment.end - segment.start >= SMALL or size > limit:
            break
        found.insert(0, Part(segment, skip))
    return found if len(found) >= MANY else []


def covered(parts: Sequence[Part], segments: Iterable[Segment]) -> dict[Segment, list[Segment]]:
    """The segments for which a larger one stands, by that one."""
    used = [part.segment for part in parts]
    found: dict[Segment, list[Segment]] = {}
    for one in sorted({*segments} - {*used}):
        for larger in used:
            if larger.start <= one.start and one.end <= larger.end:
                found.setdefault(larger, []).append(one)
                break
    return found


def within(segments: Iterable[Segment], length: int) -> list[Segment]:
    """The segments, used by readers or not, that end in the first bytes of a stream; sorted."""
    return sorted(segment for segment in segments if segment.end <= length)


def digest_of(segments: Iterable[Segment]) -> str:
    """What changes when there are other segments (O030)."""
    return hashlib.sha256(" ".join(map(name_of, segments)).encode()).hexdigest()


def length_of(parts: Sequence[Part]) -> int:
    """Where a chain ends, in bytes."""
    return parts[-1].segment.end if parts else 0
