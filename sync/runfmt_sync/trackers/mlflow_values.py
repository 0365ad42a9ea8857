"""A run in MLflow's words: points, params and tags, each a key and what it holds. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runfmt.reading import StoredRun
from runfmt.rows import leaves
from runfmt_sync.trackers import Row, own_summary

__all__ = ["REFUSED", "Translation", "key"]

LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 230, 6000, 8000
"""Characters. MLflow takes keys of 250, of which a tag's prefix needs some; texts that are longer it cuts."""
CHANGED = "config values that changed, and cannot at MLflow"
CUT = "texts that are too long, and are cut"
INFINITE = "infinities, which come back as ±1.797e308"
LATE = "late rows: what stood at their steps stays beside them"
ONLY_HERE = "texts, lists and histograms in rows, which are in metrics.jsonl only"
REFUSED = "files that MLflow does not take"
ROUNDED = "whole numbers that 64 bits of a float do not hold"


def key(name: str) -> str:
    """A name as MLflow takes it: as it is, or else changed, and with a digest behind that no other has."""
    if re.fullmatch(r"[\w .:/-]+", name) and _is_one_path(name) and len(name) <= LONGEST_KEY:
        return name
    plain = re.sub(r"[^\w .:/-]", "_", name)
    if not _is_one_path(plain):
        plain = plain.replace("/", "_").lstrip(".")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: LONGEST_KEY - 9]}-{digest}"


def _is_one_path(name: str) -> bool:
    """Whether a name stays what it is as a path, and leads nowhere else."""
    return posixpath.normpath(name) == name != "." and not name.startswith(("..", "/"))


def _spelled(value: Any) -> str:
    """A value as text, as MLflow's own client has it; lists and objects as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


@dataclass
class Translation:
    """Translates what is to be said of a run.

    ``odd`` has names that MLflow refuses by the tags that tell of them, ``unsaid`` what cannot be said, with
    how often.
    """

    unsaid: Counter[str] = field(default_factory=Counter)
    odd: dict[str, str] = field(default_factory=dict)

    def points(self, rows: Sequence[Row], began: int) -> Iterator[dict[str, Any]]:
        """The numbers of rows; ``began`` is the time of a row without one, in milliseconds."""
        for row in rows:
            when = began if row.time is None else round(row.time * 1000)
            self.unsaid[LATE] += row.is_late
            for path, value in row.values.items():
                if isinstance(value, (int, float)):
                    number = self._number(value)
                    key = self._key(row.name(path))
                    yield {"key": key, "value": number, "step": row.step, "timestamp": when}
                elif value is not None and not _names_a_file(value):
                    self.unsaid[ONLY_HERE] += 1

    def params(self, run: StoredRun, there: Mapping[str, str]) -> dict[str, str]:
        """The config, but for what is there: a param cannot change."""
        config = {
            self._key(path): self._cut(_spelled(value), LONGEST_PARAM) for path, value in leaves(run.config)
        }
        self.unsaid[CHANGED] += sum(there.get(name, text) != text for name, text in config.items())
        return {name: text for name, text in config.items() if name not in there}

    def tags(self, run: StoredRun) -> dict[str, str]:
        """What else describes a run, also what is empty, as it may replace what is there."""
        about, made = run.attributes, run.document.get("environment", {})
        known = {
            "mlflow.note.content": about["notes"],
            "mlflow.user": made.get("user"),
            "mlflow.source.name": made.get("program"),
            "mlflow.source.git.commit": (made.get("git") or {}).get("commit"),
            **{f"runfmt.{name}": about[name] for name in ("project", "group", "job_type")},
            "runfmt.state": run.state(),
            **{f"tag.{key(tag)}": tag for tag in about["tags"]},
        }
        return {name: self._cut(str(text or ""), LONGEST_TAG) for name, text in known.items()}

    def summary(
        self, run: StoredRun, latest: Mapping[str, Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """What the last points there do not say of the summary.

        Numbers that no row has are points at the last step, behind the one that is there; all else is tags.
        """
        points, tags, own = [], dict[str, str](), dict(own_summary(run))
        last = max([row["_step"] for row in run.history().rows[-1:]], default=0)
        for path, value in leaves(run.summary):
            is_number, name = isinstance(value, (int, float)), self._key(path)
            before = latest.get(name, {})
            said = self._number(value) if is_number else None
            if value is None or isinstance(value, dict) or (is_number and said == before.get("value")):
                continue
            if is_number and path in own:
                step = max(last, int(before.get("step", 0)))
                when = max(round(run.newest_line * 1000), int(before.get("timestamp", 0)) + 1)
                points.append({"key": name, "value": said, "step": step, "timestamp": when})
            else:
                tags[f"summary.{name}"] = self._cut(_spelled(value), LONGEST_TAG)
        return points, tags

    def _key(self, name: str) -> str:
        known = key(name)
        if known != name:
            self.odd[f"runfmt.name.{known}"] = name[:LONGEST_TAG]
        return known

    def _number(self, value: float) -> float | str:
        """A number as MLflow has it in JSON, where a bare NaN would become 0."""
        if math.isfinite(value):
            self.unsaid[ROUNDED] += float(value) != value
            return float(value)
        self.unsaid[INFINITE] += math.isinf(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    def _cut(self, text: str, most: int) -> str:
        self.unsaid[CUT] += len(text) > most
        return text[:most]


def _names_a_file(value: Any) -> bool:
    """Whether a value is a medium, whose files come by themselves."""
    return isinstance(value, dict) and ("path" in value or "count" in value)
