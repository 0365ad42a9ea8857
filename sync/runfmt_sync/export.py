"""Metrics or run tables as Parquet, CSV or JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from runfmt.documents import replace
from runfmt.errors import UsageError
from runfmt.frames import read_metrics, read_runs
from runfmt.rows import encode

__all__ = ["export"]


def export(
    paths: Sequence[str | PathLike[str]], output: Path, *, runs: bool = False, keys: list[str] | None = None
) -> int:
    """Write the metrics, or with ``runs`` the table of runs, and give the number of rows.

    The ending of ``output`` says the form: ``.parquet``, ``.csv`` or ``.jsonl``. NaN and
    infinities survive in each. Raises ``UsageError`` for another ending.
    """
    writers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if output.suffix not in writers:
        raise UsageError(f"{output} ends in none of {', '.join(writers)}: name the output by its form")
    frame = _joined([read_runs(path) if runs else _metrics(path, keys) for path in paths])
    replace(output, writers[output.suffix](frame))
    return len(frame)


def _metrics(path: str | PathLike[str], keys: list[str] | None) -> Any:
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


def _jsonl(frame: Any) -> bytes:
    return b"".join(encode(row, normal=True) for row in frame.to_dict(orient="records"))
