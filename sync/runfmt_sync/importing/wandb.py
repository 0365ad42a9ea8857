"""Runs that W&B wrote offline, or beside what it sent: ``run-<id>.wandb`` and the files around it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runfmt.errors import UsageError
from runfmt.layout import ARTIFACT
from runfmt.rows import encode_document
from runfmt_sync.digests import prove_file
from runfmt_sync.importing.old import OldRow, OldRun, spelled
from runfmt_sync.importing.wandb_media import Values
from runfmt_sync.wandb_log import items, read_log

__all__ = ["find"]

LEVELS = {30: "WARN", 40: "ERROR"}
STAGING = "staging"
"""Where W&B puts the files of artifacts until they are sent."""
OWN = ("config.yaml", "wandb-summary.json", "output.log")
"""Files whose contents are in the log too."""


def find(folder: Path, names: Iterable[str]) -> Iterator[OldRun]:
    """The run of a folder that W&B made for one process."""
    logs = [folder / name for name in sorted(names) if name.endswith(".wandb")]
    for log in logs:
        yield _Reader(log).run


class _Reader:
    """Takes the records of a log, one after the other; the history only when it is asked for."""

    def __init__(self, log: Path) -> None:
        self._log, self._files = log, log.parent / "files"
        self.run = run = OldRun("", log.stem.removeprefix("run-"))
        run.state, run.exit_code = "running", None
        self._values = Values(self._files, run.losses)
        for record in read_log(log):
            take = getattr(self, f"_take_{record.WhichOneof('record_type')}", None)
            if take is not None:
                take(getattr(record, record.WhichOneof("record_type")))
        if not run.origin:
            raise UsageError(f"{log} says nothing of a run: it was cut off at its very beginning")
        run.rows = self._rows()
        self._add_files()

    def _take_run(self, said: Any) -> None:
        run = self.run
        run.id = said.run_id
        run.started = _seconds(said.start_time)
        run.origin = f"wandb:{said.entity}/{said.project}/{said.run_id}"
        run.about = {
            "project": said.project, "entity": said.entity, "name": said.display_name, "notes": said.notes,
            "tags": list(said.tags), "group": said.run_group, "job_type": said.job_type,
        }  # fmt: skip
        run.environment |= {"host": said.host}
        self._take_config(said.config)

    def _take_config(self, said: Any) -> None:
        values = items(said.update)
        self._values.labels |= values.pop("_wandb", {}).get("mask/class_labels", {})
        _lay(self.run.config, values)
        for gone in said.remove:
            self.run.config.pop(gone.key, None)

    def _take_environment(self, said: Any) -> None:
        for name, ours in (("os", "os"), ("python", "python"), ("program", "command"), ("host", "host")):
            if value := getattr(said, name):
                self.run.environment[ours] = value
        if said.HasField("git"):
            self.run.environment["git"] = {"remote": said.git.remote_url, "commit": said.git.commit}

    def _take_metric(self, said: Any) -> None:
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
        if len(found) > 1 and not name.startswith("_"):
            self.run.definitions.append(found)

    def _take_summary(self, said: Any) -> None:
        _lay(self.run.summary, items(said.update))
        for gone in said.remove:
            self.run.summary.pop(gone.key or ".".join(gone.nested_key), None)

    def _take_stats(self, said: Any) -> None:
        sample = {"_timestamp": _seconds(said.timestamp), **items(said.item)}
        self.run.system.append(sample)

    def _take_alert(self, said: Any) -> None:
        about = {"title": said.title, "text": said.text, "level": said.level or "INFO"}
        self.run.events.append({"_timestamp": self.run.started, "event": "alert", **about})

    def _take_exit(self, said: Any) -> None:
        self.run.exit_code = said.exit_code
        self.run.state = "failed" if said.exit_code else "finished"
        if self.run.started is not None:
            self.run.ended = self.run.started + said.runtime

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

    def _add_files(self) -> None:
        """The files beside the log, but for media, which their rows name."""
        for path in sorted(self._files.rglob("*")):
            name = path.relative_to(self._files).as_posix()
            if path.is_file() and not name.startswith("media/") and name not in OWN:
                self.run.files[name] = path
        console = self._files / "output.log"
        self.run.console = console if console.is_file() else None

    def _rows(self) -> Iterator[OldRow]:
        for record in read_log(self._log):
            if record.WhichOneof("record_type") == "history":
                row = items(record.history.item)
                step = record.history.step.num if record.history.HasField("step") else row.get("_step", 0)
                time = row.get("_timestamp", self.run.started or 0.0)
                values = {
                    key: value for key, value in row.items() if key not in ("_step", "_timestamp", "_runtime")
                }
                yield step, time, {key: self._values.logged(key, value) for key, value in values.items()}


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
