"""Runs of MLflow: in a folder ``mlruns``, or on a server, by its REST API."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from runfmt.errors import FormatError, MissingLibrary, UsageError
from runfmt_sync.importing.old import OldRun, Point, literal, rows_of
from runfmt_sync.trackers.mlflow_server import Server, by_key

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
INPUTS = "the datasets that were logged as inputs"
GONE = (400, 403, 404, 500)
"""What MLflow answers when the file of an artifact is not there, or not for us."""
API = "/api/2.0/mlflow"
PAGE, HISTORY = 1000, 25_000
"""Experiments or runs, and points, that are asked for at once."""


def find(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The run of a folder of the file store, which holds ``meta.yaml`` with a run's id."""
    meta = _yaml(folder / "meta.yaml") if "meta.yaml" in names else {}
    if "run_id" not in meta:
        return None
    return [] if meta.get("lifecycle_stage") == "deleted" else [_in_folder(folder, meta)]


def _in_folder(folder: Path, meta: Mapping[str, Any]) -> OldRun:
    experiment = folder.parent / "meta.yaml"
    project = _yaml(experiment).get("name") if experiment.is_file() else None
    state = meta.get("status")
    about = {**meta, "status": NUMBERS.get(state, state) if isinstance(state, int) else state}
    run = _run(about, str(project or folder.parent.name), _texts(folder / "params"), _texts(folder / "tags"))
    run.rows = rows_of(_points_in(folder / "metrics"))
    run.files = {**_files(folder / "artifacts")}
    if (folder / "inputs").exists():
        run.losses.append(INPUTS)
    return run


def _run(info: Mapping[str, Any], project: str, params: Mapping[str, str], tags: Mapping[str, str]) -> OldRun:
    """What the tables of both stores say."""
    run = OldRun(f"mlflow:{info['run_id']}", str(info["run_id"]))
    name = info.get("run_name") or tags.get("mlflow.runName") or run.id
    run.about = {"project": project, "name": str(name), "notes": tags.get("mlflow.note.content", "")}
    run.about["group"] = tags.get("mlflow.parentRunId", "")
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
                yield int(step), int(time) / 1000, key, float(value)
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
    """The runs at ``mlflow+http(s)://host[/experiment]``; artifacts lie in ``place`` until the next run."""
    scheme, _, rest = url.removeprefix("mlflow+").partition("://")
    host, _, wanted = rest.partition("/")
    server = _Source(f"{scheme}://{host}")
    experiments = [
        one for one in server.pages("experiments", max_results=PAGE) if unquote(wanted) in ("", one["name"])
    ]
    if not experiments:
        raise UsageError(f"{server.url} has no experiment {unquote(wanted)!r}")
    for experiment in experiments:
        asked = {"experiment_ids": [experiment["experiment_id"]], "max_results": PAGE}
        for found in server.pages("runs", **asked):
            place.mkdir()
            yield server.old_run(found, experiment["name"], place)
            shutil.rmtree(place)


class _Source(Server):
    """What is read of a server. Raises ``CommError`` if it does not answer, or refuses."""

    def pages(self, what: str, **asked: Any) -> Iterator[Any]:
        """All that a search finds."""
        token = ""
        while True:
            page = self.json("POST", f"{API}/{what}/search", {**asked, "page_token": token})
            yield from page.get(what, ())
            if not (token := page.get("next_page_token", "")):
                return

    def old_run(self, found: Mapping[str, Any], project: str, place: Path) -> OldRun:
        """A run as the search gives it, with its points and artifacts."""
        data = found["data"]
        run = _run(found["info"], project, by_key(data, "params"), by_key(data, "tags"))
        points = [p for metric in data.get("metrics", ()) for p in self._points(run.id, metric["key"])]
        run.rows = rows_of(points)
        if found.get("inputs", {}).get("dataset_inputs"):
            run.losses.append(INPUTS)
        for path in self._paths(run, ""):
            if fetched := self._fetched(run.id, path, place):
                run.files[path] = fetched
            else:
                run.losses.append(f"the artifact {path!r}, which the server does not give")
        return run

    def _points(self, run_id: str, key: str) -> Iterator[Point]:
        token = ""
        while True:
            asked = {"run_id": run_id, "metric_key": key, "max_results": HISTORY, "page_token": token}
            page = self.json("GET", f"{API}/metrics/get-history?{urlencode(asked)}")
            for point in page.get("metrics", ()):
                step, time = int(point.get("step", 0)), int(point["timestamp"]) / 1000
                yield step, time, key, float(point["value"])
            if not (token := page.get("next_page_token", "")):
                return

    def _paths(self, run: OldRun, folder: str) -> Iterator[str]:
        """The paths of all artifacts."""
        asked = urlencode({"run_id": run.id, "path": folder})
        answer = self.request("GET", f"{API}/artifacts/list?{asked}", bear=GONE)
        if not answer.ok:
            run.losses.append(f"the artifacts in {folder or 'its folder'!r}, which the server does not list")
            return
        for one in answer.json().get("files", ()):
            if one.get("is_dir"):
                yield from self._paths(run, one["path"])
            else:
                yield one["path"]

    def _fetched(self, run_id: str, path: str, place: Path) -> Path | None:
        """A copy of an artifact on this machine; None if there is no more of it than its name."""
        target = place / f"{run_id}-{len(list(place.iterdir()))}"
        where = f"/get-artifact?{urlencode({'run_uuid': run_id, 'path': path})}"

        def read() -> Path | None:
            with self.request("GET", where, stream=True, bear=GONE) as answer, target.open("wb") as file:
                if not answer.ok:
                    return None
                answer.raw.decode_content = True
                shutil.copyfileobj(answer.raw, file)
            return target

        return self.until_whole(read)
