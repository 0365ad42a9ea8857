"""A server that speaks ``spec/remote.md`` as a remote: ``https://host/`` and ``http://host/``.

How it is asked, again and again if need be, is a class of its own, for whatever else is asked by HTTP.
"""

from __future__ import annotations

import io
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypeVar, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import orjson
import requests
import urllib3

from runfmt.errors import CommError, FormatError, UsageError
from runfmt_sync import bundle, wire
from runfmt_sync.ahead import ahead
from runfmt_sync.credentials import is_loopback, token_for
from runfmt_sync.extents import Piece, Refused, Wanted
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have
from runfmt_sync.remotes import read_each

if TYPE_CHECKING:
    from runfmt_sync.site import Site

__all__ = ["Caller", "HttpRemote", "problem", "with_token"]

T = TypeVar("T")

TIMEOUT = (10, 120)
"""Seconds to connect, and to wait for the next byte."""
TRIES = 6
LONGEST_WAIT = 30.0
"""Seconds between two tries, unless the server asks for more time."""
CHUNK = 2**20
PIECE = 2**16
"""Bytes of an answer that are lost at most when it breaks off."""
SPANS = 1024
"""Spans that are asked for at once."""
ANSWER = 32 * 2**20
"""Most bytes of an answer with spans, as they come and unpacked (H046)."""
MOST = 256 * 2**20
"""Bytes of JSON that an answer may be, unpacked."""
AGAIN = {408, 429, 500, 502, 503, 504}
ADVICE = {
    401: "ask for one (`runfmt token add` at the server), and `runfmt login {url}` keeps it",
    403: "ask for another token",
    404: "nothing there speaks runfmt: check the address",
    507: "its disk is full: make room there, then sync again",
}


class Caller:
    """Asks what is behind a URL; after a fault a request is sent again.

    ``sleep`` waits so many seconds before that.
    """

    advice: ClassVar[Mapping[int, str]] = {}
    """What to do about an error, by its status."""

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url, self._sleep = url.rstrip("/"), sleep
        self._idle: list[requests.Session] = []

    def auth(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """What says in a request who calls, None if nobody is said."""
        return None

    def json(self, method: str, where: str, body: Any = None, **options: Any) -> Any:
        """The answer to a request, as JSON."""
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if data else {}
        return _json(self.request(method, where, body=data, headers=headers, most=MOST, **options))

    def request(
        self,
        method: str,
        where: str,
        *,
        body: bytes | BinaryIO | _Held | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
        most: int | None = None,
        bear: tuple[int, ...] = (),
    ) -> requests.Response:
        """Send a request until it is answered; ``bear`` are errors that the caller sees to.

        Raises ``CommError`` when the server does not answer, refuses, or answers with over ``most`` bytes.
        """
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                self.wait(attempt)
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            session = self._session()
            try:
                response = session.request(
                    method,
                    self.url + where,
                    data=body,
                    headers=headers,
                    stream=True,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
                if not stream:
                    _hold(response, most)
            except (requests.RequestException, OSError) as error:
                reason = f"does not answer: {_innermost(error)}"
                continue
            self._idle.append(session)
            if response.is_redirect:
                raise CommError(f"{self.url} is elsewhere: use {response.headers['Location']}")
            if response.ok and not stream and not _is_whole(response):
                reason = "breaks off its answer"
                continue
            if response.ok or response.status_code in bear:
                return response
            reason = f"answers {response.status_code}: {problem(response)}"
            if response.status_code not in AGAIN:
                advice = self.advice.get(response.status_code, "").format(url=self.url)
                raise CommError(f"{self.url} {reason}" + (f"; {advice}" if advice else ""))
            self._sleep(_asked_to_wait(response))
        raise CommError(f"{self.url} {reason}; tried {TRIES} times, what was sent is kept: try again later")

    def until_whole(self, read: Callable[[], T]) -> T:
        """What reading an answer gives; one that breaks off, or comes wrong, is asked for again."""
        for attempt in range(TRIES):
            try:
                return read()
            except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError, FormatError) as error:
                fault = error
                self.wait(attempt)
        raise CommError(f"{self.url} breaks off, or answers wrong, again and again: {_innermost(fault)}")

    def wait(self, attempt: int) -> None:
        """Wait before another attempt, so that many do not come back at once."""
        self._sleep(min(LONGEST_WAIT, 0.2 * 2**attempt) * random.random())  # noqa: S311

    def _session(self) -> requests.Session:
        """One that nobody uses, at best with a connection that is open."""
        with suppress(IndexError):
            return self._idle.pop()
        session = requests.Session()
        if auth := self.auth():
            _check_secrecy(self.url)
            session.auth = auth
        return session


class HttpRemote(Caller):
    """A :class:`runfmt_sync.remotes.Remote` behind a URL; without ``token`` the one that is kept is used."""

    advice = ADVICE

    def __init__(
        self, url: str, *, token: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise UsageError(
                f"{url}: a user in the address would be seen by all; `runfmt login` keeps a token instead"
            )
        super().__init__(url, sleep=sleep)
        self._token = token
        self._about: dict[str, Any] = {}

    def auth(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """The token, if there is one."""
        token = self._token or token_for(self.url)
        return partial(with_token, token) if token else None

    @property
    def about(self) -> dict[str, Any]:
        """What the server says of itself."""
        if not self._about:
            self._about = self.json("GET", "/v1")
        return self._about

    @property
    def store_id(self) -> str:
        """The id of the store behind the server."""
        return str(self._said(self.about, "store"))

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
        return self._post_all(bundle.groups(pieces))

    def _post_all(self, groups: Iterable[bundle.Group]) -> dict[str, Refused]:
        """Send groups, a bundle each: while one is applied there the next is on the line, but for its end."""
        last: Future[dict[str, Refused]] = Future()
        last.set_result({})
        refused: dict[str, Refused] = {}
        packed = ahead(map(self._packed, groups), drop=lambda sent: sent[0].close())
        with ThreadPoolExecutor(2) as pool, closing(packed) as bodies:
            for body, coding in bodies:
                held = _Held(body, last)
                coming = pool.submit(self._post, held, coding)
                coming.add_done_callback(held.close)
                held.sent.wait()
                refused, last = {**last.result(), **refused}, coming
            return {**last.result(), **refused}

    def _packed(self, group: bundle.Group) -> tuple[BinaryIO, str]:
        """A bundle, and its coding."""
        is_shorter = "zstd" in self.about.get("codings", ()) and not bundle.is_dense(group)
        coding = "zstd" if is_shorter else "identity"
        body = cast(BinaryIO, tempfile.SpooledTemporaryFile(bundle.IN_MEMORY))  # noqa: SIM115
        with bundle.packed(body, coding) as packed:
            bundle.write(packed, {}, [group])
        return body, coding

    def _post(self, body: _Held, coding: str) -> dict[str, Refused]:
        headers = {"Content-Type": "application/x-tar", "Content-Encoding": coding}
        response = self.request("POST", "/v1/bundles", body=body, headers=headers, most=MOST, bear=(413,))
        fault_point("http.posted")
        if response.status_code == 413:
            return self._halved(body.file, coding)
        return self._understood(wire.refusals_from_json, _json(response))

    def _halved(self, body: BinaryIO, coding: str) -> dict[str, Refused]:
        """Send a bundle that is too large for the server in parts."""
        extents = [extent for extent, _ in bundle.pieces(bundle.unpacked(body, coding))]
        half = sum(extent.length for extent in extents) // 2
        if len(extents) == 1 or not half:
            [extent, *_] = extents
            return {
                extent.uid: Refused(
                    f"{extent.path}: {extent.length:,} bytes in one piece are too many for the server"
                )
            }
        return self._post_all(bundle.groups(bundle.pieces(bundle.unpacked(body, coding)), half))

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of a file of a run, from an offset."""
        where = f"/v1/runs/{uid}/files/{quote(path)}"
        return cast(BinaryIO, io.BufferedReader(_Download(self, where, offset), CHUNK))

    def fetch(self, wanted: Sequence[Wanted]) -> Iterator[bytes | None]:
        """The bytes of small spans, many in one answer; None for those that are not there so."""
        most = self.about.get("fetch")
        if not isinstance(most, int) or most < 1:  # H048
            yield from read_each(self, wanted)
            return
        at = 0
        while at < len(wanted):
            found = self.until_whole(partial(self._fetched, wanted[at : at + min(most, SPANS)]))
            yield from found
            at += len(found)

    def _fetched(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """The bytes of the first spans, or None; of none of them if all are gone (H048)."""
        question = orjson.dumps(wire.wanted_to_json(wanted))
        headers = {"Content-Type": "application/json", "Accept-Encoding": "zstd, gzip"}
        with tempfile.SpooledTemporaryFile(bundle.IN_MEMORY) as spool:
            body = cast(BinaryIO, spool)
            with self.request("POST", "/v1/fetch", body=question, headers=headers, stream=True) as answer:
                _download(answer, body, ANSWER)
            coding = answer.headers.get("Content-Encoding", "identity")
            bundle.check(bundle.unpacked(body, coding), ANSWER)
            found: list[bytes | None] = []
            for extent, data in bundle.pieces(bundle.unpacked(body, coding)):
                asked = (extent.uid, extent.path, extent.offset, extent.length)
                while len(found) < len(wanted) and asked != _asked(wanted[len(found)]):
                    found.append(None)
                if len(found) == len(wanted):
                    raise CommError(f"{self.url} answers what was not asked for: {extent.path!r}")
                found.append(b"".join(data))
            return found or [None] * len(wanted)

    def ids(self) -> dict[str, str]:
        """The id of each run that is there, by uid."""
        return {row["uid"]: row["attributes"]["id"] for row in self.rows() if "attributes" in row}

    def rows(self, **asked: str) -> Iterator[dict[str, Any]]:
        """A row a run, as the server's list has them, of all or of a ``project`` or an ``id`` (H040)."""
        after: str | None = ""
        while after is not None:
            page = self.json("GET", f"/v1/runs?{urlencode({**asked, 'after': after})}")
            yield from self._said(page, "runs")
            after = self._said(page, "next")

    def files(self, uid: str) -> dict[str, dict[str, Any]]:
        """The files of a run, each with ``size`` and ``sha256`` (H042)."""
        return dict(self._said(self.json("GET", f"/v1/runs/{uid}"), "files"))

    def place(self) -> Site:
        """The runs that a URL means: behind the server's address may stand a project and an id."""
        from runfmt_sync.site import Site

        parts = urlsplit(self.url)
        names = [unquote(name) for name in parts.path.split("/") if name]
        for count in range(len(names) + 1):
            above = "".join(f"/{quote(name)}" for name in names[:count])
            server = HttpRemote(f"{parts.scheme}://{parts.netloc}{above}", sleep=self._sleep)
            if server.is_there():
                return Site(server, names[count:])
        raise CommError(f"{self.url}: {ADVICE[404]}")

    def is_there(self) -> bool:
        """Whether a server of runs answers at this address."""
        answer = self.request("GET", "/v1", bear=(404, 405))
        with suppress(ValueError):
            return isinstance(said := answer.json(), dict) and said.get("runfmt") == 1
        return False

    def _said(self, answer: Any, key: str) -> Any:
        if not isinstance(answer, dict) or key not in answer:
            raise CommError(f"{self.url} answers what is no answer: {key} is missing")
        return answer[key]

    def _understood(self, decode: Callable[[Any], T], said: Any) -> T:
        try:
            return decode(said)
        except FormatError as error:
            raise CommError(f"{self.url} answers what is no answer: {error}") from None


class _Held:
    """The body of a request whose end is held back until another one is answered.

    So the two are on the line at once, and are done one behind the other. Raises what that one raised.
    ``sent`` is set when all was read, or is not needed any more. As ``requests`` sees its length, nothing
    of it is written to a disk.
    """

    def __init__(self, file: BinaryIO, before: Future[Any]) -> None:
        self.file, self.sent = file, threading.Event()
        self._size = file.seek(0, io.SEEK_END)
        self._before: Future[Any] | None = before

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(partial(self.read, CHUNK), b"")

    def seek(self, offset: int) -> int:
        """Begin, or begin again."""
        return self.file.seek(offset)

    def tell(self) -> int:
        """Bytes that were read."""
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, or all that are left."""
        is_end = size < 0 or self.file.tell() + size >= self._size
        if is_end and self._before:
            self._before.result()
        data = self.file.read(size)
        if is_end:
            self.sent.set()
        return data

    def close(self, _: object = None) -> None:
        """Let go of the bytes: it is answered, or never will be."""
        self.file.close()
        self._before = None
        self.sent.set()


class _Download(io.RawIOBase):
    """A file of a run at a server; where an answer breaks off, it is asked for again from there."""

    def __init__(self, remote: HttpRemote, where: str, offset: int) -> None:
        self._remote, self._where, self._at = remote, where, offset
        self._body: BinaryIO | None = self._open()

    def _open(self) -> BinaryIO:
        headers = {"Range": f"bytes={self._at}-"} if self._at else {}
        answer = self._remote.request("GET", self._where, headers=headers, stream=True, bear=(404, 416))
        if answer.status_code == 404:
            answer.close()
            raise FileNotFoundError(2, "the remote has no such file", f"{self._remote.url}{self._where}")
        if answer.status_code == 416:
            answer.close()
            return io.BytesIO()
        answer.raw.decode_content = True
        if self._at and answer.status_code == 200:  # a server need not know ranges
            answer.raw.read(self._at)
        return cast(BinaryIO, answer.raw)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("only the server knows the end")
        place = offset + (self._at if whence == io.SEEK_CUR else 0)
        if place != self._at:
            self._drop()
            self._at = place
        return place

    def readinto(self, buffer: Any) -> int:
        data = self._remote.until_whole(partial(self._read, min(len(buffer), PIECE)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            self._body = self._body or self._open()
            return self._body.read(size)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None

    def close(self) -> None:
        self._drop()
        super().close()


def _check_secrecy(url: str) -> None:
    """A token goes over no network where others can read it."""
    parts = urlsplit(url)
    port = parts.port or 8338
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UsageError(
            f"{url} would carry the token where others can read it: use https://, or a tunnel "
            f"(`ssh -L {port}:127.0.0.1:{port} {parts.hostname}`, then http://127.0.0.1:{port})"
        )


def with_token(token: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Say who calls. A header alone would be replaced by what a netrc file says."""
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _asked(wanted: Wanted) -> tuple[str, str, int, int]:
    uid, span = wanted
    return uid, span.path, span.offset, span.end - span.offset


def _download(answer: requests.Response, file: BinaryIO, limit: int) -> None:
    """Write the body of an answer to a file as it comes. Raises ``FormatError`` if it is too long."""
    while chunk := answer.raw.read(PIECE, decode_content=False):
        file.write(chunk)
        if file.tell() > limit:
            raise FormatError("H046", f"an answer of more than {limit:,} bytes")


def _hold(response: requests.Response, most: int | None) -> None:
    """Read an answer into memory. Raises ``CommError`` for one that is more, or unpacks to more."""
    if most is None:
        _ = response.content
        return
    held = bytearray()
    for chunk in response.iter_content(CHUNK):
        held += chunk
        if len(held) > most:
            response.close()
            raise CommError(f"{response.url} answers with more than {most:,} bytes: is it the right server?")
    response._content = bytes(held)  # where `content` looks first


def _is_whole(response: requests.Response) -> bool:
    """Whether the head of an answer came to its end: a server that dies may leave half of one."""
    return bool(response.content) or "Content-Length" in response.headers


def _json(response: requests.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise CommError(f"{response.url} answers no JSON: check the address") from None


def problem(response: requests.Response) -> str:
    """What an error says of itself (RFC 9457), or by ``message``, as MLflow's do."""
    try:
        said = response.json()
        return str(said.get("detail") or said.get("message") or said["title"])
    except (ValueError, AttributeError, KeyError):
        return response.reason or "nothing more"


def _innermost(error: BaseException) -> str:
    while error.__context__ is not None and not isinstance(error, OSError):
        error = error.__context__
    return str(error) or type(error).__name__


def _asked_to_wait(response: requests.Response) -> float:
    """Seconds that the server wants to be left alone."""
    after = response.headers.get("Retry-After", "")
    return min(int(after), 300) if after.isdecimal() else 0
