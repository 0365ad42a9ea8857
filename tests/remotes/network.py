"""A network in this process: real client and application, no socket; every request meets what is due."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from runfmt_sync.remotes.http import HttpRemote

URL = "http://127.0.0.1:1"
STATUSES = ("429", "500", "502", "503")
FAULTS = ("fine", "lost", "unanswered", "late", "twice", "cut", "torn", "crossed", *STATUSES)
"""What may become of a request.

It never comes, or its answer; it comes after others that were sent later; it comes twice; half of its body
comes; half of its answer comes; another sync runs meanwhile; the server answers so.
"""


class Network(BaseAdapter):
    """Carries requests to an application. ``due`` are the faults of the next requests, then all is fine."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.app = app
        self.due: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.late: list[tuple[requests.PreparedRequest, bytes]] = []
        self.met: dict[str, int] = {}

    def remote(self) -> HttpRemote:
        """A client on this network, for which waiting takes no time."""
        return _Remote(self)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Carry one request, as its fault has it."""
        body: Any = request.body or b""
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        fault = self.due.pop(0) if self.due else "fine"
        self.met[fault] = self.met.get(fault, 0) + 1
        if fault in STATUSES:
            return _response(request, int(fault), {"Retry-After": "7"}, b"")
        if fault == "crossed":
            self.meanwhile()
        elif fault == "late":
            self.late.append((request, body))
        elif fault == "cut":
            self._deliver(request, body[: len(body) // 2], is_cut=True)
        if fault in ("lost", "late", "cut"):
            raise requests.ConnectionError(f"{fault} on its way")
        answer = self._deliver(request, body)
        if fault == "twice":
            answer = self._deliver(request, body)
        if fault in ("unanswered", "torn"):
            kind = (
                requests.ConnectionError
                if fault == "unanswered"
                else requests.exceptions.ChunkedEncodingError
            )
            raise kind(f"{fault} on its way back")
        return answer

    def arrive(self) -> None:
        """What was late arrives, the last first."""
        while self.late:
            self._deliver(*self.late.pop())

    def close(self) -> None:
        """Nothing is open."""

    def _deliver(
        self, request: requests.PreparedRequest, body: bytes, *, is_cut: bool = False
    ) -> requests.Response:
        return asyncio.run(_call(self.app, request, body, is_cut))


class _Remote(HttpRemote):
    def __init__(self, network: Network) -> None:
        super().__init__(URL, sleep=lambda _: None)
        self._network = network

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount(URL, self._network)
        return session


async def _call(app: Any, request: requests.PreparedRequest, body: bytes, is_cut: bool) -> requests.Response:
    """One request to an ASGI application; of one that is cut the other side hangs up."""
    where = urlsplit(str(request.url))
    messages = [{"type": "http.request", "body": body, "more_body": is_cut}]
    answer: dict[str, Any] = {"status": 0, "headers": [], "body": b""}
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        if not is_cut:
            await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answer.update({key: message[key] for key in ("status", "headers") if key in message})
        answer["body"] += message.get("body", b"")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "scheme": "http", "path": unquote(where.path), "raw_path": where.path.encode(),
        "query_string": where.query.encode(), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
        "headers": [(b"host", b"127.0.0.1:1")]
        + [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
    }  # fmt: skip
    await app(scope, receive, send)
    done.set()
    headers = {name.decode(): value.decode() for name, value in answer["headers"]}
    return _response(request, answer["status"], headers, answer["body"])


def _response(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: bytes
) -> requests.Response:
    made = requests.Response()
    made.status_code, made.url, made.request = status, str(request.url), request
    made.headers.update(headers)
    made.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
    return made
