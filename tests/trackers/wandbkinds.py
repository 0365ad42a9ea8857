"""W&B as two kinds of tracker: offline runs, read back from their logs; and a service of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from runfmt.rows import leaves
from runfmt_sync.remotes import open_place
from runfmt_sync.trackers import Tracker
from runfmt_sync.trackers.wandb_places import OURS
from runfmt_sync.wandb_log import items, read_log
from trackers.wandbservice import Service


class WandBRuns:
    """What both have in common: rows by step, other writers as runs beside."""

    url: str
    lacks = frozenset({"late rows"})
    opener = "runfmt_sync.remotes:open_place"
    environment: ClassVar[dict[str, str]] = {"WANDB_ERROR_REPORTING": "false", "WANDB_API_KEY": "0" * 40}
    states: ClassVar = {state: state for state in ("running", "finished", "failed", "killed", "preempted")}

    def tracker(self) -> Tracker:
        return open_place(self.url)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What was logged to one of W&B's runs, in its order."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """W&B's ids of all runs."""
        raise NotImplementedError

    def scalars(self, run_id: str) -> dict[str, list[tuple[int, Any]]]:
        found: dict[str, list[tuple[int, Any]]] = {}
        for name in self.names():
            if name != run_id and not name.startswith(f"{run_id}-"):
                continue
            writer = name[len(run_id) + 1 :]
            for row in self.rows(name):
                for path, value in leaves(row):
                    if isinstance(value, (int, float)) and not path.startswith("_"):
                        key = f"{writer}/{path}" if writer else path
                        found.setdefault(key, []).append((row["_step"], value))
        return found

    def times(self, run_id: str, name: str) -> list[float]:
        return [row["_timestamp"] for row in self.rows(run_id) if name in row]


class Offline(WandBRuns):
    """Offline runs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"wandb://e/p?mode=offline&dir={folder}"
        self.environment = {
            **WandBRuns.environment, "HOME": str(folder), "WANDB_BASE_URL": "http://127.0.0.1:9"
        }  # fmt: skip

    def close(self) -> None:
        assert not [*self.folder.glob("wandb/.runfmt/runs/*/new")]

    def logs(self, name: str = "*") -> list[Path]:
        """The transaction logs of a run, in the order in which they were written."""
        return sorted(self.folder.glob(f"wandb/offline-run-*/run-{name}.wandb"))

    def records(self, name: str, kind: str) -> list[Any]:
        """What the logs of a run say of a kind."""
        every = (record for path in self.logs(name) for record in read_log(path))
        return [getattr(record, kind) for record in every if record.HasField(kind)]

    def names(self) -> list[str]:
        return sorted({path.stem.removeprefix("run-") for path in self.logs()})

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [items(record.item) for record in self.records(name, "history")]

    def config(self, run_id: str) -> dict[str, Any]:
        config: dict[str, Any] = {}
        for record in self.records(run_id, "config"):
            config |= items(record.update)
        return config

    def state(self, run_id: str) -> str:
        return str(self.config(run_id)[OURS]["state"])

    def count(self) -> int:
        return len({self.config(name)[OURS]["uid"] for name in self.names()})


class Served(WandBRuns):
    """The same over the wire."""

    states: ClassVar = {**WandBRuns.states, "killed": "failed"}

    def __init__(self, folder: Path) -> None:
        self.service = Service()
        self.url = f"wandb://e/p?base_url={self.service.url}"
        self.environment = {**WandBRuns.environment, "HOME": str(folder), "WANDB_BASE_URL": self.service.url}

    def close(self) -> None:
        self.service.close()

    def names(self) -> list[str]:
        return sorted(self.service.buckets)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.service.buckets[name].rows()

    def config(self, run_id: str) -> dict[str, Any]:
        return self.service.buckets[run_id].config

    def state(self, run_id: str) -> str:
        return self.service.buckets[run_id].state

    def count(self) -> int:
        return len({self.config(name)[OURS]["uid"] for name in self.names()})
