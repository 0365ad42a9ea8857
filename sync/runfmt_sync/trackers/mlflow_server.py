"""A tracking server of MLflow, by its REST API: experiments, runs, what is logged to them, artifacts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote, urlencode

import requests

from runfmt_sync.extents import Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.remotes.http import Caller, problem, with_token

__all__ = ["UID", "Item", "Server", "batches", "by_key", "tagged"]

Item = Mapping[str, Any]
"""A metric, a param or a tag."""
API = "/api/2.0"
UID, MADE = "runfmt.uid", "runfmt.made"
"""Tags: whose a run is; when it was made, by the clock of who made it."""
MOST = {"metrics": 1000, "params": 100, "tags": 100}
"""Of each that a request may have."""
LARGEST = 900_000
"""Characters of a request, of which MLflow takes 1,000,000."""
ALLOW = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def tagged(texts: Mapping[str, str]) -> list[Item]:
    """Tags or params by key as items."""
    return [{"key": key, "value": value} for key, value in texts.items()]


def by_key(data: Mapping[str, Any], what: str) -> dict[str, str]:
    """The ``params`` or ``tags`` in a run's data by key."""
    return {item["key"]: item.get("value", "") for item in data.get(what, ())}


class Server(Caller):
    """What is asked of a server. Raises ``CommError`` if it cannot, ``Refused`` if not for one run."""

    advice: ClassVar = {401: ALLOW, 403: ALLOW, 404: "nothing there speaks MLflow: check the address"}

    def auth(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """Who calls, as MLflow's own client has it from the environment."""
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            return partial(with_token, token)
        if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            return requests.auth.HTTPBasicAuth(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        return None

    def oldest(self) -> int:
        """When the oldest experiment was made, in milliseconds."""
        asked: dict[str, Any] = {"max_results": 1, "view_type": "ALL", "order_by": ["creation_time ASC"]}
        found = self._post("experiments/search", **asked).json().get("experiments", ())
        return max((int(one["creation_time"]) for one in found), default=0)

    def experiment(self, name: str) -> str:
        """The id of the experiment of a name, which is made if there is none."""
        answer = self._get("experiments/get-by-name", bear=(404,), experiment_name=name)
        if not answer.ok:
            made = self._post("experiments/create", bear=(400,), name=name)
            if made.ok:
                return str(made.json()["experiment_id"])
            answer = self._get("experiments/get-by-name", bear=(404,), experiment_name=name)
            if not answer.ok:  # nor has somebody else made it
                raise Refused(f"MLflow makes no experiment {name[:80]!r}: {problem(made)}")
        found = answer.json()["experiment"]
        if found["lifecycle_stage"] != "active":
            raise Refused(f"the experiment {name!r} was deleted there: restore it, or name another one")
        return str(found["experiment_id"])

    def claim(self, experiment: str, uid: str, told: Mapping[str, str], **about: Any) -> Mapping[str, Any]:
        """Find the run of a uid, or make it; of several that were made at once the first one stays.

        ``told`` are tags that it has from the beginning.
        """
        there = self._runs(experiment, uid)
        if not there:
            tags = {UID: uid, MADE: f"{time.time():.6f}", **told}
            made = self.call("create", experiment_id=experiment, tags=tagged(tags), **about)["run"]
            fault_point("mlflow.made")
            there = self._runs(experiment, uid) or [made]
        first, *others = there
        for other in others:
            self._post("runs/delete", bear=(400, 404), run_id=other["info"]["run_id"])
        return first

    def _runs(self, experiment: str, uid: str) -> list[dict[str, Any]]:
        """The runs of a uid, the first one first. Raises ``Refused`` if somebody deleted them."""
        asked = {"filter": f"tags.`{UID}` = '{uid}'", "run_view_type": "ALL"}
        found = self.call("search", experiment_ids=[experiment], **asked).get("runs", [])
        there = [run for run in found if run["info"]["lifecycle_stage"] == "active"]
        if found and not there:
            raise Refused("the run was deleted there, and stays away: restore it, or name another experiment")
        return sorted(there, key=_made)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as it is now."""
        return dict(self._get("runs/get", run_id=run_id).json()["run"])

    def log(self, run_id: str, **items: Iterable[Item]) -> None:
        """Log ``metrics``, ``params`` and ``tags``, in as many requests as it takes."""
        for what, some in items.items():
            for batch in batches(some, MOST[what]):
                self.call("log-batch", run_id=run_id, **{what: batch})

    def forget(self, run_id: str, tag: str) -> None:
        """Take a tag away, if it is there."""
        self._post("runs/delete-tag", bear=(404,), run_id=run_id, key=tag)

    def call(self, what: str, **asked: Any) -> Any:
        """The answer to a call about a run."""
        answer = self._post(f"runs/{what}", bear=(400, 404), **asked)
        if not answer.ok:
            raise Refused(f"MLflow refuses it: {problem(answer)}")
        return answer.json()

    def _post(self, call: str, *, bear: tuple[int, ...] = (), **asked: Any) -> requests.Response:
        body = json.dumps(asked, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        return self.request("POST", f"{API}/mlflow/{call}", body=body, headers=headers, bear=bear)

    def _get(self, call: str, *, bear: tuple[int, ...] = (), **asked: str) -> requests.Response:
        return self.request("GET", f"{API}/mlflow/{call}?{urlencode(asked)}", bear=bear)

    # Artifacts

    def sizes(self, folder: str) -> dict[str, int]:
        """The size of each file in a folder of artifacts, by name."""
        where = f"{API}/mlflow-artifacts/artifacts?{urlencode({'path': folder})}"
        found = self.json("GET", where).get("files", ())
        return {one["path"]: int(one.get("file_size", 0)) for one in found if not one["is_dir"]}

    def get(self, path: str) -> bytes:
        """The contents of an artifact."""
        return self.request("GET", f"{API}/mlflow-artifacts/artifacts/{quote(path)}").content

    def put(self, path: str, body: bytes | BinaryIO) -> bool:
        """Put an artifact in its place, whatever is there; gives whether it was taken."""
        where = f"{API}/mlflow-artifacts/artifacts/{quote(path)}"
        return self.request("PUT", where, body=body, bear=(400, 404, 413)).ok


def _made(run: Mapping[str, Any]) -> tuple[str, str]:
    """What sorts runs by when they were made."""
    return by_key(run["data"], "tags").get(MADE, ""), run["info"]["run_id"]


def batches(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """Items in their order, as many together as a request may have."""
    batch: list[Item] = []
    size = 0
    for item in items:
        length = len(json.dumps(item)) + 2
        if batch and (len(batch) == most or size + length > LARGEST):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
