"""Metrics or run tables as Parquet, CSV or JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from runfmt.columns import gather
from runfmt.documents import replace
from runfmt.errors import UsageError, warn
from runfmt.frames import ABOUT, AnyPath, readable_runs, warn_of_losses
from runfmt.rows import encode, escape, is_leaf, leaves

__all__ = ["export"]

HEAD = ["run", "_step", "_timestamp"]
TIMES = ("created_at", "finished_at")


def export(
    paths: Sequence[AnyPath], output: Path, *, runs: bool = False, keys: list[str] | None = None
) -> int:
    """Write the metrics, or with ``runs`` the table of runs, and give the number of rows.

    The ending of ``output`` says the form: ``.parquet``, ``.csv`` or ``.jsonl``. NaN, infinities
    and integers survive in each, and a missing value is none of them: null, an empty cell, absent.
    In ``.jsonl`` rows and runs are nested as they are on disk; in the others a column is a path, and
    what no column can hold is JSON text. Raises ``UsageError`` for another ending.
    """
    if output.suffix not in (".parquet", ".csv", ".jsonl"):
        raise UsageError(f"{output} ends in none of .parquet, .csv, .jsonl: name the output by its form")
    records = list(_run_records(paths) if runs else _row_records(paths, keys))
    if keys and not runs:
        seen = {path for record in records for path, _ in leaves(record)}
        if unknown := [key for key in keys if key not in seen]:
            warn(f"no run has a value of {', '.join(unknown)}: look at the columns without keys")
    if output.suffix == ".jsonl":
        data = b"".join(encode(record, normal=True) for record in records)
    else:
        columns = _columns(records, ABOUT if runs else [*HEAD, *(keys or [])])
        data = _csv(columns) if output.suffix == ".csv" else _parquet(columns, TIMES if runs else ())
    replace(output, data)
    return len(records)


# What is written


def _row_records(paths: Sequence[AnyPath], keys: list[str] | None) -> Iterator[dict[str, Any]]:
    """The logical rows in the format's own notation, with the run where there are several paths or runs."""
    runs = readable_runs(paths)
    for run in runs:
        history = run.history()
        warn_of_losses(run.where, history.problems)
        for row in history.rows:
            head = {"run": run.id} if len(runs) > 1 else {}
            if head.keys() & row.keys():
                raise UsageError(f"{run.where} has a metric `run`: export each run by itself")
            if keys is None:
                yield {**head, **row}
            elif kept := _only(row, keys):
                yield {**head, **{key: row[key] for key in ("_step", "_timestamp") if key in row}, **kept}


def _only(tree: dict[str, Any], keys: list[str], prefix: str = "") -> dict[str, Any]:
    """What of a row is under one of the paths, without nulls."""
    kept = {}
    for key, value in tree.items():
        path = prefix + escape(key)
        if not is_leaf(value):
            value = _only(value, keys, path + ".") or None  # noqa: PLW2901
        elif path not in keys:
            continue
        if value is not None:
            kept[key] = value
    return kept


def _run_records(paths: Sequence[AnyPath]) -> Iterator[dict[str, Any]]:
    for run in readable_runs(paths):
        about = {name: run.attributes.get(name) for name in ABOUT}
        yield {
            **about,
            "id": run.id,
            "state": run.state(),
            "path": run.where,
            "config": run.config,
            "summary": run.summary,
        }


# Tables


def _columns(records: list[dict[str, Any]], order: Sequence[str]) -> dict[str, list[Any]]:
    """The values by path: first those of ``order`` that are there, the others sorted."""
    found = gather(dict(leaves(record)) for record in records)
    return {path: found[path] for path in dict.fromkeys([*order, *sorted(found)]) if path in found}


def _csv(columns: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_cell, column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return _text(value)
    return "NaN" if value != value else value


def _parquet(columns: dict[str, list[Any]], times: Iterable[str]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    arrays = {path: _array(column) for path, column in columns.items()}
    arrays |= {name: _times(arrays[name]) for name in times}
    buffer = io.BytesIO()
    parquet.write_table(pa.table(arrays), buffer)
    return buffer.getvalue()


def _array(values: list[Any]) -> Any:
    """Values as an array of the type that holds them all; as JSON text, if there is none."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError):
        if {type(value) for value in values} <= {int, float, type(None)}:
            return pa.array([value if value is None else float(value) for value in values])
    else:
        # Parquet has no object without members.
        if "struct<>" not in str(array.type):
            return array.cast(pa.float64()) if array.type == pa.null() else array
    return pa.array([value if value is None else _text(value) for value in values])


def _times(column: Any) -> Any:
    """Times as Parquet has them, or the texts where one is no time."""
    import pyarrow as pa

    try:
        return column.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowException:
        return column


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
