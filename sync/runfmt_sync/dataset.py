"""Runs as Parquet files for queries: a file of points a run, and a table of runs.

The files are made of runs and can be made again; nothing is in them alone. A file of points says of
which streams it was made, so that only runs that went on are read again.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from runfmt.documents import replace, temporary_beside
from runfmt.frames import ABOUT, AnyPath, readable_runs, warn_of_losses
from runfmt.layout import is_uid
from runfmt.reading import StoredRun
from runfmt.rows import encode_document
from runfmt_sync.index.runs import RunIndex
from runfmt_sync.state import index_folder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["runs_table", "unique_runs", "write_dataset", "write_points"]

RUNS = "runs.parquet"
POINTS = "metrics"
MADE_OF = b"runfmt.streams"
"""Under which a file says its streams and their sizes."""
GROUP = 2**20
"""Rows of a row group: what a reader skips as a whole, if it is of another metric."""


def write_dataset(paths: Sequence[AnyPath], folder: Path) -> tuple[int, int]:
    """Bring a folder of Parquet up to date with runs; gives how many there are, and how many were written.

    ``runs.parquet`` has a row a run, ``metrics/<uid>.parquet`` a row a point. Files of other runs go.
    """
    from pyarrow import parquet

    runs = unique_runs(paths)
    (folder / POINTS).mkdir(parents=True, exist_ok=True)
    places = {uid: folder / POINTS / f"{uid}.parquet" for uid in runs}
    written = sum(write_points(run, places[uid]) for uid, run in runs.items())
    for path in (folder / POINTS).glob("*.parquet"):
        if path not in places.values() and is_uid(path.stem):
            path.unlink()
    table = io.BytesIO()
    parquet.write_table(runs_table(runs.values()), table)
    replace(folder / RUNS, table.getvalue())
    return len(runs), written


def unique_runs(paths: Sequence[AnyPath]) -> dict[str, StoredRun]:
    """The readable runs in folders and behind URLs, by uid; of copies the first."""
    runs: dict[str, StoredRun] = {}
    for run in readable_runs(paths):
        runs.setdefault(_uid(run), run)
    return runs


def _uid(run: StoredRun) -> str:
    """The uid, or for a damaged run one of the place where it lies."""
    return run.uid or str(uuid5(NAMESPACE_URL, run.where))


def runs_table(runs: Iterable[StoredRun]) -> pa.Table:
    """A row a run: who, what and when, and as JSON text the config and the summary, edits laid over."""
    import pyarrow as pa

    texts = dict.fromkeys((*ABOUT, "uid", "config", "summary"), pa.string())
    kinds = {"tags": pa.list_(pa.string()), "exit_code": pa.int64()}
    times = dict.fromkeys(("created_at", "finished_at"), pa.timestamp("us", tz="UTC"))
    schema = pa.schema((texts | kinds | times).items())
    return pa.Table.from_pylist([_run_row(run) for run in runs], schema=schema)


def _run_row(run: StoredRun) -> dict[str, Any]:
    said = {name: run.attributes.get(name) for name in ABOUT}
    rows = {"id": run.id, "uid": _uid(run), "state": run.state(), "path": run.where}
    tags = [tag for tag in said["tags"] or () if isinstance(tag, str)]
    documents = {
        name: encode_document(document, compact=True).decode().strip()
        for name, document in (("config", run.config), ("summary", run.summary))
    }
    code = said["exit_code"]  # which others may have written
    said["exit_code"] = int(code) if isinstance(code, int) and abs(code) < 2**63 else None
    moments = {name: _moment(said[name]) for name in ("created_at", "finished_at")}
    return {**said, **rows, "tags": tags, **documents, **moments}


def _moment(text: Any) -> Any:
    """A time of ``run.json``, or nothing."""
    from datetime import datetime, timezone

    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def write_points(run: StoredRun, path: Path) -> bool:
    """Write the numbers of a run, sorted by writer, key and step, if they are not what is there.

    Columns: ``uid``, ``writer``, ``key`` (the path as in ``read_metrics``), ``step``, ``time`` (Unix
    seconds), ``value``. NaN and infinities are values. Memory is bounded by one metric.
    """
    from pyarrow import parquet

    made_of = _made_of(run)
    if _is_made_of(path, made_of):
        return False
    schema = _schema().with_metadata({MADE_OF: made_of})
    temporary = temporary_beside(path)
    try:
        with parquet.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=TEXTS) as writer:
            for table in _gathered(_points(run, schema), schema):
                writer.write_table(table, row_group_size=max(len(table), 1))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _is_made_of(path: Path, made_of: bytes) -> bool:
    """Whether a file is there, is whole, and was made of these streams."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return (parquet.read_schema(path).metadata or {}).get(MADE_OF) == made_of
    except (FileNotFoundError, pa.ArrowException):
        return False


TEXTS = ["uid", "writer", "key"]


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = {"step": pa.int64(), "time": pa.float64(), "value": pa.float64()}
    return pa.schema((dict.fromkeys(TEXTS, pa.string()) | numbers).items())


def _made_of(run: StoredRun) -> bytes:
    """The streams of a run with size and time: others, and it is read anew."""
    found = {}
    for name in sorted(run.writers.values()):
        status = os.stat(run.path / name)
        found[name] = [status.st_size, status.st_mtime_ns]
    return json.dumps(found).encode()


def _points(run: StoredRun, schema: pa.Schema) -> Iterator[pa.Table]:
    """The points of each metric of each writer."""
    import pyarrow as pa

    index = RunIndex(run.path, index_folder())
    index.refresh()
    warn_of_losses(run.where, index.problems())
    for writer in index.writers():
        for key in index.numbers(writer=writer):
            step, time, value = index.column(key, writer=writer)
            words = [pa.repeat(text, len(step)) for text in (_uid(run), writer, key)]
            numbers = [pa.array(step), pa.array(time, from_pandas=True), pa.array(value)]
            yield pa.Table.from_arrays([*words, *numbers], schema=schema)


def _gathered(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Small tables together, so that a row group is worth its head."""
    import pyarrow as pa

    waiting, rows = [schema.empty_table()], 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        if rows >= GROUP:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
