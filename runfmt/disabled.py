"""The run of ``mode="disabled"``: the same names as any run, and nothing is written."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runfmt.config import Config
from runfmt.documents import temporary_folder
from runfmt.rows import split_path
from runfmt.run import Run, document_of
from runfmt.settings import Settings, generate_id, random_name
from runfmt.steps import StepMetrics, put
from runfmt.summary import Definition

__all__ = ["DisabledRun"]


class DisabledRun(Run):
    """Takes everything that a run takes, and raises nothing.

    The config, and in the summary the values that were logged last, are kept in memory.
    ``directory`` is made when somebody asks for it, as trainers write into ``dir``, and is
    removed with the run.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.resumed = False
        self.config = Config(self._nothing, self._nothing, allow_val_change=True)
        run_id = settings.id or generate_id()
        self._document = document_of(settings, run_id, settings.name or random_name(1))
        self._writer = settings.writer
        self._lock = threading.RLock()
        self._step, self._step_is_open, self._first_step = 0, False, 0
        self._finished = self._forked = False
        self._step_metrics = StepMetrics()
        self._values: dict[str, Any] = {}

    @functools.cached_property
    def directory(self) -> Path:  # type: ignore[override]
        """A folder of the system's for what the trainer itself writes."""
        return temporary_folder(self)

    def _is_gone(self) -> bool:
        """There is nothing on disk that could be moved."""
        return False

    def log(self, data: Any = None, step: Any = None, commit: bool | None = None, sync: Any = None) -> None:
        """Count the step, and keep the values for the summary."""
        at = step if isinstance(step, int) else self._step
        self._advance(at, commit=commit if commit is not None else step is None)
        if isinstance(data, Mapping):
            self._values.update(data)

    def define_metric(self, name: str, *_: Any, **__: Any) -> Definition:
        """Mean nothing."""
        return Definition(str(name))

    def save(self, *_: Any, **__: Any) -> list[str]:
        """Copy nothing."""
        return []

    def log_artifact(self, artifact_or_path: Any, *_: Any, **__: Any) -> Any:
        """Give the artifact back, whose files stay where they are."""
        from runfmt.artifacts import Artifact

        known = isinstance(artifact_or_path, Artifact)
        return artifact_or_path if known else Artifact("disabled", "disabled")

    def log_model(self, path: Any, *_: Any, **__: Any) -> Any:
        """Copy nothing."""
        return self.log_artifact(path)

    def use_artifact(self, artifact_or_name: Any, *_: Any, **__: Any) -> Any:
        """Find what other runs logged, as any run does."""
        from runfmt.artifacts import use_artifact

        return use_artifact(self.settings.root, artifact_or_name)

    def link_artifact(self, artifact: Any, *_: Any, **__: Any) -> Any:
        """Give the artifact back."""
        return self.log_artifact(artifact)

    def link_model(self, path: Any, *_: Any, **__: Any) -> Any:
        """Copy nothing."""
        return self.log_artifact(path)

    def finish(self, *_: Any, **__: Any) -> None:
        """End the run."""
        from runfmt import session

        self._finished = True
        session.forget(self, 0, quiet=True)

    def _may_write(self, what: str) -> bool:
        return True

    join = finish

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    log_code = watch = unwatch = alert = mark_preempting = _nothing
    _write_document = _sync_streams = _settle = _in_child = _nothing

    def _summary_tree(self) -> dict[str, Any]:
        return self._values

    def _known_paths(self, tops: list[str]) -> list[str]:
        return []

    def _say_summary(self, sets: dict[str, Any], deletes: list[str]) -> None:
        for path in deletes:
            *above, key = split_path(path)
            functools.reduce(lambda tree, name: tree.get(name, {}), above, self._values).pop(key, None)
        for path, value in sets.items():
            put(self._values, split_path(path), value)

    def _normalise(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return dict(data)
