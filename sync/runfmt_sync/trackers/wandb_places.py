"""Where W&B's runs are: at its service, or in a folder of offline runs.

A place gives a run to who claims it: under its id, or if that is another's with its uid behind.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from runfmt.documents import read_document, replace_document
from runfmt.errors import CommError, MissingLibrary, UsageError, explain
from runfmt.layout import MAIN
from runfmt.locks import Locks
from runfmt.reading import StoredRun
from runfmt_sync.faults import fault_point
from runfmt_sync.state import store_state

__all__ = ["OURS", "Claim", "Folder", "Place", "Service", "telling"]

OURS = "runfmt"
"""The config key under which W&B is told whose run it is, and what could not be said."""
KEPT = "runfmt.json"
"""The file in which is kept how far a run has come."""
TRIES = 6
"""How often a call is repeated: for two minutes."""
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
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_file_stream_retry_max": TRIES,
    "x_file_transfer_retry_max": TRIES,
    "x_graphql_retry_max": TRIES,
    "x_save_requirements": False,
}
"""So that nothing of this program and this machine is captured, and nothing printed."""
HARMLESS = ("api: HTTP error", "sender: sendAlert")
"""What is said again by who had asked; and alerts, which W&B refuses where somebody turned them off."""


def package() -> Any:
    """W&B's own package. Raises ``MissingLibrary``, ``UsageError`` if its name is another's."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
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
    errors = package().errors
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    try:
        yield
    except (errors.AuthenticationError, errors.UsageError, TimeoutError) as error:
        raise CommError(f"{url} gave up: {error}; is the key right? `wandb login` asks for it") from error
    except (errors.Error, WandbApiFailedError, ValueError) as error:
        raise CommError(f"{url} gave up: {error}; mend it, then sync again") from error


class Claim(ABC):
    """A run at its place, which nobody else tells anything until it is released."""

    def __init__(self, place: Place, run_id: str) -> None:
        self.url, self.id, self._path = place.url, run_id, (place.entity, place.project)
        self.kept: Mapping[str, Any] = {}

    def name(self, writer: str) -> str:
        """The id at W&B of what a writer wrote."""
        return self.id if writer == MAIN else f"{self.id}-{writer}"

    def begin(self, writer: str, *, ended: bool, **about: Any) -> Any:
        """Begin or resume W&B's run of a writer; unless ``ended`` it is left running there."""
        wandb, (entity, project) = package(), self._path
        settings = wandb.Settings(**QUIET, x_update_finish_state=ended, **self._settings())
        told = {"entity": entity, "project": project, "id": self.name(writer), "settings": settings}
        return wandb.init(**told, **about, resume="allow", reinit="create_new")

    def finish(self, run: Any, code: int) -> None:
        """Wait until all of a run has arrived. Raises ``CommError`` if it has not: W&B only logs that."""
        log = Path(run.settings.log_internal)
        run.finish(exit_code=code)
        for line in map(json.loads, log.read_text().splitlines()):
            if line["level"].startswith("ERROR") and not line["msg"].startswith(HARMLESS):
                raise CommError(f"{self.url} gave up: {line['msg']}; mend it, then sync again")

    @abstractmethod
    def recall(self) -> str | None:
        """Look at what is kept of the run; gives its uid, None if it is not there."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Where W&B's package writes to."""

    @abstractmethod
    def last_step(self, writer: str) -> int:
        """The highest step that is there, -1 if there is none."""

    @abstractmethod
    def keep(self, document: Mapping[str, Any]) -> None:
        """Keep a document with the run, behind all that was told of it."""

    @abstractmethod
    def leave(self) -> None:
        """Let others have the run."""

    def release(self) -> None:
        """Let others have the run; W&B's process ends."""
        package().teardown()
        self.leave()


class Place(ABC):
    """Where runs are claimed; ``store_id`` as trackers have it."""

    store_id: str

    def __init__(self, url: str, entity: str, project: str) -> None:
        self.url, self.entity, self.project = url, entity, project

    @abstractmethod
    def prepare(self) -> None:
        """Make the place ready to take runs."""

    def claim(self, run: StoredRun) -> Claim:
        """Find a run by its uid, or an id for it that is free."""
        claim = self._look(run.id)
        try:
            if claim.recall() not in (None, run.uid):
                claim.leave()
                claim = self._look(f"{run.id}-{run.uid}")
                claim.recall()
        except BaseException:
            claim.release()
            raise
        return claim

    @abstractmethod
    def _look(self, run_id: str) -> Claim:
        """A claim to an id."""


class Service(Place):
    """W&B itself, or a server of its kind. What is kept of a run is a file of it."""

    def __init__(self, url: str, entity: str, project: str, base_url: str | None) -> None:
        super().__init__(url, entity, project)
        self._base = {"base_url": base_url} if base_url else {}
        self.store_id = str(uuid5(NAMESPACE_URL, f"{url} {os.environ.get('WANDB_BASE_URL', '')}"))

    def prepare(self) -> None:
        """See that the package is there; the service is asked when a run is claimed."""
        package()

    def _look(self, run_id: str) -> Claim:
        return _Served(self, run_id, self._base)


class _Served(Claim):
    """A run at a service, locked. Its transaction log lies in the tool's state until the claim is left."""

    def __init__(self, place: Place, run_id: str, base: Mapping[str, str]) -> None:
        super().__init__(place, run_id)
        own = store_state(place.store_id) / "wandb"
        own.mkdir(parents=True, exist_ok=True)
        self._locks = Locks(own / "lock").take(run_id)
        self._base, self._folder = base, own / "runs" / run_id
        self._api: Any = None
        self._clear()  # a killed sync could not

    def _clear(self) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def recall(self) -> str | None:
        """What the run's file says; whose it is stands in its config."""
        wandb = package()
        with telling(self.url):
            wandb.setup(wandb.Settings(silent=True, login_timeout=1, **self._base))
            self._api = wandb.Api(overrides={**self._base, "entity": self._path[0], "project": self._path[1]})
            found = self._find(MAIN)
            if found is None:
                return None
            for file in found.files([KEPT]):
                with file.download(str(self._folder), replace=True) as kept:
                    self.kept = json.load(kept)
            about = found.config.get(OURS)
        return str(about.get("uid")) if isinstance(about, dict) else ""

    def _find(self, writer: str) -> Any:
        """W&B's run of a writer as it is now, None if there is none."""
        path = (*self._path, self.name(writer))
        try:
            return self._api.run("/".join(path))
        except package().errors.CommError as error:
            if isinstance(error.exc, package().apis.public.RunNotFoundError):
                return None
            raise
        finally:
            made = Path(os.environ.get("WANDB_DIR") or tempfile.gettempdir(), *path)
            for folder in (made, *made.parents[:2]):
                with suppress(OSError):  # the package makes them for each run that is looked at
                    folder.rmdir()

    def _settings(self) -> dict[str, Any]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return {"mode": "online", "root_dir": str(self._folder)}

    def last_step(self, writer: str) -> int:
        """What the service says: after a killed sync it is above what the cursor knows."""
        found = self._find(writer)
        return int(found.lastHistoryStep) if found else -1

    def keep(self, document: Mapping[str, Any]) -> None:
        fault_point("wandb.arrived")
        path = self._folder / KEPT
        path.write_text(json.dumps(document))
        self._find(MAIN).upload_file(str(path), str(self._folder))

    def leave(self) -> None:
        self._clear()
        self._locks.release()


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
        """The id in the folder, so that one that was emptied gets everything again."""
        return str(read_document(self._own / "store.json").get("id", ""))

    def prepare(self) -> None:
        """Make the folder, and give it an id."""
        package()
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            with Locks(self._own / "lock").take("store"):
                if not self.store_id:
                    replace_document(self._own / "store.json", {"runfmt": 1, "id": str(uuid4())})
        except OSError as error:
            raise CommError(f"{self.url} gave up: {explain(error)}; mend it, then try again") from error

    def _look(self, run_id: str) -> Claim:
        return _Written(self, run_id, self._folder)


class _Written(Claim):
    """A run in a folder, locked."""

    def __init__(self, place: Place, run_id: str, folder: Path) -> None:
        super().__init__(place, run_id)
        self._folder, own = folder, folder / ".runfmt"
        self._kept, self._new = own / "runs" / run_id / KEPT, own / "runs" / run_id / "new"
        self._locks = Locks(own / "lock").take(run_id)

    def recall(self) -> str | None:
        """What lies beside the offline runs."""
        self._settle()
        self.kept = read_document(self._kept)
        return self.kept.get("uid")

    def _settings(self) -> dict[str, Any]:
        self._new.mkdir(parents=True, exist_ok=True)
        package().setup(package().Settings(silent=True))
        return {"mode": "offline", "root_dir": str(self._new), "symlink": False}

    def last_step(self, writer: str) -> int:
        """None: what a killed sync wrote is no more, and of others the cursor tells."""
        return -1

    def keep(self, document: Mapping[str, Any]) -> None:
        fault_point("wandb.arrived")
        replace_document(self._new / KEPT, document)
        fault_point("wandb.kept")
        self._settle()

    def _settle(self) -> None:
        """Bring to its place what a sync wrote, if it was done, else remove it."""
        if (self._new / KEPT).exists():
            for made in sorted(self._new.glob("wandb/offline-run-*")):
                made.rename(_free(self._folder / made.name))
                fault_point("wandb.moved")
            (self._new / KEPT).replace(self._kept)
        if self._new.exists():
            shutil.rmtree(self._new)

    def leave(self) -> None:
        self._locks.release()


def _free(path: Path) -> Path:
    """A path that is not there: this one, or with a number behind."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}~{number}")
    return free
