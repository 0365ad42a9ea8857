"""What requests and answers are made of: bodies within limits, JSON, and errors (H001, H002)."""

from __future__ import annotations

import errno
import logging
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, cast

import anyio
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from runfmt.errors import CommError, FormatError, explain
from runfmt_sync.digests import Changed
from runfmt_sync.extents import Refused
from runfmt_sync.server.reading import Absent

__all__ = ["FAILURES", "MAX_JSON", "as_json", "body_of", "failed", "problem", "said"]

MAX_JSON = 8 * 2**20
DRAINED = 16
"""So many times the most bytes are read to their end and thrown away, so that the answer is heard."""
WRITTEN = 2**19
"""Bytes of a request that are written at once, by another thread: a disk may be slow."""
IDLE = 60.0
"""Seconds for which a request may send nothing."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FAILURES = (
    HTTPException,
    FormatError,
    Absent,
    Refused,
    Changed,
    CommError,
    OSError,
    ClientDisconnect,
    Exception,
)

log = logging.getLogger("runfmt.server")


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = orjson.dumps({"title": title, "status": status, "detail": detail})
    return Response(body, status, headers, "application/problem+json")


def failed(_: Request, error: Exception) -> Response:
    """The answer to what went wrong (H002); what is the server's own fault is logged."""
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, error.headers)
    if isinstance(error, Absent):
        return problem(404, str(error))
    if isinstance(error, Refused):
        return problem(409, str(error))
    if isinstance(error, FormatError):
        return problem(400, str(error))
    if isinstance(error, (Changed, TimeoutError)):
        return problem(503, "it changes while it is read: ask again", {"Retry-After": "1"})
    if isinstance(error, ClientDisconnect):
        return problem(400, "the request was not sent to its end")
    if isinstance(error, CommError):
        log.error("a request failed: %s", error)
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_ROOM:
            return failed(_, error.__cause__)
        return problem(503, "the store is away: ask again", {"Retry-After": "1"})
    if isinstance(error, OSError):
        log.error("a request failed: %s", explain(error))
        return problem(507 if error.errno in NO_ROOM else 500, error.strerror or "a disk failed")  # H033
    log.error("a request failed", exc_info=error)
    return problem(500, "a fault of the server: its log says more")


def as_json(value: Any) -> Response:
    """An answer; it may hold arrays of numbers."""
    data = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, headers={"Cache-Control": "no-store"}, media_type="application/json")


async def said(request: Request) -> Any:
    """What a request says in JSON."""
    with await body_of(request, MAX_JSON) as body:
        data = body.read()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"no JSON: {error}") from None


async def body_of(request: Request, limit: int) -> BinaryIO:
    """The bytes of a request, in memory or in a temporary file (H030)."""
    spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=2**20))  # noqa: SIM115
    size, waiting = 0, bytearray()
    try:
        with anyio.fail_after(IDLE) as patience:
            async for chunk in request.stream():
                patience.deadline = anyio.current_time() + IDLE
                size += len(chunk)
                if size > DRAINED * limit:
                    break
                if size <= limit:
                    waiting += chunk
                if len(waiting) >= WRITTEN:
                    await run_in_threadpool(spool.write, waiting)
                    waiting = bytearray()
        spool.write(waiting)
        if size > limit:
            raise HTTPException(413, f"more than {limit:,} bytes: send less at once")
    except BaseException as error:
        spool.close()
        if isinstance(error, TimeoutError):
            raise HTTPException(408, f"nothing came for {IDLE:.0f} seconds") from None
        raise
    spool.seek(0)
    return spool
