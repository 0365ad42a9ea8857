"""Servers that listen, until they are told to stop: one of a store, and one that only shows a folder."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from runfmt.errors import CommError, UsageError, explain
from runfmt_sync.alerts.delivery import keep_delivering
from runfmt_sync.alerts.targets import Home
from runfmt_sync.credentials import is_loopback
from runfmt_sync.server.app import make_app, make_viewer
from runfmt_sync.server.folder import Folder
from runfmt_sync.server.guard import LOOPBACK
from runfmt_sync.server.service import Service
from runfmt_sync.server.tokens import OneToken
from runfmt_sync.server.workers import LISTENER

__all__ = ["Server", "Viewer", "address", "listener"]

log = logging.getLogger("runfmt.server")

GRACE = 30
"""Seconds that requests under way have to end when the server is told to stop."""
CONNECTIONS = 1000
"""Requests at once; whoever comes then is told to come again."""


class _Listening:
    """Listens when it is made; ``url`` says where."""

    def __init__(self, host: str, port: int) -> None:
        self.listener = listener(host, port)
        self.url = address(self.listener)

    def _answer_with(self, app: ASGIApp, **options: Any) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                ws="none",
                lifespan="off",
                **options,
            )
        )

    def run(self) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT; requests under way are ended first."""
        self._server.run(sockets=[self.listener])

    def stop(self) -> None:
        """End :meth:`run`, which runs in another thread."""
        self._server.should_exit = True


class Server(_Listening):
    """Serves a service, or that of a directory of runs. Port 0 is any that is free; ``url`` says which.

    ``host_names`` are those by which others call it, for whom it then is there. Raises ``UsageError``
    if others could reach it without a token, ``CommError`` if the address is not to be had.
    """

    def __init__(
        self, what: Path | Service, host: str = "127.0.0.1", port: int = 0, host_names: Sequence[str] = ()
    ) -> None:
        self.service = Service.of(what) if isinstance(what, Path) else what
        is_private = is_loopback(host) and not host_names
        if not is_private and not self.service.tokens.all():
            raise UsageError(
                f"whoever reaches {host} could read and write all runs: "
                "`runfmt token add NAME`, with its --data or --db, gives somebody a token; then start again"
            )
        super().__init__(host, port)
        names = {*LOOPBACK, *host_names} if is_private or host_names else ()
        app = make_app(self.service, is_open=is_private, host_names=names)
        self._answer_with(app, timeout_graceful_shutdown=GRACE)

    def run(self) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT; requests under way are ended first."""
        home = Home.of_store(self.service.store.private)
        try:
            with keep_delivering(home, self.service.folders, log.warning):
                super().run()
        finally:
            self.service.close()


class Viewer(_Listening):
    """Shows a folder to who has the token, which is in ``address``, and lives as long as this."""

    def __init__(self, folder: Folder, port: int = 0) -> None:
        super().__init__("127.0.0.1", port)
        self.token = secrets.token_urlsafe(32)
        self.address = f"{self.url}/#token={self.token}"
        tokens = OneToken(self.token, folder.scopes)
        # Whoever ends it waits for nobody; what fails is logged by whom it fails.
        app = make_viewer(folder, tokens, LOOPBACK)
        self._answer_with(app, timeout_graceful_shutdown=1, log_level="critical")


def address(listener: socket.socket) -> str:
    """The URL of who listens at a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens: the one that workers share, if this is one of them. Raises ``CommError``."""
    if shared := os.environ.get(LISTENER):
        return socket.socket(fileno=int(shared))
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CommError(
            f"{host} port {port} is not to be had: {explain(error)}; take another --port"
        ) from None
    # Else the second packet of an answer waits 40 ms until the first is acknowledged; asyncio sets it
    # only on sockets that were made for TCP by number. What is accepted has what the listener has.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
