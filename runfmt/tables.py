"""Tables of values and media."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runfmt.arrays import is_array, is_of, numpy, to_numpy
from runfmt.errors import MissingLibrary, UsageError
from runfmt.media import Media, Sink
from runfmt.rows import encode_document

__all__ = ["Table"]


class Table(Media):
    """Rows of cells, which may be media.

    ``data`` (or ``rows``) is a list of rows, an array ``(rows, columns)`` or a pandas
    DataFrame; ``dataframe`` a DataFrame. Logging takes the table as it is then; it may
    grow and be logged again. ``dtype``, ``optional``, ``allow_mixed_types`` and
    ``log_mode`` are accepted: any cell may be anything. Raises ``UsageError`` for a row
    of another length than ``columns``.
    """

    type = "table-file"

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = "IMMUTABLE",
        *,
        plot: Mapping[str, Any] | None = None,
    ) -> None:
        data = next((given for given in (dataframe, data, rows) if given is not None), [])
        self.log_mode = log_mode
        self.plot = plot
        self.columns: list[Any] = ["Input", "Output", "Expected"] if columns is None else list(columns)
        self.data: list[list[Any]] = []
        if is_of(type(data), "pandas", "DataFrame"):
            self.columns = list(data.columns)
            # Column by column: a row of a frame would turn its integers into floats.
            data = zip(*(data.iloc[:, index].tolist() for index in range(len(self.columns))), strict=True)
        elif is_array(data):
            data = to_numpy(data, "a table of an array").tolist()
        for row in data:
            self.add_data(*row)

    def add_data(self, *data: Any) -> None:
        """Append a row, of one value a column."""
        if len(data) != len(self.columns):
            raise UsageError(
                f"a row has {len(data)} values and the table {len(self.columns)} columns: {self.columns}"
            )
        self.data.append(list(data))

    def add_row(self, *row: Any) -> None:
        """The same as :meth:`add_data`."""
        self.add_data(*row)

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Append a column, of one value a row; a table without columns takes any number."""
        if name in self.columns:
            raise UsageError(f"the table has a column {name!r} already: choose another name")
        cells = to_numpy(data).tolist() if is_array(data) else list(data)
        rows = self.data if self.columns else [[] for _ in cells]
        if len(cells) != len(rows):
            raise UsageError(f"column {name!r} has {len(cells)} values and the table {len(rows)} rows")
        self.columns.append(name)
        self.data = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]

    def add_computed_columns(self, fn: Callable[[int, dict[Any, Any]], Mapping[str, Any]]) -> None:
        """Append the columns that a function of a row's number and dict gives."""
        added = [fn(index, dict(zip(self.columns, row, strict=True))) for index, row in enumerate(self.data)]
        for name in added[0] if added else ():
            self.add_column(name, [one[name] for one in added])

    def get_column(self, name: Any, convert_to: str | None = None) -> Any:
        """The values of a column, as a list, or with ``convert_to="numpy"`` as an array."""
        if name not in self.columns:
            raise UsageError(f"the table has no column {name!r}, but {self.columns}")
        index = self.columns.index(name)
        cells = [row[index] for row in self.data]
        return numpy("get_column").array(cells) if convert_to == "numpy" else cells

    def get_index(self) -> list[int]:
        """The numbers of the rows."""
        return list(range(len(self.data)))

    def get_dataframe(self) -> Any:
        """The table as a pandas DataFrame."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingLibrary("get_dataframe", "pandas") from None
        return pd.DataFrame.from_records(self.data, columns=self.columns)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Each row with its number."""
        yield from enumerate(self.data)

    def snapshot(self) -> Media:
        from runfmt.values import plain_cells

        columns = [str(name) for name in self.columns]
        return _Snapshot(columns, plain_cells(self.data, self.type), self.plot)

    def to_json(self, key: str, sink: Sink) -> dict[str, Any]:
        return self.snapshot().to_json(key, sink)

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.columns, self.data) == (other.columns, other.data)

    __hash__ = None  # type: ignore[assignment]


class _Snapshot(Media):
    """A table at the time when it was logged, its cells plain but for media."""

    type = Table.type

    def __init__(self, columns: list[str], data: list[list[Any]], plot: Mapping[str, Any] | None) -> None:
        self._columns, self._data, self._plot = columns, data, plot

    def to_json(self, key: str, sink: Sink) -> dict[str, Any]:
        from runfmt.values import stored

        document = {"columns": self._columns, "data": stored(self._data, key, sink)}
        named = sink.put("table", key, encode_document(document, compact=True), "table.json")
        about = {"ncols": len(self._columns), "nrows": len(self._data)}
        return {"_type": self.type, **named, **about, **({"plot": dict(self._plot)} if self._plot else {})}
