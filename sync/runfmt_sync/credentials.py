"""Tokens of servers: ``$RUNFMT_TOKEN``, else ``tokens.json`` beside the names of remotes, private."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from runfmt.documents import read_document, replace_document
from runfmt.errors import UsageError
from runfmt_sync.configuration import configuration_path

__all__ = ["keep_token", "token_for"]


def _path() -> Path:
    return configuration_path().with_name("tokens.json")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def token_for(url: str) -> str | None:
    """The token of a server, None if there is none."""
    token = os.environ.get("RUNFMT_TOKEN") or read_document(_path()).get(_origin(url))
    return token if isinstance(token, str) else None


def keep_token(url: str, token: str) -> None:
    """Keep the token of a server. Raises ``UsageError`` if it cannot be one."""
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise UsageError("a token has no spaces and no letters beyond ASCII: copy it once more")
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_document(path, {**read_document(path), _origin(url): token}, mode=0o600)
