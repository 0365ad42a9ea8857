"""Questions in SQL about runs, answered by DuckDB over Parquet files that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from runfmt.errors import MissingLibrary, UsageError
from runfmt.frames import AnyPath
from runfmt.rows import marked
from runfmt_sync.dataset import runs_table, unique_runs, write_points
from runfmt_sync.state import state_folder

__all__ = ["Answer", "query"]


@dataclass(frozen=True)
class Answer:
    """The names of the columns, and the rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The rows as plain JSON, with NaN and the infinities as in the format's own rows (R035)."""
        named = (dict(zip(self.columns, row, strict=True)) for row in self.rows)
        return [orjson.loads(orjson.dumps(marked(row), default=str)) for row in named]


def query(sql: str, paths: Sequence[AnyPath]) -> Answer:
    """Ask about the runs in folders and behind URLs.

    The tables are ``runs``, a row a run, and ``metrics``, a row a point, both as
    :mod:`runfmt_sync.dataset` makes them; ``metrics`` has the run's ``id`` in ``run`` too. Raises
    ``UsageError`` with what DuckDB says of a question that it cannot answer.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingLibrary("runfmt query", "'runfmt[query]'") from error
    runs = unique_runs(paths)
    folder = state_folder() / "parquet"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{uid}.parquet" for uid in runs]
    for path, run in zip(files, runs.values(), strict=True):
        write_points(run, path)
    with duckdb.connect() as database:
        database.execute("set timezone = 'UTC'")
        database.register("runs", runs_table(runs.values()))
        database.execute(f"create view points as from read_parquet({[*map(str, files)]})")
        database.execute(
            "create view metrics as select runs.id as run, points.* from points join runs using (uid)"
        )
        try:
            found = database.execute(sql)
            return Answer([str(column[0]) for column in found.description or ()], found.fetchall())
        except duckdb.Error as error:
            raise UsageError(f"DuckDB says: {error}") from error
