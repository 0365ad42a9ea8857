"""Runs at a tracking server of MLflow: ``mlflow+https://host[/EXPERIMENT]``, by its REST API.

A run is found by the tag ``runfmt.uid``; its project names the experiment unless the URL does. MLflow keeps
a point once however often it is sent, so rows may be sent again. The cursor is an artifact,
``.runfmt.json``, as tags that are long are cut, and nothing is said.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from runfmt.errors import CommError, UsageError
from runfmt.reading import StoredRun, unix_time
from runfmt_sync.trackers import Row, Tracked, Tracker
from runfmt_sync.trackers.mlflow_server import Server, by_key, tagged
from runfmt_sync.trackers.mlflow_values import REFUSED, Translation

__all__ = ["MLflow"]

KEPT, UNSAID = ".runfmt.json", "runfmt.unsaid"
STATES = {"finished": "FINISHED", "failed": "FAILED"}
"""How a run ended; any other end is ``KILLED``, and the tag ``runfmt.state`` has it exactly."""
OURS = ("tag.", "summary.")
"""How tags begin that are taken away when they are no more."""


class MLflow(Tracker):
    """A tracking server, or an experiment at one."""

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        parts, self.url = urlsplit(url), url.rstrip("/")
        if parts.username or parts.password:
            raise UsageError(
                f"{parts.scheme}://{parts.hostname}: a user in the address would be seen by all; "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say who calls"
            )
        if not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"{url} is no server of MLflow: write {parts.scheme}://HOST:PORT[/EXPERIMENT]")
        self._server = Server(f"{parts.scheme.removeprefix('mlflow+')}://{parts.netloc}", sleep=sleep)
        self._experiment = unquote(parts.path.strip("/"))
        self._oldest = -1

    @property
    def store_id(self) -> str:
        """One for the server's oldest experiment, so that one that was emptied gets everything again."""
        if self._oldest < 0:
            self._oldest = self._server.oldest()
        return str(uuid5(NAMESPACE_URL, f"{self.url} {self._oldest}"))

    def open(self, run: StoredRun) -> Tracked:
        """Find the run by its uid, or make it."""
        name = self._experiment or str(run.document.get("project") or "uncategorized")
        return _Run(self._server, self._server.experiment(name), run)


class _Run(Tracked):
    """One run."""

    def __init__(self, server: Server, experiment: str, run: StoredRun) -> None:
        self._server, self._began = server, round(unix_time(run.document.get("created_at")) * 1000)
        about = {"start_time": self._began, "run_name": _name(run)}
        info = server.claim(experiment, str(run.uid), {"runfmt.id": run.id}, **about)["info"]
        self._id, artifacts = str(info["run_id"]), str(info["artifact_uri"])
        if not artifacts.startswith("mlflow-artifacts:"):
            raise CommError(
                f"{server.url} takes no artifacts, clients are to put them to {artifacts}: start it with "
                "--serve-artifacts, and sync to an experiment that is new then"
            )
        self._artifacts = urlsplit(artifacts).path.strip("/")
        self._folders: dict[str, dict[str, int]] = {}
        self._refused, self._said = 0, ""
        self._behind: bytes | None = None
        self._weight, self._is_due = 0, False

    def cursor(self) -> Mapping[str, Any]:
        """What the artifact says; nothing if a server that died left half of one."""
        if KEPT not in self._folder(""):
            return {}
        try:
            kept = json.loads(self._server.get(f"{self._artifacts}/{KEPT}"))
        except ValueError:
            return {}
        cursor: dict[str, Any] = kept["cursor"]
        self._refused = cursor["unsaid"].get(REFUSED, 0)
        return cursor

    def keep(self, cursor: Mapping[str, Any]) -> None:
        """Keep the cursor; behind files only when they weigh more, as it is long where there are many."""
        self._behind = json.dumps({"runfmt": 1, "cursor": cursor}).encode()
        if self._is_due or self._weight >= len(self._behind):
            self._settle()
        said = "\n".join(f"{count} {what}" for what, count in cursor["unsaid"].items())
        if said != self._said:
            self._server.log(self._id, tags=tagged({UNSAID: said}))
            self._said = said

    def _settle(self) -> None:
        if self._behind is not None:
            self._server.put(f"{self._artifacts}/{KEPT}", self._behind)
        self._behind, self._weight, self._is_due = None, 0, False

    def rows(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Log the numbers of rows, with their steps and times."""
        said = Translation()
        points = list(said.points(rows, self._began))
        self._server.log(self._id, tags=tagged(said.odd))
        self._server.log(self._id, metrics=points)
        self._is_due = True
        return +said.unsaid

    def file(self, path: str, source: Path) -> None:
        """Put a file under its path; a medium's name tells its content, so one that is there is not sent."""
        size, place = source.stat().st_size, PurePosixPath(path)
        if path.startswith("media/") and self._folder(str(place.parent)).get(place.name) == size:
            return
        with source.open("rb") as body:
            where = f"{self._artifacts}/{path}"
            is_taken = unquote(path) == path and self._server.put(where, body)
        self._refused += not is_taken
        self._weight += size

    def _folder(self, path: str) -> dict[str, int]:
        """The sizes of what was in a folder when it was first asked for, by name."""
        if path not in self._folders:
            self._folders[path] = self._server.sizes(f"{self._artifacts}/{path}".rstrip("/"))
        return self._folders[path]

    def describe(self, run: StoredRun) -> Mapping[str, int]:
        """Take name, notes, tags, config as params, and the summary."""
        there, said = self._server.run(self._id)["data"], Translation()
        params, known = said.params(run, by_key(there, "params")), by_key(there, "tags")
        points, summary = said.summary(run, {item["key"]: item for item in there.get("metrics", ())})
        tags = {**said.tags(run), **summary, **said.odd}
        new = {name: text for name, text in tags.items() if text != known.get(name, "")}
        self._server.log(self._id, tags=tagged(new), params=tagged(params), metrics=points)
        for name in known:
            if name.startswith(OURS) and name not in tags:
                self._server.forget(self._id, name)
        is_running = run.state() == "running"
        self._update(run_name=_name(run), **({"status": "RUNNING"} if is_running else {}))
        said.unsaid[REFUSED] = self._refused
        return +said.unsaid

    def end(self, run: StoredRun) -> None:
        """Take the state and the time of the end."""
        ended = unix_time(run.document.get("finished_at")) or run.newest_line
        self._update(status=STATES.get(run.state(), "KILLED"), end_time=round(ended * 1000))

    def _update(self, **about: Any) -> None:
        self._server.call("update", run_id=self._id, **about)
        self._is_due = True

    def close(self) -> None:
        """Keep the cursor if that was put off."""
        self._settle()


def _name(run: StoredRun) -> str:
    return run.attributes["name"] or run.id
