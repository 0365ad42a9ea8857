"""The server's HTTP: ``spec/remote.md``, request by request. What is done is done by the service."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfmt.errors import FormatError
from runfmt_sync import bundle, wire
from runfmt_sync.server.door import Door, KnowsTokens
from runfmt_sync.server.exchange import FAILURES, as_json, body_of, failed, problem, said
from runfmt_sync.server.files import answer_with_pieces
from runfmt_sync.server.guard import RateLimit, host_of, is_foreign
from runfmt_sync.server.looking import Looking, Shown
from runfmt_sync.server.records import Counters
from runfmt_sync.server.service import Service
from runfmt_sync.server.tokens import Caller

__all__ = ["make_app", "make_viewer"]

MAX_BODY = 64 * 2**20
"""Most bytes of a request, as they come and unpacked."""
MAX_SPANS = 1024
"""Most spans that are asked for at once."""
RATE, BURST = 200.0, 2000.0
"""Requests a second of one caller, and at once."""
AT_ONCE = 2
"""Requests about much that are worked on at once: Python is one thread at a time, and more of them wait
for each other at every system call. Those about little mostly wait for the disk, and do so together."""
MUCH, MANY = 2**16, 16
"""Bytes of a bundle, and runs of a question, from which it is about much."""
CODINGS = ("identity", "gzip", "zstd")


def make_app(
    service: Service, *, is_open: bool, host_names: Collection[str] = (), limit: RateLimit | None = None
) -> ASGIApp:
    """The application.

    ``is_open``: while no token was given out, requests are anybody's. ``host_names`` are those
    that the server goes by, any without.
    """
    door = Door(service.tokens, limit or RateLimit(RATE, BURST), is_open=is_open)
    routes = [*_Api(service, door).routes(), *Looking(service, door).routes()]
    return _app(routes, host_names, service.counters)


def make_viewer(shown: Shown, tokens: KnowsTokens, host_names: Collection[str]) -> ASGIApp:
    """The application that only shows."""
    door = Door(tokens, RateLimit(10 * RATE, 10 * BURST), is_open=False)  # a user on his own machine
    looking = Looking(shown, door)
    return _app([Route("/v1", looking.hello), *looking.routes()], host_names, Counters())


def _app(routes: Sequence[Route], host_names: Collection[str], counters: Counters) -> ASGIApp:
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(FAILURES, failed))
    app.router.redirect_slashes = False
    return _Guarded(app, frozenset(name.lower() for name in host_names), counters)


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
    """The requests of who brings runs; each asks who calls, and what he may do."""

    def __init__(self, service: Service, door: Door) -> None:
        self._service, self._door = service, door
        self._turns = CapacityLimiter(AT_ONCE)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            Route("/v1", self.about),
            Route("/v1/have", self.have, methods=["POST"]),
            Route("/v1/bundles", self.take, methods=["POST"]),
            Route("/v1/fetch", self.fetch, methods=["POST"]),
            Route("/v1/runs/{uid}", self.run),
            Route("/v1/runs/{uid}", self.delete, methods=["DELETE"]),
        ]

    async def health(self, _: Request) -> Response:
        """Whether runs can be taken."""
        try:
            await run_in_threadpool(self._service.try_to_write)
        except OSError as error:
            raise HTTPException(503, f"nothing can be written: {error.strerror}") from None
        return as_json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        await self._door.caller(request, "read")
        text = self._service.counters.text({"runfmt_runs": len(self._service.store.runs)})
        return Response(text, media_type="text/plain; version=0.0.4")

    async def about(self, request: Request) -> Response:
        caller = await self._door.caller(request)
        limits = {"codings": CODINGS, "max_body": MAX_BODY, "fetch": MAX_SPANS}
        return as_json({"runfmt": 1, "store": self._service.store.id, "may": caller.scopes_held, **limits})

    async def have(self, request: Request) -> Response:
        caller = await self._door.caller(request, "append", "read")
        asks, believe = wire.asks_from_json(await said(request))
        turns = self._turns if len(asks) > MANY else None
        look = partial(self._service.have, asks, caller, believe=believe)
        haves = await to_thread.run_sync(look, limiter=turns)
        return as_json(wire.haves_to_json(haves))

    async def take(self, request: Request) -> Response:
        caller = await self._door.caller(request, "append")
        coding = request.headers.get("Content-Encoding", "identity")
        if coding not in CODINGS:
            raise HTTPException(415, f"a bundle comes as {', '.join(CODINGS)}, not {coding}")
        with await body_of(request, MAX_BODY) as body:
            size = body.seek(0, io.SEEK_END)
            self._service.counters.add("runfmt_received_bytes_total", size)
            turns = self._turns if size > MUCH else None
            refused = await to_thread.run_sync(self._apply, body, coding, caller, limiter=turns)
        return as_json(wire.refusals_to_json(refused))

    def _apply(self, body: BinaryIO, coding: str, caller: Caller) -> Mapping[str, Any]:
        try:
            bundle.check(bundle.unpacked(body, coding), MAX_BODY)
        except FormatError as error:
            if error.rule == "B006":
                raise HTTPException(413, error.message) from None
            raise
        return self._service.apply(bundle.unpacked(body, coding), caller)

    async def fetch(self, request: Request) -> Response:
        caller = await self._door.caller(request, "read")
        wanted = wire.wanted_from_json(await said(request))
        if len(wanted) > MAX_SPANS:
            raise HTTPException(413, f"more than {MAX_SPANS:,} spans: ask for fewer at once")
        pieces = self._service.fetch(wanted, caller)
        return await run_in_threadpool(answer_with_pieces, pieces, request.headers.get("Accept-Encoding", ""))

    async def run(self, request: Request) -> Response:
        caller = await self._door.caller(request, "read")
        return as_json(await run_in_threadpool(self._service.run, request.path_params["uid"], caller))

    async def delete(self, request: Request) -> Response:
        caller = await self._door.caller(request, "admin")
        return as_json(
            {"deleted": await run_in_threadpool(self._service.delete, request.path_params["uid"], caller)}
        )
