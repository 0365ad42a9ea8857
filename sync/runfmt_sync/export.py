"""Metrics or run tables as Parquet, CSV or JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runfmt.documents import replace
from runfmt.errors import UsageError
from runfmt.frames import ABOUT, AnyPath, read_metrics, read_runs, readable_runs
from runfmt.rows import encode, escape, is_leaf

__all__ = ["export"]


def export(
    paths: Sequence[AnyPath], output: Path, *, runs: bool = False, keys: list[str] | None = None
) -> int:
    """Write the metrics, or with ``runs`` the table of runs, and give the number of rows.

    The ending of ``output`` says the form: ``.parquet``, ``.csv`` or ``.jsonl``. NaN and
    infinities survive in each; in ``.jsonl`` rows and runs are nested as they are on disk.
    Raises ``UsageError`` for another ending.
    """
    frames = {".parquet": _parquet, ".csv": _csv}
    if output.suffix == ".jsonl":
        records = list(_run_records(paths) if runs else _row_records(paths, keys))
        replace(output, b"".join(encode(record, normal=True) for record in records))
        return len(records)
    if output.suffix not in frames:
        raise UsageError(f"{output} ends in none of .parquet, .csv, .jsonl: name the output by its form")
    frame = _joined([read_runs(path) if runs else _metrics(path, keys) for path in paths])
    replace(output, frames[output.suffix](frame))
    return len(frame)


def _metrics(path: AnyPath, keys: list[str] | None) -> Any:
    frame = read_metrics(path, keys=keys)
    return frame.reset_index(level="run") if "run" in frame.index.names else frame


def _joined(frames: list[Any]) -> Any:
    import pandas as pd

    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _parquet(frame: Any) -> bytes:
    data: bytes = frame.to_parquet(index=False)
    return data


def _csv(frame: Any) -> bytes:
    text: str = frame.to_csv(index=False, na_rep="NaN")
    return text.encode()


def _row_records(paths: Sequence[AnyPath], keys: list[str] | None) -> Iterator[dict[str, Any]]:
    """The logical rows in the format's own notation, with the run where there are several paths or runs."""
    runs = readable_runs(paths)
    for run in runs:
        for row in run.history().rows:
            head = {"run": run.id} if len(runs) > 1 else {}
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
            "path": str(run.path),
            "config": run.config,
            "summary": run.summary,
        }
