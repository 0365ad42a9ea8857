"""Remotes have names, as git's: ``$RUNFMT_CONFIG``, else ``$XDG_CONFIG_HOME/runfmt/remotes.json``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from runfmt.documents import read_document, replace_document
from runfmt.errors import Error, UsageError

__all__ = [
    "NAME",
    "NO_REMOTE",
    "add_remote",
    "configuration_path",
    "known_remotes",
    "remove_remote",
    "resolve",
]

NO_REMOTE = "no remote is known: `runfmt remote add stick /mnt/stick` adds one"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What remotes, channels and keys may be called."""


def configuration_path() -> Path:
    """The file that holds the names."""
    if chosen := os.environ.get("RUNFMT_CONFIG"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "runfmt" / "remotes.json"


def _read() -> dict[str, Any]:
    path = configuration_path()
    document = {"default": None, "remotes": {}, **read_document(path)}
    remotes, default = document["remotes"], document["default"]
    if not (isinstance(remotes, dict) and all(map(_is_entry, remotes.values()))):
        raise Error(f"no remotes can be read from it: correct or remove it ({path})")
    if default is not None and not (isinstance(default, str) and default in remotes):
        raise Error(f"its default {default!r} is no remote: correct or remove it ({path})")
    return document


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("url"), str)


def _write(document: dict[str, Any]) -> None:
    path = configuration_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_document(path, document)


def known_remotes() -> tuple[dict[str, str], str | None]:
    """The URL of each name, and the name of the default remote."""
    document = _read()
    return {name: entry["url"] for name, entry in document["remotes"].items()}, document["default"]


def add_remote(name: str, url: str) -> str:
    """Give a remote a name; the first is the default. Gives the URL, a path made absolute."""
    document = _read()
    if not NAME.fullmatch(name):
        raise UsageError(f"a remote's name {name!r} must match {NAME.pattern}")
    if name in document["remotes"]:
        raise UsageError(
            f"there is a remote {name} already: `runfmt remote remove {name}` first, or take another name"
        )
    url = url if ":" in url else str(Path(url).expanduser().absolute())
    document["remotes"][name] = {"url": url}
    document["default"] = document["default"] or name
    _write(document)
    return url


def remove_remote(name: str) -> None:
    """Forget a name; if it was the default, the next one is."""
    document = _read()
    if document["remotes"].pop(name, None) is None:
        raise UsageError(f"there is no remote {name}: `runfmt remote list` says which there are")
    if document["default"] == name:
        document["default"] = next(iter(document["remotes"]), None)
    _write(document)


def resolve(remote: str | None) -> str:
    """The URL of a remote's name, of a URL or path itself, or of the default remote."""
    remotes, default = known_remotes()
    if remote is None:
        if default is None:
            raise UsageError(NO_REMOTE)
        return remotes[default]
    if remote in remotes:
        return remotes[remote]
    if NAME.fullmatch(remote) and not Path(remote).exists():
        raise UsageError(
            f"there is no remote {remote}, and no such folder: `runfmt remote add {remote} URL` adds it; "
            f"a new folder is written ./{remote}"
        )
    return remote
