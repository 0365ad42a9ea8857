"""Names and kinds of everything in a run directory.

The only place that knows a file name. A *stream* only grows, a *file* is only
replaced whole, and the path alone says which (R002-R004).
"""

from __future__ import annotations

import os
import re
import time
import unicodedata

__all__ = [
    "ARTIFACT",
    "ARTIFACTS",
    "CODE",
    "CONFIG",
    "EDITS",
    "MAX_ROW",
    "METRICS",
    "PRIVATE_CACHE",
    "PRIVATE_EDITS_LOCK",
    "PRIVATE_LOCK",
    "PRIVATE_STORE",
    "RUN",
    "SUMMARY",
    "id_problem",
    "is_private",
    "is_safe",
    "is_stream",
    "media_path",
    "new_uid",
    "phase",
    "slug",
    "stream_name",
    "writer_of",
]

RUN = "run.json"
CONFIG = "config.json"
SUMMARY = "summary.json"
EDITS = "edits.json"
METRICS = "metrics.jsonl"
FILES = "files"
CODE = "files/code"
ARTIFACTS = "files/artifacts"
ARTIFACT = "artifact.json"
"""What each version of an artifact, ``files/artifacts/<name>/v<N>/``, is described in."""
PRIVATE_LOCK = ".lock"
PRIVATE_EDITS_LOCK = ".edits.lock"
"""Held while ``edits.json`` is changed, by whoever edits; ``.lock`` is the trainer's."""
PRIVATE_CACHE = ".cache"
PRIVATE_STORE = ".runfmt"
"""What a folder holds that takes runs from elsewhere: a remote."""

MAIN = "main"
MAX_ROW = 10 * 2**20
"""Longest row in bytes, with its LF (R027)."""
MAX_DEPTH = 64
"""Deepest nesting of a row (R025)."""
MAX_STEP = 2**53 - 1
"""Highest step (R030)."""

_ENDINGS = {"metrics": ".jsonl", "events": ".jsonl", "system": ".jsonl", "console": ".log"}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_WRITER = re.compile(r"[a-z0-9]{1,32}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:|(?:^|/)(?:[./]|\Z)")
"""Control characters, backslashes, drives; parts that are empty or begin with a dot."""
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_private(path: str) -> bool:
    """Whether a relative path is the machine's own (R005)."""
    return any(part.startswith(".") for part in path.split("/"))


def is_stream(path: str) -> bool:
    """Whether a relative path is a stream; otherwise it is a file (R003, R004)."""
    return "/" not in path and path.endswith((".jsonl", ".log"))


def is_safe(path: object) -> bool:
    """Whether a path that stands in data may be opened below the run (R007, R070)."""
    return isinstance(path, str) and not _UNSAFE.search(path)


def phase(path: str) -> int:
    """The order in which a run is committed elsewhere.

    0 files and media, 1 streams, 2 documents, 3 ``run.json``: so that no reader
    meets a reference to something that has not arrived.
    """
    if path == RUN:
        return 3
    if is_stream(path):
        return 1
    return 2 if path in (CONFIG, SUMMARY, EDITS) else 0


def stream_name(kind: str, writer: str = MAIN) -> str:
    """``metrics.jsonl`` for the main writer, ``metrics.rank3.jsonl`` for another (R060, R061)."""
    ending = _ENDINGS[kind]
    if writer == MAIN:
        return kind + ending
    if not _WRITER.fullmatch(writer):
        raise ValueError(f"writer {writer!r} must match [a-z0-9]{{1,32}} [R061]")
    return f"{kind}.{writer}{ending}"


def writer_of(path: str, kind: str = "metrics") -> str | None:
    """The writer of a stream of that kind, or None if the path is no such stream."""
    ending = _ENDINGS[kind]
    if path == kind + ending:
        return MAIN
    if path.startswith(kind + ".") and path.endswith(ending):
        writer = path[len(kind) + 1 : -len(ending)]
        if _WRITER.fullmatch(writer) and writer != MAIN:
            return writer
    return None


def id_problem(run_id: str) -> str | None:
    """What is wrong with a run id, or None (R013)."""
    if not _ID.fullmatch(run_id):
        return "must match [A-Za-z0-9][A-Za-z0-9._-]{0,127}"
    if run_id.endswith("."):
        return "must not end in a dot"
    if _DEVICE.fullmatch(run_id):
        return "is a device name of Windows"
    return None


def is_uid(value: object) -> bool:
    """Whether a value is a UUID in lower case (R010)."""
    return isinstance(value, str) and _UID.fullmatch(value) is not None


def new_uid() -> str:
    """A new UUIDv7 (RFC 9562): milliseconds, then random bits."""
    import uuid  # with what it loads, a tenth of the time that `import runfmt` takes

    bits = (time.time_ns() // 10**6 << 80) | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=bits))


def slug(key: str) -> str:
    """A metric's path as a part of a file name, ``[a-z0-9._-]{1,40}`` (R072)."""
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip(".-")[:40] or "media"


def media_path(kind: str, key: str, sha256: str, ending: str) -> str:
    """Where a media file of this key and content lies (R072)."""
    return f"media/{kind}/{slug(key)}_{sha256[:20]}.{ending}"
