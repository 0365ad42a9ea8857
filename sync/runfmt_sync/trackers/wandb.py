"""Runs at W&B: ``wandb://ENTITY/PROJECT``, through its own package.

A run keeps its id; other writers are runs of their own in one group, as W&B has it for ranks. W&B takes
the rows of a run in the order of their steps only, and resuming there doubles what is sent again: so rows
at or below the last step that the far end has are never sent.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from runfmt.errors import UsageError
from runfmt.layout import MAIN
from runfmt.reading import StoredRun
from runfmt.rows import leaves
from runfmt.summary import Definition
from runfmt_sync.trackers import Row, Tracked, Tracker
from runfmt_sync.trackers.wandb_places import OURS, Claim, Folder, Place, Service, telling
from runfmt_sync.trackers.wandb_values import Translation

__all__ = ["WandB"]

LATE = "late rows: W&B drops rows whose steps go down"
LONGEST_TAG, LONGEST_TITLE = 64, 63
"""Characters that W&B takes."""


class WandB(Tracker):
    """A project at W&B, or a folder of offline runs for it."""

    most_at_once = 1

    def __init__(self, url: str) -> None:
        parts, self.url = urlsplit(url), url
        entity, project = parts.netloc, parts.path.strip("/")
        options = dict(parse_qsl(parts.query))
        offline = options.get("mode") == "offline"
        known = {"mode", "dir"} if offline else {"base_url"}
        if not entity or not project or "/" in project or not options.keys() <= known:
            way = "wandb://ENTITY/PROJECT, perhaps with ?base_url=URL or ?mode=offline&dir=DIR"
            raise UsageError(f"{url} is no place at W&B: write {way}")
        self._place: Place = (
            Folder(url, entity, project, Path(options.get("dir", ".")))
            if offline
            else Service(url, entity, project, options.get("base_url"))
        )

    @property
    def store_id(self) -> str:
        """The place's own."""
        return self._place.store_id

    def prepare(self) -> None:
        """See that W&B's package is there, and that it may write."""
        self._place.prepare()

    def open(self, run: StoredRun) -> Tracked:
        """Find the run that was made of this one, or an id that is free."""
        return _Run(run, self._place.claim(run))


class _Run(Tracked):
    """One run, and W&B's runs that it becomes: one a writer, each begun when something comes for it."""

    def __init__(self, run: StoredRun, claim: Claim) -> None:
        self._run, self._claim = run, claim
        self._cursor: Mapping[str, Any] = claim.kept.get("cursor", {})
        self._alerts: int = claim.kept.get("alerts", 0)
        self._lines: dict[str, _Line] = {}
        self._exit = 0

    def cursor(self) -> Mapping[str, Any]:
        return self._cursor

    def keep(self, cursor: Mapping[str, Any]) -> None:
        """Keep the cursor; it travels behind all that it covers, when the run is closed."""
        self._line(MAIN)
        self._cursor = cursor

    def _line(self, writer: str) -> _Line:
        if writer not in self._lines:
            self._lines[writer] = _Line(self._run, self._claim, writer)
        return self._lines[writer]

    def rows(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Log rows whose steps are above all that is there."""
        return self._line(rows[0].writer).log(rows)

    def file(self, path: str, source: Path) -> None:
        """Save a file under its name, as it is."""
        self._line(MAIN).save(source, self._run.path)

    def describe(self, run: StoredRun) -> Mapping[str, int]:
        """Take name, notes, tags, config, definitions, summary and new alerts."""
        line, unsaid = self._line(MAIN), Counter[str]()
        tags = [tag for tag in run.attributes["tags"] if 0 < len(tag) <= LONGEST_TAG]
        unsaid["tags that are too long"] = len(run.attributes["tags"]) - len(tags)
        with telling(self._claim.url):
            line.run.name, line.run.notes = run.attributes["name"] or run.id, run.attributes["notes"]
            line.run.tags = tags
            line.run.config.update({**run.config, OURS: self._about(run)}, allow_val_change=True)
            line.summarise(run.summary)  # before definitions, which hide keys that stand there all the same
            for definition in run.history().definitions.by_name.values():
                line.define(definition)
            self._alert([event for event in run.events() if event["event"] == "alert"])
        return +unsaid

    def _about(self, run: StoredRun) -> dict[str, Any]:
        about = {"uid": run.uid, "state": run.state(), "unsaid": self._cursor.get("unsaid", {})}
        return about | {key: run.document.get(key) for key in ("created_at", "finished_at")}

    def _alert(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        for alert in alerts[self._alerts :]:
            title, text, level = (str(alert.get(key) or "") for key in ("title", "text", "level"))
            level = level if level in ("WARN", "ERROR") else "INFO"
            self._line(MAIN).run.alert(title[:LONGEST_TITLE], text, level, wait_duration=0.001)
        self._alerts = len(alerts)

    def end(self, run: StoredRun) -> None:
        """Say how all runs of it ended: W&B knows of success, failure and preemption."""
        self._exit = 0 if run.state() == "finished" else 1
        for writer in run.writers:
            there = self._line(writer).run
            if run.state() == "preempted":
                there.mark_preempting()

    def close(self) -> None:
        """Wait until all has arrived, then keep the cursor."""
        try:
            with telling(self._claim.url):
                for line in self._lines.values():
                    self._claim.finish(line.run, self._exit)
                if self._lines:
                    kept = {"uid": self._run.uid, "cursor": self._cursor, "alerts": self._alerts}
                    self._claim.keep(kept)
        finally:
            self._claim.release()


class _Line:
    """What is told to one of W&B's runs; ``last`` is the highest step that was logged to it."""

    def __init__(self, run: StoredRun, claim: Claim, writer: str) -> None:
        self._url, about = claim.url, run.attributes
        name, group, job = about["name"] or claim.id, about["group"] or None, about["job_type"] or None
        if len(run.writers) > 1:
            group = group or claim.id
        if writer != MAIN:
            name, job = f"{name} {writer}", writer
        told = {"name": name, "group": group, "job_type": job, "config": {OURS: {"uid": run.uid}}}
        with telling(self._url):
            self.last = claim.last_step(writer)
            self.run = claim.begin(writer, ended=run.state() != "running", **told)

    def log(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Log rows above the last step; gives what cannot be said of them."""
        translation = Translation()
        said = [(row, translation.row(row.values)) for row in rows if not row.is_late]
        translation.unsaid[LATE] = len(rows) - len(said)
        self._add(translation)  # before the rows; and if those are there already, it may not be
        with telling(self._url):
            for row, values in said:
                if row.step > self.last:
                    time = {} if row.time is None else {"_timestamp": row.time}
                    self.run.log({**values, **time}, step=row.step, commit=True)
                    self.last = row.step
        return +translation.unsaid

    def _add(self, translation: Translation) -> None:
        """Say what values need beside them."""
        own = Path(self.run.settings.files_dir)
        for path, data in translation.files.items():
            (own / path).parent.mkdir(parents=True, exist_ok=True)
            (own / path).write_bytes(data)
            self.save(own / path, own)
        with telling(self._url):
            for key, labels in translation.labels.items():
                self.run._add_singleton("mask/class_labels", key, labels)

    def save(self, path: Path, folder: Path) -> None:
        """Save a file under the name that it has in a folder."""
        with telling(self._url):
            self.run.save(glob.escape(str(path.absolute())), str(folder.absolute()), policy="now")

    def define(self, definition: Definition) -> None:
        """Say how a metric is to be shown. Rows stay as they are: what is to be in them is there."""
        best = "max" if definition.goal == "maximize" else "min"
        said = {best if word == "best" else word for word in definition.summary} - {"copy"}
        self.run.define_metric(
            definition.name,
            step_metric=definition.step_metric,
            step_sync=False,
            hidden=definition.hidden,
            summary=",".join(sorted(said)) or None,
            overwrite=True,
        )

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Say the summary in place of the one that W&B makes of rows."""
        translation = Translation()
        said = translation.row(dict(leaves(summary)))
        for key in [*self.run.summary.keys()]:
            if key not in said and not key.startswith("_"):
                del self.run.summary[key]
        self.run.summary.update(said)
        self._add(translation)
