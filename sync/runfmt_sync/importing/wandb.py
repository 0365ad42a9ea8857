"""Runs that W&B wrote offline, or beside what it sent: ``run-<id>.wandb`` and the files around it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from runfmt.errors import UsageError
from runfmt.layout import ARTIFACT
from runfmt.rows import encode_document, escape
from runfmt_sync.digests import prove_file
from runfmt_sync.importing.old import Control, OldRow, OldRun, Shown, spelled
from runfmt_sync.importing.wandb_media import Values
from runfmt_sync.wandb_log import items, read_log

__all__ = ["find"]

STAMPS = ("_step", "_timestamp", "_runtime")
STAGING = "staging"
"""Where W&B puts the files of artifacts until they are sent."""
OWN = ("config.yaml", "wandb-summary.json", "output.log")
"""Files whose contents are in the log too."""


def find(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The runs of a folder that W&B made for one process; a run that was resumed has several."""
    logs = [folder / name for name in sorted(names) if name.endswith(".wandb")]
    return _runs(logs) if logs else None


def _runs(logs: Iterable[Path]) -> Iterator[OldRun]:
    for log in logs:
        beside = sorted(log.absolute().parent.parent.glob(f"*run-*/{log.name}"), key=_begun)
        yield _Reader([other for other in beside if _origin(other) == _origin(log)] or [log]).run


def _begun(log: Path) -> str:
    """What sorts the folders of a run by the time at which they were made, which is in their names."""
    return log.parent.name.removeprefix("offline-")


def _origin(log: Path) -> str:
    """Whose log it is; empty if it does not say."""
    with suppress(UsageError):
        for record in read_log(log):
            if record.WhichOneof("record_type") == "run":
                return f"wandb:{record.run.entity}/{record.run.project}/{record.run.run_id}"
    return ""


class _Reader:
    """Takes the records of a run's logs, one after the other; the history only when it is asked for."""

    def __init__(self, logs: list[Path]) -> None:
        self._logs, self._time = logs, 0.0
        self.run = run = OldRun("", logs[0].stem.removeprefix("run-"))
        self._labels: dict[str, Any] = {}
        for log in logs:
            run.state, run.exit_code, run.ended = "running", None, None
            for record in self._read(log):
                take = getattr(self, f"_take_{record.WhichOneof('record_type')}", None)
                if take is not None:
                    take(getattr(record, record.WhichOneof("record_type")))
            self._add_files(log.parent / "files")
        if not run.origin:
            raise UsageError(
                f"{logs[0]} says nothing of a run: it was cut off, or damaged, at its very beginning"
            )
        run.rows, run.folders = self._rows(), [log.parent for log in logs]

    def _read(self, log: Path) -> Iterator[Any]:
        """The records of a log up to where it is damaged."""
        try:
            yield from read_log(log)
        except UsageError as error:
            self.run.losses.append(f"what comes behind: {error}")

    def _take_run(self, said: Any) -> None:
        run = self.run
        run.id = said.run_id
        self._time = _seconds(said.start_time)
        run.started = run.started or self._time
        run.origin = run.origin or f"wandb:{said.entity}/{said.project}/{said.run_id}"
        run.about = {
            "project": said.project, "entity": said.entity, "name": said.display_name, "notes": said.notes,
            "tags": list(said.tags), "group": said.run_group, "job_type": said.job_type,
        }  # fmt: skip
        run.environment |= {"host": said.host}
        self._take_config(said.config)

    def _take_config(self, said: Any) -> None:
        values = items(said.update)
        self._labels |= values.pop("_wandb", {}).get("mask/class_labels", {})
        _lay(self.run.config, values)
        for gone in said.remove:
            self.run.config.pop(gone.key, None)

    def _take_environment(self, said: Any) -> None:
        for name, ours in (("os", "os"), ("python", "python"), ("program", "command"), ("host", "host")):
            if value := getattr(said, name):
                self.run.environment[ours] = value
        if said.HasField("git"):
            self.run.environment["git"] = {"remote": said.git.remote_url, "commit": said.git.commit}

    @staticmethod
    def _definition(said: Any) -> dict[str, Any]:
        """A definition of a metric, empty if it defines nothing."""
        name = said.glob_name or said.name
        found: dict[str, Any] = {"name": name}
        if said.step_metric:
            found["step_metric"] = said.step_metric
        if operations := [field.name for field, value in said.summary.ListFields() if value is True]:
            found["summary"] = [one for one in operations if one != "copy"]
        if said.options.hidden:
            found["hidden"] = True
        if said.goal in (1, 2):
            found["goal"] = "minimize" if said.goal == 1 else "maximize"
        return found if len(found) > 1 and not name.startswith("_") else {}

    def _take_stats(self, said: Any) -> None:
        self._time = _seconds(said.timestamp)
        self.run.system.append({"_timestamp": self._time, **items(said.item)})

    def _take_alert(self, said: Any) -> None:
        about = {"title": said.title, "text": said.text, "level": said.level or "INFO"}
        self.run.events.append({"_timestamp": self._time, "event": "alert", **about})

    def _take_exit(self, said: Any) -> None:
        self.run.exit_code = said.exit_code
        self.run.state = "failed" if said.exit_code else "finished"
        self.run.ended = max(self._time, (self.run.started or 0.0) + said.runtime)

    def _take_artifact(self, said: Any) -> None:
        """A version of an artifact, if its files are still where they were put for sending."""
        if said.type == "run_table":  # the tables of the history, once more
            return
        version, entries = f"artifacts/{said.name}/v{self._count(said.name)}", {}
        for content in said.manifest.contents:
            source = Path(content.local_path)
            if content.ref and not content.local_path:
                entries[content.path] = {"uri": content.ref}
            elif source.is_file() and source.parent.name == STAGING:
                self.run.files[f"{version}/{content.path}"] = source
                with source.open("rb") as file:
                    proof = prove_file(file)
                about = {"sha256": proof.digest, "size": proof.size}
                entries[content.path] = {"path": content.path, **about}
            else:
                self.run.losses.append(
                    f"the file {content.path!r} of the artifact {said.name}, which is gone"
                )
        document = {
            "name": said.name, "type": said.type, "version": version.rpartition("/")[2],
            "description": said.description, "metadata": json.loads(said.metadata or "{}"),
            "aliases": [alias for alias in said.aliases if alias != "latest"],
            "created_at": spelled(self.run.started or 0.0), "entries": entries,
        }  # fmt: skip
        self.run.files[f"{version}/{ARTIFACT}"] = encode_document(document)

    def _count(self, name: str) -> int:
        return sum(
            path.startswith(f"artifacts/{name}/") and path.endswith(ARTIFACT) for path in self.run.files
        )

    def _add_files(self, folder: Path) -> None:
        """The files beside a log, but for media, which their rows name."""
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith("media/") and name not in OWN:
                self.run.files[name] = path
        if (console := folder / "output.log").is_file():
            self.run.console.append(console)

    def _rows(self) -> Iterator[OldRow]:
        step, time, defined, summary = 0, self.run.started or 0.0, list[Any](), _Summary()
        for log in self._logs:
            values = Values(log.parent / "files", self._labels, self.run.losses)
            has_ended = False
            for record in self._read(log):
                kind = record.WhichOneof("record_type")
                if kind == "metric" and (found := self._definition(record.metric)) and found not in defined:
                    defined.append(found)
                    yield step, time, Control(_define=found)
                elif kind == "history":
                    row, said = items(record.history.item), record.history
                    step = said.step.num if said.HasField("step") else row.get("_step", step)
                    time = row.get("_timestamp", time)
                    logged = {key: value for key, value in row.items() if key not in STAMPS}
                    yield step, time, {key: values.logged(key, value) for key, value in logged.items()}
                elif kind == "summary":
                    summary.take(record.summary)
                elif kind == "exit":
                    has_ended = True
            yield step, time, summary.shown(has_ended)


class _Summary:
    """What W&B shows as the last values."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._removed: dict[str, None] = {}

    def take(self, said: Any) -> None:
        """Take a change."""
        _lay(self._values, items(said.update))
        for gone in said.remove:
            keys = [*gone.nested_key] or [gone.key]
            _remove(self._values, keys)
            self._removed[".".join(map(escape, keys))] = None

    def shown(self, has_ended: bool) -> Shown:
        """What is shown now, without what is W&B's own."""
        own = {*STAMPS, "_wandb"}
        values = {key: value for key, value in deepcopy(self._values).items() if key not in own}
        return Shown(values, tuple(self._removed), has_ended)


def _remove(place: dict[str, Any], keys: list[str]) -> None:
    """Take out what stands at these keys, if it is there."""
    *above, last = keys
    for key in above:
        place = place.get(key) or {}
    place.pop(last, None)


def _lay(place: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Lay values over others; objects that have no ``_type`` are gone into."""
    for key, value in values.items():
        there = place.get(key)
        if isinstance(value, dict) and isinstance(there, dict) and "_type" not in value:
            _lay(there, value)
        else:
            place[key] = value


def _seconds(stamp: Any) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)
