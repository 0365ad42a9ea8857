"""The kinds of trackers that all keep one contract, each with a real counterpart.

A kind has ``url``; ``tracker()``, as a sync that begins opens it, in another process by its ``opener``;
``close``; and what the counterpart's own reader says of a run: ``scalars(id)``, by name the points as
(step, value) in the order of steps, doubled ones twice; ``config(id)``; ``state(id)``; ``times(id, name)``
in Unix seconds; ``count()`` of runs. ``lacks`` is what it cannot express, as its page says;
``environment`` is what its library is told.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from runfmt_sync.remotes import open_place
from runfmt_sync.trackers import Tracker
from trackers.mlflowkinds import MLflowServer
from trackers.wandbkinds import Offline, Served

EXAMPLE = Path(__file__).parents[2] / "examples" / "tracker.py"


class Kind:
    """What most have in common."""

    url: str
    lacks: frozenset[str] = frozenset()
    environment: ClassVar[dict[str, str]] = {}
    opener = "runfmt_sync.remotes:open_place"
    states: ClassVar = {state: state for state in ("running", "finished", "failed", "killed", "preempted")}

    def close(self) -> None:
        """What was started ends."""


class Example(Kind):
    """The tracker of the examples."""

    opener = "trackers.kinds:open_example"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "runs.db"
        self.url = f"sqlite:{self._path}"

    def tracker(self) -> Tracker:
        return open_example(self.url)

    def scalars(self, run_id: str) -> dict[str, list[tuple[int, Any]]]:
        found: dict[str, list[tuple[int, Any]]] = {}
        for name, step, value in self._select("name, step, value", run_id, "order by step"):
            found.setdefault(name, []).append((step, json.loads(value)))
        return {name: points for name, points in found.items() if isinstance(points[0][1], (int, float))}

    def times(self, run_id: str, name: str) -> list[float]:
        return [time for time, found in self._select("time, name", run_id, "order by step") if found == name]

    def config(self, run_id: str) -> dict[str, Any]:
        return dict(json.loads(self._of("config", run_id)))

    def state(self, run_id: str) -> str:
        return str(self._of("state", run_id))

    def count(self) -> int:
        return int(self._query("select count(*) from runs")[0][0])

    def _of(self, what: str, run_id: str) -> Any:
        return self._query(f"select {what} from runs where id = ?", run_id)[0][0]

    def _select(self, what: str, run_id: str, order: str) -> list[Any]:
        joined = "points join runs on points.uid = runs.uid"
        return self._query(f"select {what} from {joined} where id = ? {order}", run_id)

    def _query(self, query: str, *values: str) -> list[Any]:
        database = sqlite3.connect(self._path)
        try:
            return database.execute(query, values).fetchall()
        finally:
            database.close()


class TensorBoardFiles(Kind):
    """A folder of event files; all that is in them, as TensorBoard's own package reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tb"
        self.url = f"tensorboard:{self.folder}"

    def tracker(self) -> Tracker:
        return open_place(self.url)

    def read(self, run_id: str, writer: str = "") -> EventAccumulator:
        """What TensorBoard's reader has of a run."""
        everything = dict.fromkeys(("scalars", "tensors"), 0)
        return EventAccumulator(str(self.folder / "p" / run_id / writer), everything).Reload()

    def scalars(self, run_id: str) -> dict[str, list[tuple[int, Any]]]:
        return {name: [(e.step, e.value) for e in events] for name, events in self._events(run_id).items()}

    def times(self, run_id: str, name: str) -> list[float]:
        return [event.wall_time for event in self._events(run_id)[name]]

    def _events(self, run_id: str) -> dict[str, list[Any]]:
        folder, found = self.folder / "p" / run_id, {}
        for writer in ("", *(path.name for path in folder.iterdir() if path.is_dir())):
            events = self.read(run_id, writer)
            for tag in events.Tags()["scalars"]:
                points = sorted(events.Scalars(tag), key=lambda event: event.step)
                found[f"{writer}/{tag}".lstrip("/")] = points
        return found

    def config(self, run_id: str) -> dict[str, Any]:
        content = self.read(run_id).PluginTagToContent("hparams")["_hparams_/session_start_info"]
        hparams = HParamsPluginData.FromString(content).session_start_info.hparams
        return {key: getattr(value, value.WhichOneof("kind")) for key, value in hparams.items()}

    def state(self, run_id: str) -> str:
        [text] = self.read(run_id).Tensors("run")[0].tensor_proto.string_val
        return text.decode().splitlines()[0].removeprefix("- state: ")

    def count(self) -> int:
        return len([*self.folder.glob("*/*/.runfmt.json")])


def open_example(url: str) -> Tracker:
    """The example, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("tracker", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    opened: Tracker = module.Database(url)
    return opened


KINDS = {
    "example": Example, "tensorboard": TensorBoardFiles, "wandb offline": Offline, "wandb": Served,
    "mlflow": MLflowServer,
}  # fmt: skip
