"""A proxy in front of a server: it does to requests what bad networks do, as its seed has it."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("reset", "reset after", "delay", "truncate", "cut", "twice", "429", "500", "502", "503")
"""The connection breaks before the request is passed on, or after; it is passed on later; half of the answer
comes; half of the request is passed on; the request is passed on twice; the proxy answers so itself."""


class BadProxy:
    """Passes requests on to ``target``; ``share`` of them meet a fault. ``met`` counts what they met."""

    def __init__(self, target: str, seed: int, share: float = 0.4) -> None:
        self.met: Counter[str] = Counter()
        self.share = share
        self.target = urlsplit(target)
        self._draw, self._lock = random.Random(seed), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> BadProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next_fault(self) -> str:
        """What the next request meets."""
        with self._lock:
            fault = self._draw.choice(FAULTS) if self._draw.random() < self.share else "fine"
            self.met[fault] += 1
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: BadProxy

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.next_fault()
        if fault.isdigit():
            self.say(int(fault), {"Retry-After": "1"}, b"")
        elif fault == "reset":
            self.reset()
        elif fault == "cut":
            self.pass_on(body, len(body) // 2)
            self.reset()
        else:
            if fault == "delay":
                threading.Event().wait(0.05)
            answer = self.pass_on(body)
            if fault == "twice":
                answer = self.pass_on(body)
            if fault == "reset after":
                self.reset()
            else:
                self.say(*answer, is_half=fault == "truncate")

    do_GET = do_POST = do_PATCH = do_PUT = respond

    def pass_on(self, body: bytes, cut: int | None = None) -> tuple[int, dict[str, str], bytes]:
        """Ask the server; of a request that is cut, so many bytes of the body go, and nothing is heard."""
        target = self.proxy.target
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**dict(self.headers), "Host": target.netloc}.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body[:cut])
            if cut is not None:
                return 0, {}, b""
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def say(self, status: int, headers: dict[str, str], body: bytes, *, is_half: bool = False) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            if name.lower() not in ("connection", "transfer-encoding") and (name, value) != (
                "content-length",
                value,
            ):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_half else body)
        self.close_connection = is_half

    def reset(self) -> None:
        """Break the connection without a word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
