"""What the server tells of what it did: counters for Prometheus, and a line a write for who asks later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Audit", "Counters"]

Labels = tuple[tuple[str, str], ...]
HELP = {
    "runfmt_requests_total": "Requests that were answered.",
    "runfmt_received_bytes_total": "Bytes of bundles, as sent.",
    "runfmt_applied_extents_total": "Extents of bundles that were taken, or had been there.",
    "runfmt_applied_bytes_total": "Bytes of these extents.",
    "runfmt_refused_runs_total": "Runs of which a bundle's part was refused.",
    "runfmt_apply_seconds_total": "Seconds in which bundles were applied.",
    "runfmt_runs": "Runs that are there.",
}


class Counters:
    """Numbers that only grow, by name and labels; may be used by several threads."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._lock = threading.Lock()

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Count something on."""
        with self._lock:
            key = name, tuple(labels.items())
            self._values[key] = self._values.get(key, 0) + value

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of them, and ``gauges``, which also fall, in Prometheus' text format 0.0.4."""
        with self._lock:
            values = dict(self._values)
        values |= {(name, ()): value for name, value in gauges.items()}
        lines: list[str] = []
        for name, text in HELP.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += _samples(name, ((labels, value) for (of, labels), value in values.items() if of == name))
        return "\n".join(lines) + "\n"


def _samples(name: str, values: Iterable[tuple[Labels, float]]) -> list[str]:
    lines = []
    for labels, value in sorted(values):
        said = ",".join(f'{key}="{text}"' for key, text in labels)
        lines.append(f"{name}{{{said}}} {value:g}" if said else f"{name} {value:g}")
    return lines or ([f"{name} 0"] if name != "runfmt_requests_total" else [])


class Audit:
    """``audit.jsonl``: a line for each run that a request changed. It may be rotated at any time."""

    def __init__(self, path: Path) -> None:
        self._logger = logging.Logger("runfmt.audit", logging.INFO)
        handler = WatchedFileHandler(path, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger.addHandler(handler)

    def wrote(self, caller: str, what: str, uid: str, **more: Any) -> None:
        """Say who changed which run, and how."""
        time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {"time": time, "caller": caller, "what": what, "uid": uid, **more}
        self._logger.info(orjson.dumps(line).decode())

    def close(self) -> None:
        """Close the file."""
        for handler in self._logger.handlers:
            handler.close()
