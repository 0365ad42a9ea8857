"""Files of runs as answers: one, that no browser runs, in ranges (H043, H045); or many as a bundle (H046)."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from runfmt.layout import is_stream, phase
from runfmt_sync import bundle
from runfmt_sync.extents import Piece
from runfmt_sync.inventory import committed_size

__all__ = ["answer_with_file", "answer_with_pieces", "range_of"]

APART = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""A file of a run is a user's: no browser runs it as ours."""
CHUNK = 2**18
_REFUSED = re.compile(r"\s*q=0(\.0*)?\s*")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte that is wanted, and the one behind the last; None: none of them is there.

    A header of another form, or of several ranges, means all (RFC 9110, 14.2).
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:  # so many of the last
        first, end = max(size - int(found[2]), 0), size
    else:
        first, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
        if found[2] and int(found[2]) < first:
            return 0, size
    return (first, end) if first < end else None


def answer_with_file(place: Path, path: str, asked: Mapping[str, str]) -> Response:
    """The bytes of a file of a run that are asked for. Raises ``OSError``; follows no link (R006)."""
    file = open(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")  # noqa: SIM115
    try:
        return _answer(file, path, asked)
    except BaseException:
        file.close()
        raise


def _answer(file: BinaryIO, path: str, asked: Mapping[str, str]) -> Response:
    size = committed_size(file) if is_stream(path) else os.fstat(file.fileno()).st_size
    tag = _tag(file, path)
    headers = {**APART, "Accept-Ranges": "bytes", **({"ETag": tag} if tag else {})}
    if tag and tag in asked.get("if-none-match", ""):
        file.close()
        return Response(status_code=304, headers=headers)
    whole = asked.get("if-range", tag) != tag
    wanted = range_of(None if whole else asked.get("range"), size)
    if wanted is None:
        file.close()
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    first, end = wanted
    status = 200
    if end - first < size:
        headers["Content-Range"], status = f"bytes {first}-{end - 1}/{size}", 206
    return _FileResponse(file, first, end, status, headers)


def answer_with_pieces(pieces: Iterable[Piece], accepted: str) -> Response:
    """A bundle with the first of the pieces, as many as a group may hold (H046)."""
    coding = _coding(accepted)
    headers = {"Content-Type": "application/x-tar", **({"Content-Encoding": coding} if coding else {})}
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=CHUNK))  # noqa: SIM115
    try:
        with bundle.packed(file, coding) as packed:
            bundle.write(packed, {}, islice(bundle.groups(pieces), 1))
        return _FileResponse(file, 0, file.tell(), 200, headers)
    except BaseException:
        file.close()
        raise


def _coding(accepted: str) -> str:
    """The best coding that a client accepts, empty for none (RFC 9110, 12.5.3)."""
    parts = (part.partition(";") for part in accepted.lower().split(","))
    named = {name.strip() for name, _, weight in parts if not _REFUSED.fullmatch(weight)}
    return next((coding for coding in ("zstd", "gzip") if coding in named), "")


class _FileResponse(StreamingResponse):
    """Some bytes of a file, which is closed whatever becomes of the answer."""

    media_type = "application/octet-stream"

    def __init__(self, file: BinaryIO, first: int, end: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(_bytes(file, first, end), status, {"Content-Length": str(end - first), **headers})
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _tag(file: BinaryIO, path: str) -> str:
    """A strong entity tag; a stream, whose bytes stay and become more, has none."""
    if is_stream(path):
        return ""
    if phase(path) >= 2:
        return f'"sha256-{hashlib.sha256(file.read()).hexdigest()}"'
    now = os.fstat(file.fileno())
    return f'"{now.st_ino:x}-{now.st_mtime_ns:x}-{now.st_size:x}"'


def _bytes(file: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    file.seek(first)
    while first < end and (chunk := file.read(min(CHUNK, end - first))):
        first += len(chunk)
        yield chunk
