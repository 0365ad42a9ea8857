"""Runs of MLflow: in a folder ``mlruns``, or on a server, by its REST API."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runfmt.errors import CommError, FormatError, MissingLibrary
from runfmt_sync.importing.old import OldRun, Point, literal, rows_of

__all__ = ["find", "read_server"]

STATES = {
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""What the file store writes for a state."""
PAGE = 1000


def find(folder: Path, names: Iterable[str]) -> Iterator[OldRun]:
    """The run of a folder of the file store, which holds ``meta.yaml`` with a run's id."""
    if "meta.yaml" not in names:
        return
    meta = _yaml(folder / "meta.yaml")
    if "run_id" not in meta or meta.get("lifecycle_stage") == "deleted":
        return
    experiment = folder.parent / "meta.yaml"
    project = _yaml(experiment).get("name") if experiment.is_file() else None
    state = meta.get("status")
    about = {**meta, "status": NUMBERS.get(state, state) if isinstance(state, int) else state}
    run = _run(about, str(project or folder.parent.name), _texts(folder / "params"), _texts(folder / "tags"))
    run.rows = rows_of(sorted(_points_in(folder / "metrics"), key=lambda point: (point[1], point[0])))
    run.files = {**_files(folder / "artifacts")}
    yield run


def _run(info: Mapping[str, Any], project: str, params: Mapping[str, str], tags: Mapping[str, str]) -> OldRun:
    """What the tables of both stores say."""
    run = OldRun(f"mlflow:{info['run_id']}", str(info["run_id"]))
    name = info.get("run_name") or tags.get("mlflow.runName") or run.id
    run.about = {"project": project, "name": str(name), "notes": tags.get("mlflow.note.content", "")}
    own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
    run.about["tags"] = sorted(f"{key}={value}" if value else key for key, value in own.items())
    run.config = {key: literal(value) for key, value in params.items()}
    run.environment = {
        ours: tags[theirs]
        for ours, theirs in (("user", "mlflow.user"), ("command", "mlflow.source.name"))
        if tags.get(theirs)
    }
    if commit := tags.get("mlflow.source.git.commit"):
        run.environment["git"] = {"commit": commit}
    run.started = _seconds(info.get("start_time"))
    run.ended = _seconds(info.get("end_time"))
    run.state = STATES.get(str(info.get("status")), "running")
    run.exit_code = {"finished": 0, "failed": 1}.get(run.state)
    return run


def _seconds(milliseconds: Any) -> float | None:
    return int(milliseconds) / 1000 if milliseconds else None


def _files(folder: Path) -> dict[str, Path]:
    """What lies in a folder, by path; nothing that links lead to."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _texts(folder: Path) -> dict[str, str]:
    """A file a key, whose name may have folders in it."""
    return {
        key: path.read_text("utf-8", "replace").removesuffix("\n") for key, path in _files(folder).items()
    }


def _points_in(folder: Path) -> Iterator[Point]:
    """Lines of time in milliseconds, value and step; of old ones without the step."""
    for key, path in _files(folder).items():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                time, value, step = (*line.split(" "), "0")[:3]
                yield max(int(step), 0), int(time) / 1000, key, float(value)
            except ValueError as error:
                raise FormatError("R023", f"{path}, line {number} is no point: {line!r}") from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingLibrary("reading the folders of MLflow", "PyYAML") from error
    try:
        found = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise FormatError("R091", f"{path} cannot be read: {error}") from error
    return dict(found) if isinstance(found, dict) else {}


def read_server(url: str, place: Path) -> Iterator[OldRun]:
    """The runs at ``mlflow+http(s)://host[/experiment]``; their artifacts are fetched into a folder."""
    server = _Server(url)
    for experiment in server.experiments():
        for run in server.pages("runs/search", "runs", experiment_ids=[experiment["experiment_id"]]):
            yield server.run(run, experiment["name"], place)


class _Server:
    """What is asked of a server. Raises ``CommError`` if it does not answer, or refuses."""

    def __init__(self, url: str) -> None:
        import requests

        parts = urlsplit(url.removeprefix("mlflow+"))
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._experiment = unquote(parts.path.strip("/"))
        self._session = requests.Session()
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))

    def experiments(self) -> list[dict[str, Any]]:
        found = list(self.pages("experiments/search", "experiments"))
        chosen = [one for one in found if self._experiment in ("", one["name"])]
        if not chosen:
            raise CommError(f"{self._root} has no experiment {self._experiment!r}")
        return chosen

    def pages(self, call: str, what: str, **asked: Any) -> Iterator[Any]:
        """All of a list that comes in pages."""
        token = ""
        while True:
            body = {**asked, "max_results": PAGE, **({"page_token": token} if token else {})}
            page = self._ask("POST", f"api/2.0/mlflow/{call}", json=body).json()
            yield from page.get(what, ())
            if not (token := page.get("next_page_token", "")):
                return

    def run(self, found: Mapping[str, Any], project: str, place: Path) -> OldRun:
        data = found["data"]
        params, tags = (
            {one["key"]: one["value"] for one in data.get(what, ())} for what in ("params", "tags")
        )
        run = _run(found["info"], project, params, tags)
        points = [p for metric in data.get("metrics", ()) for p in self._points(run.id, metric["key"])]
        run.rows = rows_of(sorted(points, key=lambda point: (point[1], point[0])))
        run.files = {path: self._fetched(run.id, path, place) for path in self._artifacts(run.id, "")}
        return run

    def _points(self, run_id: str, key: str) -> Iterator[Point]:
        token = ""
        while True:
            asked = {"run_id": run_id, "metric_key": key, "max_results": PAGE * 25, "page_token": token}
            page = self._ask("GET", "api/2.0/mlflow/metrics/get-history", params=asked).json()
            for point in page.get("metrics", ()):
                yield (
                    max(int(point.get("step", 0)), 0),
                    int(point["timestamp"]) / 1000,
                    key,
                    float(point["value"]),
                )
            if not (token := page.get("next_page_token", "")):
                return

    def _artifacts(self, run_id: str, folder: str) -> Iterator[str]:
        asked = {"run_id": run_id, "path": folder}
        for one in self._ask("GET", "api/2.0/mlflow/artifacts/list", params=asked).json().get("files", ()):
            if one.get("is_dir"):
                yield from self._artifacts(run_id, one["path"])
            else:
                yield one["path"]

    def _fetched(self, run_id: str, path: str, place: Path) -> Path:
        target = place / f"{run_id}-{len(list(place.iterdir()))}"
        asked = {"run_uuid": run_id, "path": path}
        with self._ask("GET", "get-artifact", params=asked, stream=True) as answer, target.open("wb") as file:
            for piece in answer.iter_content(2**20):
                file.write(piece)
        return target

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        import requests

        try:
            answer = self._session.request(method, f"{self._root}/{path}", timeout=60, **how)
        except requests.RequestException as error:
            raise CommError(f"{self._root} does not answer: {error}") from error
        if answer.status_code != 200:
            raise CommError(f"{self._root} answers {answer.status_code} to {path}: {answer.text[:200]}")
        return answer
