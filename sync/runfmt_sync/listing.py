"""Runs as people and machines want to see them: a table, a page, the raw rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from runfmt.elsewhere import is_url, open_place
from runfmt.errors import FormatError, RunNotFound, UsageError, explain
from runfmt.layout import MAIN, METRICS
from runfmt.reading import StoredRun
from runfmt.rows import encode_document
from runfmt_sync.digests import CHUNK
from runfmt_sync.inventory import committed_size
from runfmt_sync.selection import select_runs
from runfmt_sync.words import printable

__all__ = [
    "describe",
    "lines",
    "list_runs",
    "metric_lines",
    "one_run",
    "print_raw",
    "print_rows",
    "print_table",
    "strict",
]

BARS = 24
"""Places of a curve in one line."""
COLORS = {"running": "cyan", "finished": "green", "preempted": "yellow"}


def list_runs(folders: Iterable[Path], urls: Iterable[str] = ()) -> list[dict[str, Any]]:
    """One object a run, the newest last; a run that must be refused says why."""
    rows = [_row(folder) for folder in folders]
    rows += [_about(run) for url in urls for run in open_place(url).runs()]
    return sorted(rows, key=lambda row: (row["time"], row["id"]))


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"id": folder.absolute().name, "path": str(folder), "time": 0.0}
    try:
        return _about(StoredRun(folder))
    except (FormatError, OSError) as error:
        return {
            **row,
            "state": "refused",
            "name": "",
            "project": "",
            "steps": None,
            "problem": explain(error),
        }


def _about(run: StoredRun) -> dict[str, Any]:
    about = run.attributes
    row = {"id": run.id, "path": run.where, "time": run.newest_line, "uid": run.uid}
    row |= {"name": about["name"], "project": about["project"]}
    return {**row, "state": run.state(), "steps": run.length}


def one_run(where: str) -> StoredRun:
    """The run that a folder or a URL names. Raises ``RunNotFound``, ``UsageError`` for several."""
    found = [*open_place(where).runs()] if is_url(where) else select_runs([where])
    if not found:
        raise RunNotFound(f"no runs in {where}: name a run")
    if len(found) > 1:
        raise UsageError(f"{where} is not one run but {len(found)}: `runfmt ls {where}` lists them")
    return found[0] if isinstance(found[0], StoredRun) else StoredRun(found[0])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print runs as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("run", "name", "project", "state"):
        table.add_column(title, overflow="fold")
    for title in ("steps", "age"):
        table.add_column(title, justify="right")
    now = time.time()
    for row in rows:
        color = COLORS.get(row["state"], "red")
        steps = "" if row["steps"] is None else f"{row['steps']:,}"
        plain = [_plain(row[key]) for key in ("id", "name", "project")]
        table.add_row(*plain, f"[{color}]{row['state']}[/]", steps, _age(now - row["time"]))
    Console(highlight=False).print(table)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print what was asked for as a table; numbers stand to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(columns):
        is_number = all(isinstance(row[number], (int, float, type(None))) for row in rows)
        table.add_column(_plain(title), justify="right" if is_number and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else _plain(str(cell)) for cell in row))
    Console(highlight=False).print(table)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))


def _age(seconds: float) -> str:
    for length, unit in ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def describe(run: StoredRun, writer: str) -> dict[str, Any]:
    """All of a run but its rows."""
    _stream_of(run, writer)
    return {
        **run.attributes,
        "id": run.id,
        "path": run.where,
        "state": run.state(),
        "config": run.config,
        "summary": run.summary,
        "writers": list(run.writers),
        "rows": len(run.history(writer).rows),
        "files": run.files,
        "problems": [str(problem) for problem in run.problems],
    }


def strict(about: dict[str, Any]) -> dict[str, Any]:
    """A description in strict JSON, NaN and the infinities as in the run's documents (R090)."""
    return about | {key: orjson.loads(encode_document(about[key])) for key in ("config", "summary")}


def lines(about: dict[str, Any]) -> Iterator[str]:
    """A description for people: one line a value, what is empty left out, files only counted."""
    for key, value in (about | {"files": len(about["files"])}).items():
        if isinstance(value, dict) and value:
            yield f"{key}:"
            yield from (f"  {name}: {item}" for name, item in value.items())
        elif key == "problems" and value:
            yield "problems:"
            yield from (f"  {problem}" for problem in value)
        elif isinstance(value, list) and value:
            yield f"{key}: {', '.join(map(str, value))}"
        elif value not in (None, "", [], {}):
            yield f"{key}: {value}"


def metric_lines(run: StoredRun, writer: str) -> Iterator[str]:
    """The numbers of a run: first, last, least and greatest of each metric, and what it looks like."""
    from runfmt.scales import number
    from runfmt_sync.measured import opened
    from runfmt_sync.terminal import sparkline

    index = opened(run)
    keys = [key for key in index.numbers(writer=writer) if not key.startswith("_")]
    if not keys:
        return
    rows = [["", "first", "last", "min", "max", ""]]
    for key in keys:
        values = index.column(key, writer=writer).value
        finite = values[abs(values) < float("inf")]
        odd = f"  {len(values) - len(finite):,} not finite" if len(finite) < len(values) else ""
        ends = [values[0], values[-1], *([finite.min(), finite.max()] if len(finite) else [])]
        said = [number(float(value)) for value in ends]
        rows.append([key, *said, *[""] * (4 - len(said)), sparkline(values, BARS) + odd])
    yield "metrics:"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for key, *numbers, bars in rows:
        cells = "  ".join(f"{text:>{width}}" for text, width in zip(numbers, widths[1:-1], strict=True))
        yield f"  {key:<{widths[0]}}  {cells}  {bars}".rstrip()


def print_raw(run: StoredRun, writer: str) -> None:
    """Print the committed prefix of a metrics stream (R020)."""
    output = sys.stdout.buffer
    with open(run.path / _stream_of(run, writer), "rb") as stream:
        left = committed_size(stream)
        stream.seek(0)
        while left and (chunk := stream.read(min(left, CHUNK))):
            output.write(chunk)
            left -= len(chunk)


def _stream_of(run: StoredRun, writer: str) -> str:
    """The metrics stream of a writer; a run may have none of the main one."""
    if writer not in run.writers and (run.writers or writer != MAIN):
        known = ", ".join(run.writers) or "none"
        raise UsageError(f"{run.path} has no metrics of a writer {writer}; there is: {known}")
    return run.writers.get(writer, METRICS)
