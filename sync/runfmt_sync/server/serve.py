"""Runs the server until it is told to stop."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import uvicorn

from runfmt.errors import UsageError
from runfmt_sync.server.app import make_app
from runfmt_sync.server.service import Service

__all__ = ["serve"]

GRACE = 30
"""Seconds that requests under way have to end when the server is told to stop."""


def serve(root: Path, host: str, port: int) -> None:
    """Serve a directory of runs. Raises ``UsageError`` if others could reach it without a token."""
    service = Service(root)
    is_open = not service.tokens.all()
    if is_open and not _is_loopback(host):
        raise UsageError(
            f"whoever reaches {host} could read and write all runs: "
            f"`runfmt token add NAME --data {root}` gives somebody a token, then start again"
        )
    app = make_app(service, is_open=is_open)
    uvicorn.run(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE, server_header=False
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
