"""Who calls, and what he may do: asked before anything is done for a request (H004, H005)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from runfmt_sync.server.guard import RateLimit
from runfmt_sync.server.tokens import ANYBODY, Caller

__all__ = ["Door", "KnowsTokens"]


class KnowsTokens(Protocol):
    """Who knows the tokens that were given out."""

    def all(self) -> Mapping[str, Any]:
        """What is kept of each."""

    def caller(self, token: str) -> Caller | None:
        """Whom a token is from, None if nobody gave it out."""


class Door:
    """Lets callers in by their tokens; while it ``is_open`` and there is none, anybody."""

    def __init__(self, tokens: KnowsTokens, limit: RateLimit, *, is_open: bool) -> None:
        self._tokens, self._limit, self._is_open = tokens, limit, is_open

    async def caller(self, request: Request, *scopes: str) -> Caller:
        """Who calls; he needs one of the scopes (H004, H005)."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            caller = await run_in_threadpool(self._tokens.caller, token.strip())
        else:
            caller = ANYBODY if self._is_open and not await run_in_threadpool(self._tokens.all) else None
        who = caller.name if caller else request.client.host if request.client else ""
        if wait := self._limit.wait(who):
            raise HTTPException(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        if caller is None:
            raise HTTPException(401, "no token, or none that is known here", {"WWW-Authenticate": "Bearer"})
        if scopes and not any(caller.may(scope) for scope in scopes):
            raise HTTPException(403, f"the token {caller.name} lacks the scope {' or '.join(scopes)}")
        return caller
