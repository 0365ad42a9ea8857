"""Where W&B's runs are: in a folder of offline runs.

A place gives a run to who claims it: under its id, or if that is another's with its uid behind.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from runfmt.documents import read_document, replace_document
from runfmt.errors import CommError, MissingLibrary, UsageError
from runfmt.layout import MAIN
from runfmt.locks import Locks
from runfmt.reading import StoredRun

__all__ = ["Claim", "Folder", "Place", "telling"]

QUIET: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": "",
    "label_disable": True,
    "program": "",
    "quiet": True,
    "save_code": False,
    "show_errors": False,
    "silent": True,
    "symlink": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""So that nothing of this program and this machine is captured."""


def package() -> Any:
    """W&B's own package. Raises ``MissingLibrary``, ``UsageError`` if its name is another's."""
    try:
        import wandb
    except ImportError as error:
        raise MissingLibrary("bringing runs to W&B", "'runfmt[wandb]'") from error
    if getattr(wandb, "__file__", None) is None or not hasattr(wandb, "teardown"):
        raise UsageError(
            f"`import wandb` gives {wandb!r}, not W&B's package: sync in a program that has not called "
            "`runfmt.install_as_wandb()`, in a folder where nothing else is called wandb"
        )
    return wandb


@contextmanager
def telling(url: str) -> Iterator[None]:
    """What W&B's package raises is a ``CommError``."""
    try:
        yield
    except (package().errors.Error, TimeoutError) as error:
        raise CommError(f"{url} gave up: {error}; mend it, then sync again") from error


class Claim(ABC):
    """A run at its place, which nobody else tells anything until it is released."""

    def __init__(self, url: str, entity: str, project: str, run_id: str, kept: Mapping[str, Any]) -> None:
        self.url, self.id, self.kept = url, run_id, kept
        self._path = {"entity": entity, "project": project}

    def begin(self, writer: str, *, ended: bool, config: Mapping[str, Any], **about: Any) -> Any:
        """Begin or resume W&B's run of a writer; unless ``ended``, it stays running there."""
        wandb = package()
        settings = wandb.Settings(**QUIET, x_update_finish_state=ended, **self.settings())
        run_id = self.name(writer)
        return wandb.init(
            **self._path,
            **about,
            id=run_id,
            config=dict(config),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def name(self, writer: str) -> str:
        """The id at W&B of what a writer wrote."""
        return self.id if writer == MAIN else f"{self.id}-{writer}"

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Where W&B's package writes to."""

    @abstractmethod
    def last_step(self, writer: str) -> int:
        """The highest step that is there, -1 if there is none."""

    @abstractmethod
    def keep(self, document: Mapping[str, Any]) -> None:
        """Keep a document with the run, behind all that was told of it."""

    @abstractmethod
    def release(self) -> None:
        """Let others have the run, and end what was started for it."""


class Place(ABC):
    """Where runs are claimed; ``store_id`` is empty if the URL is enough of a name."""

    store_id = ""

    def __init__(self, url: str, entity: str, project: str) -> None:
        self.url, self._entity, self._project = url, entity, project

    @abstractmethod
    def prepare(self) -> None:
        """Make the place ready to take runs."""

    @abstractmethod
    def claim(self, run: StoredRun) -> Claim:
        """Find a run by its uid, or an id for it that is free."""


class Folder(Place):
    """Offline runs in a folder, for `wandb sync`: one a sync, so that together they have each row once.

    Beside them lies ``.runfmt``, with what is kept of each run. W&B's package writes to a folder in there, of
    which all is moved to its place at once when the sync is done: what a killed one leaves is removed.
    """

    def __init__(self, url: str, entity: str, project: str, folder: Path) -> None:
        super().__init__(url, entity, project)
        self._folder = folder.expanduser().absolute() / "wandb"
        self._own = self._folder / ".runfmt"

    @property
    def store_id(self) -> str:  # type: ignore[override]
        """The id in the folder, empty if there is none yet."""
        return str(read_document(self._own / "store.json").get("id", ""))

    def prepare(self) -> None:
        """Make the folder, and give it an id."""
        package()
        self._own.mkdir(parents=True, exist_ok=True)
        with Locks(self._own / "lock").take("store"):
            if not self.store_id:
                replace_document(self._own / "store.json", {"runfmt": 1, "id": str(uuid4())})

    def claim(self, run: StoredRun) -> Claim:
        """Find a run by what is kept of it."""
        locks = Locks(self._own / "lock").take(run.id)
        for run_id in (run.id, f"{run.id}-{run.uid}"):
            path = self._own / "runs" / run_id
            _settle(path, self._folder)
            kept = read_document(path / "kept.json")
            if kept.get("uid", run.uid) == run.uid:
                break
        claim = _Written(self.url, self._entity, self._project, run_id, kept)
        claim.folder, claim.path, claim.locks = self._folder, path, locks
        return claim


class _Written(Claim):
    """A run in a folder."""

    folder: Path
    path: Path
    locks: Locks

    def settings(self) -> dict[str, Any]:
        new = self.path / "new"
        new.mkdir(parents=True, exist_ok=True)
        return {"mode": "offline", "root_dir": str(new)}

    def last_step(self, writer: str) -> int:
        return -1

    def keep(self, document: Mapping[str, Any]) -> None:
        replace_document(self.path / "new" / "kept.json", document)
        _settle(self.path, self.folder)

    def release(self) -> None:
        package().teardown()
        self.locks.release()


def _settle(path: Path, folder: Path) -> None:
    """Bring to its place what is new of a run, if the sync that made it was done, else remove it."""
    new = path / "new"
    if (new / "kept.json").exists():
        for made in sorted(new.glob("wandb/offline-run-*")):
            made.rename(_free(folder / made.name))
        (new / "kept.json").replace(path / "kept.json")
    if new.exists():
        shutil.rmtree(new)


def _free(path: Path) -> Path:
    """A path that is not there: this one, or with a number behind."""
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{path.name.partition('~')[0]}~{number}")
    return path
