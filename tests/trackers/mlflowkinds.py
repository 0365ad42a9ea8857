"""A real server of MLflow, in an environment of its own, which `make` makes beside the checkout."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import requests

from runfmt_sync.importing.old import literal
from runfmt_sync.remotes import open_place
from runfmt_sync.trackers import Tracker

PROGRAMS = Path(__file__).parents[2] / ".venv-mlflow" / "bin"
PATIENCE = 120
"""Seconds until the server answers."""
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class Started:
    """A server that was started, with runs in a database and artifacts in a folder."""

    def __init__(self) -> None:
        assert (PROGRAMS / "mlflow").is_file(), "there is no MLflow for the tests: `make mlflow`"
        self.folder = Path(tempfile.mkdtemp(prefix="runfmt-mlflow-"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [PROGRAMS / "mlflow", "server", "--host", "127.0.0.1", "--port", self.url.rpartition(":")[2],
                 "--backend-store-uri", f"sqlite:///{self.folder}/runs.db",
                 "--artifacts-destination", self.folder / "artifacts", "--workers", "1"],
                stdout=log, stderr=log, env=os.environ | QUIET, start_new_session=True,
            )  # fmt: skip
        atexit.register(self.remove)
        begun = time.monotonic()
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() - begun < PATIENCE, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def remove(self) -> None:
        """End it, and what it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, call: str, **asked: Any) -> Any:
        """The answer to a call of its REST API, by GET if the call looks for something by its name."""
        url, is_get = f"{self.url}/api/2.0/mlflow/{call}", call.rpartition("/")[2].startswith("get")
        answer = (
            requests.get(url, params=asked, timeout=60)
            if is_get
            else requests.post(url, json=asked, timeout=60)
        )
        assert answer.ok, answer.text
        return answer.json()


@cache
def started() -> Started:
    """The server of this process."""
    return Started()


class MLflowServer:
    """An experiment at the server, read back by REST."""

    lacks = frozenset({"infinity", "changed config"})
    environment: ClassVar[dict[str, str]] = {}
    opener = "runfmt_sync.remotes:open_place"
    states: ClassVar = {
        "running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED",
        "preempted": "KILLED",
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.server, self.experiment = started(), uuid.uuid4().hex
        self.url = f"mlflow+{self.server.url}/{self.experiment}"

    def close(self) -> None:
        """The server goes on for other tests."""

    def tracker(self) -> Tracker:
        return open_place(self.url)

    def runs(self, experiment: str = "") -> list[dict[str, Any]]:
        """What MLflow has of all runs of an experiment."""
        name = experiment or self.experiment
        found = self.server.ask("experiments/get-by-name", experiment_name=name)["experiment"][
            "experiment_id"
        ]
        return list(self.server.ask("runs/search", experiment_ids=[found]).get("runs", []))

    def run(self, run_id: str = "first") -> dict[str, Any]:
        """What MLflow has of the run of an id."""
        [found] = [run for run in self.runs() if self.texts(run)["runfmt.id"] == run_id]
        return found

    @staticmethod
    def texts(run: dict[str, Any], what: str = "tags") -> dict[str, str]:
        """Tags or params by key."""
        return {item["key"]: item["value"] for item in run["data"].get(what, ())}

    def history(self, run_id: str, key: str) -> list[dict[str, Any]]:
        """All points of a metric, in the order of steps."""
        found: list[dict[str, Any]] = []
        asked = {"run_id": self.run(run_id)["info"]["run_id"], "metric_key": key, "max_results": 25_000}
        while True:
            page = self.server.ask("metrics/get-history", **asked)
            found += page.get("metrics", ())
            if not page.get("next_page_token"):
                return sorted(found, key=lambda point: int(point["step"]))
            asked["page_token"] = page["next_page_token"]

    def scalars(self, run_id: str) -> dict[str, list[tuple[int, Any]]]:
        names = [item["key"] for item in self.run(run_id)["data"].get("metrics", ())]
        return {
            name: [(int(point["step"]), float(point["value"])) for point in self.history(run_id, name)]
            for name in names
        }

    def times(self, run_id: str, name: str) -> list[float]:
        return [int(point["timestamp"]) / 1000 for point in self.history(run_id, name)]

    def config(self, run_id: str) -> dict[str, Any]:
        return {name: literal(text) for name, text in self.texts(self.run(run_id), "params").items()}

    def state(self, run_id: str) -> str:
        return str(self.run(run_id)["info"]["status"])

    def count(self) -> int:
        return len(self.runs())
