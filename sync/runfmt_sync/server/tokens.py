"""Who may do what: tokens, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from runfmt.documents import read_document, replace_document
from runfmt.errors import FormatError, UsageError
from runfmt_sync.store import Store

__all__ = ["ANYBODY", "SCOPES", "Caller", "Kept", "OneToken", "TokenFile", "Tokens"]

SCOPES = ("read", "append", "admin")
"""``read`` runs, ``append`` to them, or, as ``admin``, both and delete them."""
_TOKEN = re.compile(r"runfmt_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MOST_DAYS = 36_500


@dataclass(frozen=True)
class Caller:
    """Whom a request is from; ``project`` is the only one that he may see, None for all."""

    name: str
    project: str | None
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether he may do what needs a scope."""
        return scope in self.scopes or "admin" in self.scopes

    @property
    def scopes_held(self) -> list[str]:
        """What he may do, in the order of :data:`SCOPES`."""
        return [scope for scope in SCOPES if self.may(scope)]

    def may_see(self, project: object) -> bool:
        """Whether a project is his."""
        return self.project in (None, project)


ANYBODY = Caller("anybody", None, frozenset(SCOPES))
"""Who calls a server without tokens, which only its own machine can reach."""


class OneToken:
    """The only token of a server that shows one user his own runs."""

    def __init__(self, token: str, scopes: Iterable[str]) -> None:
        self._digest = _digest(token)
        self._caller = Caller("viewer", None, frozenset(scopes))

    def all(self) -> dict[str, dict[str, Any]]:
        """What is kept of it."""
        return {"": {"sha256": self._digest}}

    def caller(self, token: str) -> Caller | None:
        """Whom a token is from, None if it is another."""
        return self._caller if hmac.compare_digest(self._digest, _digest(token)) else None


class Kept(Protocol):
    """A small JSON object that is kept somewhere, and changed by one at a time."""

    def read(self) -> dict[str, Any]:
        """What is kept, empty if nothing is."""

    def changing(self) -> AbstractContextManager[dict[str, Any]]:
        """What is kept, to be changed in the block."""


class TokenFile:
    """``tokens.json`` of a store, which several processes may change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.private / "tokens.json"

    def read(self) -> dict[str, Any]:
        """What is in it."""
        return read_document(self._path)

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """What is in it, replaced behind the block if it changed."""
        with self._store.locks().take("tokens"):
            before = self.read()
            yield (document := dict(before))
            if document != before:
                replace_document(self._path, document, mode=0o600)


class Tokens:
    """The tokens of a server; what another process adds or revokes counts at once."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def all(self) -> dict[str, dict[str, Any]]:
        """What is kept of each token, by its id."""
        return _checked(self._kept.read())

    def add(
        self, name: str, scopes: Iterable[str], project: str | None = None, days: int | None = None
    ) -> str:
        """Make a token, which is shown this once; with ``days >= 1`` it counts for so many days only.

        Raises ``UsageError`` for a malformed name or scope, and a life that is none.
        """
        scopes = sorted(set(scopes))
        if not _NAME.fullmatch(name):
            raise UsageError(f"the name of a token {name!r} must match {_NAME.pattern}")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise UsageError(f"scopes are some of {', '.join(SCOPES)}, not {', '.join(scopes) or 'none'}")
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise UsageError(f"a token counts for 1 to {MOST_DAYS:,} days, not {days}")
        now = datetime.now(timezone.utc)
        token_id = secrets.token_hex(4)
        token = f"runfmt_{token_id}_{secrets.token_urlsafe(32)}"
        kept = {
            "name": name,
            "sha256": _digest(token),
            "project": project,
            "scopes": scopes,
            "created_at": _utc(now),
            "expires_at": None if days is None else _utc(now + timedelta(days=days)),
        }
        with self._kept.changing() as there:
            _checked(there)[token_id] = kept
        return token

    def revoke(self, name: str) -> int:
        """Forget the tokens of a name or an id; gives how many there were."""
        with self._kept.changing() as there:
            meant = [key for key, one in _checked(there).items() if name in (key, one.get("name"))]
            for key in meant:
                del there[key]
        return len(meant)

    def caller(self, token: str) -> Caller | None:
        """Whom a token is from, None if nobody gave it out, or its days are over."""
        found = _TOKEN.fullmatch(token)
        kept = self.all().get(found[1]) if found else None
        if kept is None or not hmac.compare_digest(kept["sha256"], _digest(token)):
            return None
        expires = kept.get("expires_at")
        return _caller(kept) if expires is None or _utc(datetime.now(timezone.utc)) < expires else None


def _checked(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not all(map(_is_kept, document.values())):
        raise FormatError("H005", "no tokens can be read from what is kept of them: mend or remove it")
    return document


def _is_kept(kept: Any) -> bool:
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("sha256"), str)
        and isinstance(kept.get("expires_at"), (str, type(None)))
    )


def _caller(kept: Mapping[str, Any]) -> Caller:
    return Caller(str(kept.get("name")), kept.get("project"), frozenset(kept.get("scopes", ())))


def _digest(token: str) -> str:
    """Plain SHA-256: a token has 256 random bits, which nobody tries out."""
    return hashlib.sha256(token.encode()).hexdigest()


def _utc(time: datetime) -> str:
    """A time that sorts as text."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
