"""The server's HTTP: ``spec/remote.md``, request by request. What is done is done by the service."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, cast

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from runfmt.errors import FormatError, explain
from runfmt_sync import bundle, wire
from runfmt_sync.digests import Changed
from runfmt_sync.server.service import PAGE, Absent, Service
from runfmt_sync.server.tokens import ANYBODY, Caller

__all__ = ["make_app"]

MAX_BODY = 64 * 2**20
"""Most bytes of a request, as they come and unpacked."""
MAX_JSON = 8 * 2**20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CODINGS = ("identity", "gzip", "zstd")


def make_app(service: Service, *, is_open: bool) -> Starlette:
    """The application; ``is_open``: requests without a token are anybody's."""
    api = _Api(service, is_open)
    return Starlette(
        routes=[
            Route("/healthz", api.health),
            Route("/v1", api.about),
            Route("/v1/have", api.have, methods=["POST"]),
            Route("/v1/bundles", api.take, methods=["POST"]),
            Route("/v1/runs", api.runs),
            Route("/v1/runs/{uid}", api.run),
            Route("/v1/runs/{uid}/files/{path:path}", api.file),
            Route("/v1/runs/{uid}/edits", api.edit, methods=["PATCH"]),
        ],
        exception_handlers=dict.fromkeys((HTTPException, FormatError, Absent, Changed, OSError), _failed),
    )


class _Api:
    """The requests; each asks who calls, and what he may do."""

    def __init__(self, service: Service, is_open: bool) -> None:
        self._service, self._is_open = service, is_open

    async def health(self, _: Request) -> Response:
        return _json({"status": "ok"})

    async def about(self, request: Request) -> Response:
        await self._caller(request)
        return _json({"runfmt": 1, "store": self._service.store.id, "codings": CODINGS, "max_body": MAX_BODY})

    async def have(self, request: Request) -> Response:
        caller = await self._caller(request, "append", "read")
        asks, believe = wire.asks_from_json(await _said(request))
        haves = await run_in_threadpool(self._service.have, asks, caller, believe=believe)
        return _json(wire.haves_to_json(haves))

    async def take(self, request: Request) -> Response:
        caller = await self._caller(request, "append")
        coding = request.headers.get("Content-Encoding", "identity")
        if coding not in CODINGS:
            raise HTTPException(415, f"a bundle comes as {', '.join(CODINGS)}, not {coding}")
        with await _body(request, MAX_BODY) as body:
            refused = await run_in_threadpool(self._apply, body, coding, caller)
        return _json(wire.refusals_to_json(refused))

    def _apply(self, body: BinaryIO, coding: str, caller: Caller) -> Mapping[str, Any]:
        bundle.check(bundle.unpacked(body, coding), MAX_BODY)
        return self._service.apply(bundle.unpacked(body, coding), caller)

    async def runs(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        asked = request.query_params
        limit = asked.get("limit", str(PAGE))
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= PAGE:
            raise HTTPException(400, f"limit is 1 to {PAGE:,}, not {limit!r}")
        rows, last = await run_in_threadpool(
            self._service.runs,
            caller,
            project=asked.get("project"),
            after=asked.get("after", ""),
            limit=int(limit),
        )
        return _json({"runs": rows, "next": last})

    async def run(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        found = await run_in_threadpool(self._service.inventory, request.path_params["uid"], caller)
        files = {
            path: {"size": entry.proof.size, "sha256": entry.proof.digest}
            for path, entry in found.entries.items()
        }
        return _json({"uid": found.uid, "id": found.id, "digest": found.digest, "files": files})

    async def file(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        uid, path = request.path_params["uid"], request.path_params["path"]
        found = await run_in_threadpool(self._service.file, uid, path, caller)
        return FileResponse(found, headers=APART, media_type="application/octet-stream")

    async def edit(self, request: Request) -> Response:
        caller = await self._caller(request, "append")
        with await _body(request, MAX_JSON) as body:
            data = body.read()
        edits = await run_in_threadpool(self._service.edit, request.path_params["uid"], data, caller)
        return Response(edits, media_type="application/json")

    async def _caller(self, request: Request, *scopes: str) -> Caller:
        """Who calls; he needs one of the scopes."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            caller = await run_in_threadpool(self._service.tokens.caller, token.strip())
        else:
            caller = ANYBODY if self._is_open else None
        if caller is None:
            raise HTTPException(401, "no token, or none that is known here", {"WWW-Authenticate": "Bearer"})
        if scopes and not any(caller.may(scope) for scope in scopes):
            raise HTTPException(403, f"the token {caller.name} lacks the scope {' or '.join(scopes)}")
        return caller


APART = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox",
}
"""A file of a run is a user's: no browser runs it as ours."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = orjson.dumps({"title": title, "status": status, "detail": detail})
    return Response(body, status, headers, "application/problem+json")


def _failed(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, error.headers)
    if isinstance(error, Absent):
        return problem(404, str(error))
    if isinstance(error, Changed):
        return problem(503, f"{error} changes while it is read", {"Retry-After": "1"})
    if isinstance(error, OSError):
        return problem(507 if error.errno in NO_ROOM else 500, explain(error))
    return problem(400, str(error))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


async def _said(request: Request) -> Any:
    with await _body(request, MAX_JSON) as body:
        data = body.read()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"no JSON: {error}") from None


async def _body(request: Request, limit: int) -> BinaryIO:
    """The bytes of a request, in memory or in a temporary file."""
    spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=2**20))  # noqa: SIM115
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            spool.close()
            raise HTTPException(413, f"more than {limit:,} bytes: send less at once")
        spool.write(chunk)
    spool.seek(0)
    return spool
