"""Runs of Trackio: a project is a SQLite file, with the media in a folder beside it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from runfmt.layout import is_safe
from runfmt.media import Histogram
from runfmt.tables import Table
from runfmt_sync.importing.old import OldRow, OldRun, medium

__all__ = ["find"]

KINDS = {
    "trackio.image": "image-file",
    "trackio.audio": "audio-file",
    "trackio.video": "video-file",
    "trackio.html": "html-file",
    "trackio.object3d": "object3D-file",
}
WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""What Trackio writes for numbers that JSON has not."""


def find(folder: Path, names: Iterable[str]) -> Iterable[OldRun] | None:
    """The runs of the projects whose files lie in a folder."""
    paths = (folder / name for name in sorted(names) if name.endswith(".db"))
    projects = [path for path in paths if _is_project(path)]
    return (run for path in projects for run in _read_project(path)) if projects else None


def _is_project(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(15) != b"SQLite format 3":
            return False
    with closing(_open(path)) as database:
        found = {name for (name,) in database.execute("select name from sqlite_master")}
    return {"metrics", "configs"} <= found


def _open(path: Path) -> sqlite3.Connection:
    log = path.with_name(f"{path.name}-wal")
    is_quiet = not (log.exists() and log.stat().st_size)  # then SQLite need not even touch what lies beside
    return sqlite3.connect(f"{path.absolute().as_uri()}?{'immutable=1' if is_quiet else 'mode=ro'}", uri=True)


def _read_project(path: Path) -> Iterator[OldRun]:
    """The runs of a project."""
    with closing(_open(path)) as database:
        names = database.execute(
            "select run_id, max(run_name), min(timestamp), max(timestamp) from metrics group by run_id"
        )
        runs = [_run(path, database, *found) for found in names]
    yield from runs


def _run(path: Path, database: sqlite3.Connection, run_id: str, name: str, first: str, last: str) -> OldRun:
    run = OldRun(f"trackio:{path.stem}/{run_id}", name)
    run.about = {"project": path.stem, "name": name}
    run.started, run.ended = _seconds(first), _seconds(last)
    for (text,) in database.execute("select config from configs where run_id = ?", [run_id]):
        config = _restored(json.loads(text))
        run.about |= {"group": config.get("_Group") or ""}
        run.config = {key: value for key, value in config.items() if not key.startswith("_")}
        run.environment = {"user": config["_Username"]} if config.get("_Username") else {}
    run.system = [
        {"_timestamp": _seconds(time), **_restored(json.loads(text))}
        for time, text in _select(database, "system_metrics", "timestamp, metrics", run_id)
    ]
    for time, title, text, level in _select(database, "alerts", "timestamp, title, text, level", run_id):
        about = {"title": title, "text": text or "", "level": level.upper()}
        run.events.append({"_timestamp": _seconds(time), "event": "alert", **about})
    run.rows = _rows(path, run_id, run)
    return run


def _select(database: sqlite3.Connection, table: str, columns: str, run_id: str) -> list[Any]:
    """Rows of a table that older projects have not."""
    if not database.execute("select 1 from sqlite_master where name = ?", [table]).fetchone():
        return []
    query = f"select {columns} from {table} where run_id = ? order by id"  # noqa: S608 - our own words
    return database.execute(query, [run_id]).fetchall()


def _rows(path: Path, run_id: str, run: OldRun) -> Iterator[OldRow]:
    with closing(_open(path)) as database:
        query = "select step, timestamp, metrics from metrics where run_id = ? order by id"
        for step, time, text in database.execute(query, [run_id]):
            values = json.loads(text)
            yield (
                step,
                _seconds(time),
                {key: _value(path, run, key, one) for key, one in values.items()},
            )


def _value(path: Path, run: OldRun, key: str, value: Any) -> Any:
    """A value as our own client would take it."""
    kind = value.get("_type") if isinstance(value, Mapping) else None
    if kind in KINDS:
        source = path.parent / "media" / value["file_path"]
        if not is_safe(value["file_path"]) or not source.is_file():
            run.losses.append(f"{key!r}, whose file {source} is not there")
            return None
        return medium(KINDS[kind], source, source.suffix[1:], value.get("caption"))
    if kind == "trackio.table":
        rows = value["_value"]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_value(path, run, key, row.get(name)) for name in columns] for row in rows]
        return Table(columns=columns, data=cells)
    if kind == "trackio.histogram":
        return Histogram(np_histogram=(value["values"], value["bins"])) if value["values"] else None
    if kind == "trackio.markdown":
        return value["_value"]
    return _restored(value)


def _restored(value: Any) -> Any:
    """The numbers that stand as words."""
    if isinstance(value, dict):
        return {key: _restored(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_restored(inner) for inner in value]
    return WORDS.get(value, value) if isinstance(value, str) else value


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
