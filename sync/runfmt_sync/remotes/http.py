"""A server that speaks ``spec/remote.md`` as a remote: ``https://host/`` and ``http://host/``."""

from __future__ import annotations

import io
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote, urlsplit

import requests

from runfmt.errors import CommError, FormatError, UsageError
from runfmt_sync import bundle, wire
from runfmt_sync.credentials import token_for
from runfmt_sync.extents import Piece
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have
from runfmt_sync.store import Refused

__all__ = ["HttpRemote"]

T = TypeVar("T")

TIMEOUT = (10, 120)
"""Seconds to connect, and to wait for the next byte."""
TRIES = 6
LONGEST_WAIT = 30.0
"""Seconds between two tries, unless the server asks for more time."""
AGAIN = {408, 429, 500, 502, 503, 504}
ADVICE = {
    401: "`runfmt login {url}` keeps a token for it",
    403: "the token may not do this: ask for one with the scope it needs",
    404: "nothing there speaks runfmt: check the address",
    507: "its disk is full: make room there, then sync again",
}


class HttpRemote:
    """A :class:`runfmt_sync.remotes.Remote` behind a URL; after a fault a request is sent again.

    ``sleep`` waits so many seconds before that.
    """

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise UsageError(
                f"{url}: a user in the address would be seen by all; `runfmt login` keeps a token instead"
            )
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._local = threading.local()
        self._about: dict[str, Any] = {}

    @property
    def about(self) -> dict[str, Any]:
        """What the server says of itself."""
        if not self._about:
            self._about = self.json("GET", "/v1")
        return self._about

    @property
    def store_id(self) -> str:
        """The id of the store behind the server."""
        return str(self.about["store"])

    def prepare(self) -> None:
        """The server has seen to it."""

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is there of runs, of those that are not the same."""
        question = wire.asks_to_json(asks, believe=believe)
        return self._understood(
            wire.haves_from_json,
            self.json("POST", "/v1/have", question) if question["runs"] else {"runs": {}},
        )

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Send extents in bundles; each is durable there when it is answered."""
        refused: dict[str, Refused] = {}
        for group in bundle.groups(pieces):
            for uid, error in self._post(group).items():
                refused.setdefault(uid, error)
            fault_point("http.posted")
        return refused

    def _post(self, group: bundle.Group) -> dict[str, Refused]:
        coding = "zstd" if "zstd" in self.about.get("codings", ()) else "identity"
        headers = {"Content-Type": "application/x-tar", "Content-Encoding": coding}
        with tempfile.SpooledTemporaryFile(bundle.IN_MEMORY) as body:
            with bundle.packed(cast(BinaryIO, body), coding) as packed:
                bundle.write(packed, {}, [group])
            response = self.request(
                "POST", "/v1/bundles", body=cast(BinaryIO, body), headers=headers, bear=(413,)
            )
        if response.status_code == 413:
            return self._halved(group)
        return self._understood(wire.refusals_from_json, _json(response))

    def _halved(self, group: bundle.Group) -> dict[str, Refused]:
        """Send a group that is too large for the server in parts."""
        half = sum(extent.length for extent in group.extents) // 2
        if len(group.extents) == 1 or not half:
            extent = group.extents[0]
            return {
                extent.uid: Refused(
                    f"{extent.path}: {extent.length:,} bytes in one piece are too many for the server"
                )
            }
        refused: dict[str, Refused] = {}
        for part in bundle.groups(group.pieces(), half):
            refused = {**self._post(part), **refused}
        return refused

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of a file of a run, from an offset."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        where = f"/v1/runs/{uid}/files/{quote(path)}"
        response = self.request("GET", where, headers=headers, stream=True, bear=(404, 416))
        if response.status_code == 416:
            return io.BytesIO()
        if response.status_code == 404:
            raise FileNotFoundError(2, "the remote has no such file", f"{self.url}{where}")
        response.raw.decode_content = True
        return cast(BinaryIO, response.raw)

    def ids(self) -> dict[str, str]:
        """The id of each run that is there, by uid."""
        return {row["uid"]: row["attributes"]["id"] for row in self.rows() if "attributes" in row}

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row a run, as the server's list has them (H040)."""
        after: str | None = ""
        while after is not None:
            page = self.json("GET", f"/v1/runs?after={quote(after)}")
            yield from page["runs"]
            after = page["next"]

    # Requests

    def json(self, method: str, where: str, body: Any = None, **options: Any) -> Any:
        """The answer to a request, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        return _json(self.request(method, where, body=data, headers=headers, **options))

    def request(
        self,
        method: str,
        where: str,
        *,
        body: bytes | BinaryIO | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
        bear: tuple[int, ...] = (),
    ) -> requests.Response:
        """Send a request until it is answered; ``bear`` are errors that the caller sees to.

        Raises ``CommError`` when the server does not answer, or refuses.
        """
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                self._sleep(min(LONGEST_WAIT, 0.2 * 2**attempt) * random.random())  # noqa: S311
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            try:
                response = self._session().request(
                    method,
                    self.url + where,
                    data=body,
                    headers=headers,
                    stream=stream,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
            except (requests.RequestException, OSError) as error:
                reason = f"does not answer: {_innermost(error)}"
                continue
            if response.ok or response.status_code in bear:
                return response
            reason = f"answers {response.status_code}: {_problem(response)}"
            if response.status_code not in AGAIN:
                advice = ADVICE.get(response.status_code, "").format(url=self.url)
                raise CommError(f"{self.url} {reason}" + (f"; {advice}" if advice else ""))
            self._sleep(_asked_to_wait(response))
        raise CommError(f"{self.url} {reason}; tried {TRIES} times, what was sent is kept: try again later")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            if token := token_for(self.url):
                self._local.session.headers["Authorization"] = f"Bearer {token}"
        return cast(requests.Session, self._local.session)

    def _understood(self, decode: Callable[[Any], T], said: Any) -> T:
        try:
            return decode(said)
        except FormatError as error:
            raise CommError(f"{self.url} answers what is no answer: {error}") from None


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise CommError(f"{response.url} answers no JSON: check the address") from None


def _problem(response: requests.Response) -> str:
    """What an error says of itself (RFC 9457)."""
    try:
        said = response.json()
        return str(said.get("detail") or said["title"])
    except (ValueError, AttributeError, KeyError):
        return response.reason or "nothing more"


def _innermost(error: BaseException) -> str:
    while error.__context__ is not None and not isinstance(error, OSError):
        error = error.__context__
    return str(error) or type(error).__name__


def _asked_to_wait(response: requests.Response) -> float:
    """Seconds that the server wants to be left alone."""
    after = response.headers.get("Retry-After", "")
    return min(int(after), 300) if after.isdigit() else 0
