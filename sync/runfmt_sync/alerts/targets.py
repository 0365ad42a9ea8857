"""Who is told what happens in runs: ``alerts.json``, which nobody else can read, as its URLs hold secrets."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runfmt.documents import read_document, replace_document
from runfmt.errors import Error, UsageError
from runfmt_sync.configuration import NAME, configuration_path
from runfmt_sync.state import state_folder

__all__ = ["KINDS", "Home", "Target", "without_secrets"]

KINDS = ("alert", "finish", "failure", "crash")
"""What may be told: an alert of the trainer; that a run finished; ended otherwise; fell silent."""
SHORTEST = 4
"""Characters from which a part of a URL counts as a secret."""


@dataclass(frozen=True)
class Target:
    """Whom to tell, what, and of which project (None: all); ``since`` when (Unix seconds).

    ``id`` is its own: one that is added again by an old name is another.
    """

    id: str
    name: str
    url: str
    on: tuple[str, ...]
    project: str | None
    since: float

    @property
    def shown(self) -> str:
        """The URL, as much of it as is no secret."""
        return f"{self.url.partition(':')[0]}://***"


@dataclass(frozen=True)
class Home:
    """Where the targets stand, and where the outbox lies."""

    path: Path
    folder: Path

    @classmethod
    def of_user(cls) -> Home:
        """Those of the syncs of this user."""
        return cls(configuration_path().with_name("alerts.json"), state_folder() / "alerts")

    @classmethod
    def of_store(cls, private: Path) -> Home:
        """Those of a server, by the private folder of its store."""
        return cls(private / "alerts.json", private / "alerts")

    def targets(self) -> list[Target]:
        """All of them. Raises ``Error`` if what is there cannot be read, or can be by others."""
        if not self.path.exists():
            return []
        if self.path.stat().st_mode & 0o077:
            raise UsageError(
                f"others can read the secrets in {self.path}: `chmod 600 {self.path}`, and change them"
            )
        try:
            return [_decode(name, entry) for name, entry in read_document(self.path)["targets"].items()]
        except (KeyError, TypeError, AttributeError, ValueError):
            raise Error(
                f"no targets of alerts can be read from it: correct or remove it ({self.path})"
            ) from None

    def target(self, name: str) -> Target:
        """One by its name. Raises ``UsageError``."""
        for target in self.targets():
            if target.name == name:
                return target
        raise UsageError(f"alerts have no target {name}: `runfmt alerts list` says which there are")

    def add(self, url: str, name: str | None, on: Collection[str], project: str | None) -> Target:
        """Tell another, from now on."""
        known = self.targets()
        names = {target.name for target in known}
        name = name or _free_name(url, names)
        if not NAME.fullmatch(name):
            raise UsageError(f"a target's name {name!r} must match {NAME.pattern}")
        if name in names:
            raise UsageError(
                f"there is a target {name} already: `runfmt alerts remove {name}` first, or take another name"
            )
        chosen = tuple(kind for kind in KINDS if kind in on)
        made = Target(uuid.uuid4().hex, name, url, chosen, project, round(time.time(), 6))
        self._write([*known, made])
        return made

    def remove(self, name: str) -> None:
        """Tell one no more."""
        gone = self.target(name)
        self._write([target for target in self.targets() if target != gone])

    def _write(self, targets: Collection[Target]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"targets": {target.name: _encode(target) for target in targets}}
        replace_document(self.path, document, mode=0o600)


def _encode(target: Target) -> dict[str, Any]:
    return {key: value for key, value in asdict(target).items() if key != "name"}


def _decode(name: str, entry: dict[str, Any]) -> Target:
    url, on = str(entry["url"]), tuple(map(str, entry["on"]))
    return Target(str(entry["id"]), name, url, on, entry["project"], float(entry["since"]))


def _free_name(url: str, names: Collection[str]) -> str:
    scheme = url.partition(":")[0]
    return next(
        name for n in range(1, 10_000) if (name := scheme if n == 1 else f"{scheme}-{n}") not in names
    )


def without_secrets(text: str, url: str) -> str:
    """A text in which nothing is left of a URL but its scheme."""
    parts = sorted(re.split(r"[^\w.-]+", url.partition(":")[2]), key=len, reverse=True)
    for part in (part for part in parts if len(part) >= SHORTEST):
        text = text.replace(part, "***")
    return text
