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
from runfmt_sync.trackers import Row, Tracked, Tracker
from runfmt_sync.trackers.wandb_places import OURS, Claim, Folder, Place, Service, telling
from runfmt_sync.trackers.wandb_values import nested, translate

__all__ = ["WandB"]

LATE = "late rows: W&B drops rows whose steps go down"


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
        self._exit: int | None = None

    def cursor(self) -> Mapping[str, Any]:
        return self._cursor

    def keep(self, cursor: Mapping[str, Any]) -> None:
        """Keep the cursor, which travels behind all that it covers, when the run is closed."""
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
        with telling(self._claim.url):
            self._line(MAIN).run.save(
                glob.escape(str(source.absolute())), base_path=str(self._run.path.absolute()), policy="now"
            )

    def describe(self, run: StoredRun) -> Mapping[str, int]:
        """Take name, notes, tags, config, definitions, summary and new alerts."""
        there, unsaid = self._line(MAIN).run, Counter[str]()
        with telling(self._claim.url):
            there.name, there.notes, there.tags = (run.attributes[key] for key in ("name", "notes", "tags"))
            there.config.update({**run.config, OURS: self._about(run)}, allow_val_change=True)
            there.summary.update(run.summary)
        return +unsaid

    def _about(self, run: StoredRun) -> dict[str, Any]:
        about = {"uid": run.uid, "state": run.state(), "unsaid": self._cursor.get("unsaid", {})}
        return about | {key: run.document.get(key) for key in ("created_at", "finished_at")}

    def end(self, run: StoredRun) -> None:
        """Say how all runs of it ended: W&B knows of success, failure and preemption."""
        state = run.state()
        self._exit = 0 if state == "finished" else 1
        for writer in run.writers:
            there = self._line(writer).run
            if state == "preempted":
                there.mark_preempting()

    def close(self) -> None:
        """Wait until all has arrived, then keep the cursor."""
        try:
            for line in self._lines.values():
                line.finish(self._exit)
            if self._lines:
                self._claim.keep(self._to_keep())
        finally:
            self._claim.release()

    def _to_keep(self) -> dict[str, Any]:
        last = {**self._claim.kept.get("last", {}), **{name: line.last for name, line in self._lines.items()}}
        return {"uid": self._run.uid, "cursor": self._cursor, "alerts": self._alerts, "last": last}


class _Line:
    """What is logged to one run at W&B."""

    def __init__(self, run: StoredRun, claim: Claim, writer: str) -> None:
        self._claim, about = claim, run.attributes
        group = about["group"] or (claim.id if len(run.writers) > 1 else None)
        is_main = writer == MAIN
        with telling(claim.url):
            self.last = claim.last_step(writer)
            self.run = claim.begin(
                writer,
                name=(about["name"] or claim.id) if is_main else f"{about['name'] or claim.id} {writer}",
                group=group,
                job_type=about["job_type"] or None if is_main else writer,
                config={OURS: {"uid": run.uid}},
                ended=run.state() != "running",
            )

    def log(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Log rows above the last step; gives what cannot be said of them."""
        unsaid = Counter[str]()
        with telling(self._claim.url):
            for row in rows:
                unsaid[LATE] += row.is_late
                if row.is_late or row.step <= self.last:
                    continue
                values = nested(translate(row.values, unsaid))
                time = {} if row.time is None else {"_timestamp": row.time}
                self.run.log({**values, **time}, step=row.step, commit=True)
                self.last = row.step
        return +unsaid

    def finish(self, code: int | None) -> None:
        """Wait until all that was logged has arrived."""
        with telling(self._claim.url):
            self._claim.finish(self.run, code or 0)
