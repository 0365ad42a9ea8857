"""Questions in SQL about runs, answered by DuckDB over Parquet files that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

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
        """The rows by column, with NaN and the infinities as in the format's own rows (R035)."""
        return [_without_nonfinite(marked(dict(zip(self.columns, row, strict=True)))) for row in self.rows]


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _without_nonfinite(inner) for key, inner in value.items()}
    return [_without_nonfinite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _distinct(names: list[str]) -> list[str]:
    """Names of columns; those that are there several times are numbered from the second on."""
    return [
        name if name not in names[:at] else f"{name} ({names[:at].count(name) + 1})"
        for at, name in enumerate(names)
    ]


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
            if found is None:
                raise UsageError("there is no question: ask something, as `select * from runs`")
            names = [str(column[0]) for column in found.description or ()]
            return Answer(_distinct(names), found.fetchall())
        except duckdb.Error as error:
            raise UsageError(f"DuckDB says: {error}") from error
