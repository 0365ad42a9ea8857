"""Real servers that take what Apprise sends, and remember it: HTTP and SMTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

LIMIT = 60
"""Seconds after which what was waited for does not come."""


class Told:
    """One message: ``key`` is its header, ``title`` and ``body`` what a person reads."""

    def __init__(self, key: str, title: str, body: str, raw: Any) -> None:
        self.key, self.title, self.body, self.raw = key, title, body, raw


class Sink:
    """Takes messages; ``answer`` says of each, by its number from 1, whether it is taken."""

    url: str

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.tries = 0
        self.answer: Callable[[int], bool] = lambda _: True
        self._came = threading.Condition()

    def take(self, told: Told) -> bool:
        with self._came:
            self.tries += 1
            taken = self.answer(self.tries)
            if taken:
                self.told.append(told)
            self._came.notify_all()
        return taken

    def wait(self, is_done: Callable[[Sink], bool]) -> None:
        """Wait until what came is what is waited for."""
        with self._came:
            assert self._came.wait_for(lambda: is_done(self), LIMIT), self.titles

    @property
    def titles(self) -> list[str]:
        return [told.title for told in self.told]

    @property
    def keys(self) -> list[str]:
        return [told.key for told in self.told]


class HttpSink(Sink):
    """Takes Apprise's JSON; while ``going`` is not set, nobody is answered."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.going = threading.Event()
        self.going.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told = Told(self.headers["Idempotency-Key"], said["title"], said["message"], said)
                taken = sink.take(told)
                sink.going.wait(LIMIT)
                try:
                    self.send_response(200 if taken else 500)
                    self.end_headers()
                except OSError:  # whoever asked was killed, or has waited enough
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"json://user:secretpassword@127.0.0.1:{self._server.server_port}/hook/secrettoken"

    def close(self) -> None:
        self.going.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class MailSink(Sink):
    """Takes mails."""

    def __init__(self) -> None:
        super().__init__()
        with socket.create_server(("127.0.0.1", 0)) as free:  # aiosmtpd wants to be told a port
            port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()
        self.url = f"mailto://127.0.0.1:{port}?from=runs@example.org&to=ann@example.org&mode=insecure"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        text = mail.get_body(("plain", "html"))
        assert text is not None
        told = Told(mail["Idempotency-Key"], mail["Subject"], text.get_content(), mail)
        return "250 OK" if self.take(told) else "451 come again"

    def close(self) -> None:
        self._controller.stop()
