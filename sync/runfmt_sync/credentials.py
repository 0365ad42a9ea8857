"""Tokens of servers: ``$RUNFMT_TOKEN``, else ``tokens.json`` beside the names of remotes, private."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runfmt.documents import read_document, replace_document
from runfmt.errors import CommError, UsageError
from runfmt_sync.configuration import configuration_path

__all__ = ["is_loopback", "keep_token", "log_in", "token_for"]


def _path() -> Path:
    return configuration_path().with_name("tokens.json")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def token_for(url: str) -> str | None:
    """The token of a server, None if there is none."""
    token = os.environ.get("RUNFMT_TOKEN") or _kept().get(_origin(url))
    return token if isinstance(token, str) else None


def _kept() -> dict[str, Any]:
    path = _path()
    if path.exists() and path.stat().st_mode & 0o077:
        raise UsageError(f"others can read the tokens in {path}: `chmod 600 {path}`, and have them made anew")
    return read_document(path)


def log_in(url: str, token: str) -> None:
    """Keep the token of a server that knows it. Raises ``UsageError``, ``CommError``."""
    from runfmt_sync.remotes.http import HttpRemote

    _check(token)
    server = HttpRemote(url, token=token)
    if not server.is_there():
        raise CommError(f"{url}: nothing there speaks runfmt: check the address")
    keep_token(url, token)


def keep_token(url: str, token: str) -> None:
    """Keep the token of a server. Raises ``UsageError`` if it cannot be one."""
    _check(token)
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_document(path, {**_kept(), _origin(url): token}, mode=0o600)


def _check(token: str) -> None:
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise UsageError("a token has no spaces and no letters beyond ASCII: copy it once more")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
