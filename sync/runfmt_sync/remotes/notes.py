"""What was proved of runs in an object store: streams as they grow, and the notes of it (O030, O031)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runfmt_sync.digests import BLOCK, Proof
from runfmt_sync.remotes.segments import Part, digest_of

__all__ = ["Proved"]


@dataclass
class _Tail:
    """A stream as far as it was proved: whole blocks, and the digest of what is behind them."""

    length: int = 0
    blocks: tuple[str, ...] = ()
    digest: Any = field(default_factory=hashlib.sha256)
    names: str = ""
    """Of the segments that it was made of."""

    def add(self, data: bytes) -> None:
        """Prove what follows."""
        view = memoryview(data)
        while view:
            room = BLOCK - self.length % BLOCK
            self.digest.update(view[:room])
            self.length += len(view[:room])
            view = view[room:]
            if self.length % BLOCK == 0:
                self.blocks, self.digest = (*self.blocks, self.digest.hexdigest()), hashlib.sha256()

    @property
    def proof(self) -> Proof:
        """The proof of all of it."""
        return Proof(self.length, self.blocks, self.digest.hexdigest())


class Proved:
    """What this process knows. May be used by several threads."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, str], _Tail] = {}
        self._notes: dict[str, tuple[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def stream(self, uid: str, path: str, parts: Sequence[Part] | None = None) -> Proof | None:
        """The proof of a stream as it was sent or read, of these segments if they are given."""
        with self._lock:
            tail = self._tails.get((uid, path))
            is_so = tail is not None and (parts is None or tail.names == digest_of(parts))
            return tail.proof if tail and is_so else None

    def read(
        self, uid: str, path: str, parts: Sequence[Part], pieces: Iterable[bytes], *, whole: bool
    ) -> Proof:
        """The proof of a stream's bytes as they are read; kept if it is ``whole``."""
        made = _Tail(names=digest_of(parts))
        for data in pieces:
            made.add(data)
        if whole:
            with self._lock:
                self._tails[uid, path] = made
        return made.proof

    def grew(self, uid: str, path: str, there: int, data: bytes, parts: Sequence[Part]) -> None:
        """A stream that was proved up to ``there`` has more behind it, or other segments."""
        with self._lock:
            tail = self._tails.get((uid, path)) or (_Tail() if not there else None)
            if tail is not None and tail.length == there:
                tail.add(data)
                tail.names = digest_of(parts)
                self._tails[uid, path] = tail
            else:
                self._tails.pop((uid, path), None)

    def note(self, uid: str, tag: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was noted of a run under an ETag, read if another one was."""
        with self._lock:
            before, known = self._notes.get(uid, ("", {}))
        if before == tag:
            return known
        said = read()
        self.noted(uid, tag, said if said.get("runfmt") == 1 else {})
        return said if said.get("runfmt") == 1 else {}

    def noted(self, uid: str, tag: str, known: dict[str, Any]) -> None:
        """A run has this note."""
        with self._lock:
            self._notes[uid] = (tag, known)
