"""The HTTP of those who look at runs: ``spec/remote.md``, "Reading", "Edits" and "Looking", and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runfmt.layout import EDITS
from runfmt_sync.server import page
from runfmt_sync.server.door import Door
from runfmt_sync.server.exchange import MAX_JSON, as_json, body_of, said
from runfmt_sync.server.files import answer_with_file
from runfmt_sync.server.questions import curves_asked, keys_asked, objects_asked, uids_asked
from runfmt_sync.server.reading import PAGE, Absent, Reading
from runfmt_sync.server.tokens import Caller

__all__ = ["Looking", "Shown"]

A = TypeVar("A")


class Shown(Protocol):
    """What is shown: a server's store, or a folder."""

    reading: Reading

    def visible(self, caller: Caller) -> Mapping[str, Path]:
        """The folder of each run that the caller may see, by uid."""

    def mark(self) -> str:
        """What changes when runs come or go."""

    def rows(self, caller: Caller, **wanted: Any) -> tuple[list[dict[str, Any]], str | None]:
        """A list of runs, and the last uid if there are more."""

    def about(self, uid: str, caller: Caller) -> dict[str, Any]:
        """What is to be said of a run but its rows."""

    def edit(self, uid: str, data: bytes, caller: Caller) -> bytes:
        """Merge edits; gives what is there then."""


class Looking:
    """The requests; each asks who calls, and what he may see."""

    def __init__(self, shown: Shown, door: Door) -> None:
        self._shown, self._door = shown, door

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", page.index),
            Route("/web/{name:path}", page.asset),
            Route("/v1/runs", self.runs),
            Route("/v1/runs/{uid}/about", self.about),
            Route("/v1/runs/{uid}/files/{path:path}", self.file),
            Route("/v1/runs/{uid}/edits", self.edit, methods=["PATCH"]),
            Route("/v1/keys", self.keys, methods=["POST"]),
            Route("/v1/curves", self.curves, methods=["POST"]),
            Route("/v1/objects", self.objects, methods=["POST"]),
            Route("/v1/pulse", self.pulse, methods=["POST"]),
        ]

    async def hello(self, request: Request) -> Response:
        """Who this is, where nothing but looking is served."""
        caller = await self._door.caller(request)
        return as_json({"runfmt": 1, "may": caller.scopes_held})

    async def runs(self, request: Request) -> Response:
        caller = await self._door.caller(request, "read")
        asked = request.query_params
        limit = asked.get("limit", str(PAGE))
        is_short = limit.isascii() and limit.isdigit() and len(limit) < 10
        if not is_short or not 1 <= int(limit) <= PAGE:
            raise HTTPException(400, f"limit is 1 to {PAGE:,}, not {limit[:20]!r}")
        rows, last = await run_in_threadpool(
            self._shown.rows,
            caller,
            uids=asked.getlist("uid"),
            project=asked.get("project"),
            run_id=asked.get("id"),
            after=asked.get("after", ""),
            limit=int(limit),
        )
        return as_json({"runs": rows, "next": last})

    async def about(self, request: Request) -> Response:
        caller = await self._door.caller(request, "read")
        return as_json(await run_in_threadpool(self._shown.about, request.path_params["uid"], caller))

    async def file(self, request: Request) -> Response:
        uid, path = request.path_params["uid"], request.path_params["path"]
        scopes = ("read", "append") if path == EDITS else ("read",)  # H005: edits are laid together
        caller = await self._door.caller(request, *scopes)
        find = self._shown.reading.file
        found = await run_in_threadpool(lambda: find(self._shown.visible(caller), uid, path))
        try:
            return await run_in_threadpool(answer_with_file, found, path, request.headers)
        except FileNotFoundError:
            raise Absent(f"{uid} has no file {path}") from None

    async def edit(self, request: Request) -> Response:
        caller = await self._door.caller(request, "append")
        with await body_of(request, MAX_JSON) as body:
            data = body.read()
        edits = await run_in_threadpool(self._shown.edit, request.path_params["uid"], data, caller)
        return Response(edits, media_type="application/json")

    async def keys(self, request: Request) -> Response:
        return await self._answer(request, keys_asked, self._shown.reading.keys)

    async def curves(self, request: Request) -> Response:
        return await self._answer(request, curves_asked, self._shown.reading.curves)

    async def objects(self, request: Request) -> Response:
        return await self._answer(request, objects_asked, self._shown.reading.objects)

    async def pulse(self, request: Request) -> Response:
        return await self._answer(request, uids_asked, self._pulse)

    def _pulse(self, runs: Mapping[str, Path], uids: tuple[str, ...]) -> dict[str, Any]:
        return {"all": self._shown.mark(), "runs": self._shown.reading.pulse(runs, uids)}

    async def _answer(
        self, request: Request, read: Callable[[Any], A], find: Callable[[Mapping[str, Path], A], Any]
    ) -> Response:
        """Answer a question about the runs that the caller may see."""
        caller = await self._door.caller(request, "read")
        asked = read(await said(request))
        return as_json(await run_in_threadpool(lambda: find(self._shown.visible(caller), asked)))
