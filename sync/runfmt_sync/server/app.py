"""The server's HTTP: ``spec/remote.md``, request by request. What is done is done by the service."""

from __future__ import annotations

import errno
import io
import logging
import math
import tempfile
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, cast

import anyio
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfmt.errors import FormatError
from runfmt_sync import bundle, wire
from runfmt_sync.digests import Changed
from runfmt_sync.extents import Refused
from runfmt_sync.server.files import answer_with_file, answer_with_pieces
from runfmt_sync.server.guard import RateLimit, host_of, is_foreign
from runfmt_sync.server.records import Counters
from runfmt_sync.server.service import PAGE, Absent, Service
from runfmt_sync.server.tokens import ANYBODY, Caller

__all__ = ["make_app"]

MAX_BODY = 64 * 2**20
"""Most bytes of a request, as they come and unpacked."""
MAX_JSON = 8 * 2**20
MAX_SPANS = 1024
"""Most spans that are asked for at once."""
DRAINED = 16
"""So many times the most bytes are read to their end and thrown away, so that the answer is heard."""
IDLE = 60.0
"""Seconds for which a request may send nothing."""
RATE, BURST = 200.0, 2000.0
"""Requests a second of one caller, and at once."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CODINGS = ("identity", "gzip", "zstd")

log = logging.getLogger("runfmt.server")


def make_app(
    service: Service, *, is_open: bool, host_names: Collection[str] = (), limit: RateLimit | None = None
) -> ASGIApp:
    """The application.

    ``is_open``: while no token was given out, requests are anybody's. ``host_names`` are those
    that the server goes by, any without.
    """
    api = _Api(service, is_open, limit or RateLimit(RATE, BURST))
    failures = (HTTPException, FormatError, Absent, Refused, Changed, OSError, ClientDisconnect, Exception)
    app = Starlette(
        routes=[
            Route("/healthz", api.health),
            Route("/metrics", api.metrics),
            Route("/v1", api.about),
            Route("/v1/have", api.have, methods=["POST"]),
            Route("/v1/bundles", api.take, methods=["POST"]),
            Route("/v1/fetch", api.fetch, methods=["POST"]),
            Route("/v1/runs", api.runs),
            Route("/v1/runs/{uid}", api.run),
            Route("/v1/runs/{uid}", api.delete, methods=["DELETE"]),
            Route("/v1/runs/{uid}/files/{path:path}", api.file),
            Route("/v1/runs/{uid}/edits", api.edit, methods=["PATCH"]),
        ],
        exception_handlers=dict.fromkeys(failures, _failed),
    )
    app.router.redirect_slashes = False
    return _Guarded(app, frozenset(name.lower() for name in host_names), service.counters)


class _Guarded:
    """Hears only who calls the server by its name and is no other site's page; counts what is answered."""

    def __init__(self, app: ASGIApp, host_names: Collection[str], counters: Counters) -> None:
        self._app, self._host_names, self._counters = app, host_names, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in METHODS else "other"
                status = str(message["status"])
                self._counters.add("runfmt_requests_total", method=method, status=status)
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        refused = self._refusal(Headers(scope=scope))
        await (refused or self._app)(scope, receive, answer)

    def _refusal(self, headers: Headers) -> Response | None:  # H007
        host = headers.get("host", "")
        if self._host_names and host_of(host) not in self._host_names:
            return problem(421, f"the server does not go by {host or 'no name'}: start it with --host-name")
        if is_foreign(headers.get("origin"), host):
            return problem(403, "pages of other sites may not ask")
        return None


METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")


class _Api:
    """The requests; each asks who calls, and what he may do."""

    def __init__(self, service: Service, is_open: bool, limit: RateLimit) -> None:
        self._service, self._is_open, self._limit = service, is_open, limit

    async def health(self, _: Request) -> Response:
        """Whether runs can be taken."""
        try:
            await run_in_threadpool(self._service.try_to_write)
        except OSError as error:
            raise HTTPException(503, f"nothing can be written: {error.strerror}") from None
        return _json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        await self._caller(request, "read")
        text = self._service.counters.text({"runfmt_runs": len(self._service.store.runs)})
        return Response(text, media_type="text/plain; version=0.0.4")

    async def about(self, request: Request) -> Response:
        await self._caller(request)
        limits = {"codings": CODINGS, "max_body": MAX_BODY, "fetch": MAX_SPANS}
        return _json({"runfmt": 1, "store": self._service.store.id, **limits})

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
            self._service.counters.add("runfmt_received_bytes_total", body.seek(0, io.SEEK_END))
            refused = await run_in_threadpool(self._apply, body, coding, caller)
        return _json(wire.refusals_to_json(refused))

    def _apply(self, body: BinaryIO, coding: str, caller: Caller) -> Mapping[str, Any]:
        try:
            bundle.check(bundle.unpacked(body, coding), MAX_BODY)
        except FormatError as error:
            if error.rule == "B006":
                raise HTTPException(413, error.message) from None
            raise
        return self._service.apply(bundle.unpacked(body, coding), caller)

    async def fetch(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        wanted = wire.wanted_from_json(await _said(request))
        if len(wanted) > MAX_SPANS:
            raise HTTPException(413, f"more than {MAX_SPANS:,} spans: ask for fewer at once")
        pieces = self._service.fetch(wanted, caller)
        return await run_in_threadpool(answer_with_pieces, pieces, request.headers.get("Accept-Encoding", ""))

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
            run_id=asked.get("id"),
            after=asked.get("after", ""),
            limit=int(limit),
        )
        return _json({"runs": rows, "next": last})

    async def run(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        return _json(await run_in_threadpool(self._service.run, request.path_params["uid"], caller))

    async def file(self, request: Request) -> Response:
        caller = await self._caller(request, "read")
        uid, path = request.path_params["uid"], request.path_params["path"]
        found = await run_in_threadpool(self._service.file, uid, path, caller)
        try:
            return await run_in_threadpool(answer_with_file, found, path, request.headers)
        except FileNotFoundError:
            raise Absent(f"{uid} has no file {path}") from None

    async def delete(self, request: Request) -> Response:
        caller = await self._caller(request, "admin")
        return _json(
            {"deleted": await run_in_threadpool(self._service.delete, request.path_params["uid"], caller)}
        )

    async def edit(self, request: Request) -> Response:
        caller = await self._caller(request, "append")
        with await _body(request, MAX_JSON) as body:
            data = body.read()
        edits = await run_in_threadpool(self._service.edit, request.path_params["uid"], data, caller)
        return Response(edits, media_type="application/json")

    async def _caller(self, request: Request, *scopes: str) -> Caller:
        """Who calls; he needs one of the scopes (H004, H005)."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            caller = await run_in_threadpool(self._service.tokens.caller, token.strip())
        else:
            caller = (
                ANYBODY if self._is_open and not await run_in_threadpool(self._service.tokens.all) else None
            )
        who = caller.name if caller else request.client.host if request.client else ""
        if wait := self._limit.wait(who):
            raise HTTPException(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        if caller is None:
            raise HTTPException(401, "no token, or none that is known here", {"WWW-Authenticate": "Bearer"})
        if scopes and not any(caller.may(scope) for scope in scopes):
            raise HTTPException(403, f"the token {caller.name} lacks the scope {' or '.join(scopes)}")
        return caller


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = orjson.dumps({"title": title, "status": status, "detail": detail})
    return Response(body, status, headers, "application/problem+json")


def _failed(_: Request, error: Exception) -> Response:
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
    log.error("a request failed", exc_info=error)
    if isinstance(error, OSError):
        return problem(507 if error.errno in NO_ROOM else 500, error.strerror or "a disk failed")  # H033
    return problem(500, "a fault of the server: its log says more")


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
    """The bytes of a request, in memory or in a temporary file (H030)."""
    spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=2**20))  # noqa: SIM115
    stream, size = request.stream(), 0
    try:
        with anyio.fail_after(IDLE) as patience:
            async for chunk in stream:
                patience.deadline = anyio.current_time() + IDLE
                size += len(chunk)
                if size <= limit:
                    await run_in_threadpool(spool.write, chunk)
                elif size > DRAINED * limit:
                    break
        if size > limit:
            raise HTTPException(413, f"more than {limit:,} bytes: send less at once")
    except BaseException as error:
        spool.close()
        if isinstance(error, TimeoutError):
            raise HTTPException(408, f"nothing came for {IDLE:.0f} seconds") from None
        raise
    spool.seek(0)
    return spool
