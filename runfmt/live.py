"""The summary of a run that is being written.

``LiveSummary`` follows the main stream line by line, and reads the stream again
where following is not enough: after a rewind, a late definition, a step out of
order. So it is at any time what a reader would compute (R080-R088).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runfmt.errors import FormatError
from runfmt.history import is_step, read_history, read_lines
from runfmt.rows import CONTROL, decode, escape, leaves, merge
from runfmt.summary import Aggregate, Definitions, HandValues, summarise

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["LiveSummary", "Summary", "last_step"]


class LiveSummary:
    """Not thread-safe but for :meth:`put`; the run holds its lock around the rest."""

    def __init__(self, stream: Path) -> None:
        self.path = stream
        self._lines: deque[bytes] = deque()
        self._reset(Definitions())

    def _reset(self, definitions: Definitions, hand: HandValues | None = None) -> None:
        self.definitions = definitions
        self._hand = hand or HandValues()
        self._aggregate = Aggregate(definitions)
        self._open: dict[str, Any] | None = None
        self._closed = -1
        self._stale = False

    def put(self, line: bytes) -> None:
        """Note a line that was appended; it is folded later."""
        self._lines.append(line)

    def distrust(self) -> None:
        """Others have written to the stream: what was followed is not all of it."""
        self._stale = True

    @property
    def is_stale(self) -> bool:
        """Whether the next look must read the stream again."""
        return self._stale

    def recompute(self, step: int) -> dict[str, Any]:
        """The summary, from the stream itself; needs no lock on a summary of one's own."""
        self._read_again(step)
        return self.result(step)

    def fold(self, lines: int | None = None) -> bool:
        """Fold at most so many of the waiting lines, or all; says whether some still wait."""
        for _ in range(len(self._lines) if lines is None else min(lines, len(self._lines))):
            line = self._lines.popleft()
            if not self._stale:
                self._take(decode(line)[0])
        return bool(self._lines)

    def _take(self, row: dict[str, Any], *, defined: bool = False) -> None:
        """Take a row; ``defined`` says that all definitions of the stream are known already."""
        step = row["_step"]
        controls = [(key, row.pop(key)) for key in CONTROL if key in row]
        for key, value in controls:
            self._control(step, key, value, defined)
        if controls and row.keys() <= {"_step", "_timestamp"}:
            return
        self._hand.logged(step, row)
        opened = self._open["_step"] if self._open else -1
        if step <= self._closed or step < opened:
            self._stale = True
        elif self._open is not None and step == opened:
            merge(self._open, row)
        else:
            self.close(step)
            self._open = row

    def _control(self, step: int, key: str, value: Any, defined: bool) -> None:
        if key == "_summary":
            self._hand.take(step, value)
        elif key == "_define" and not defined:
            self.definitions.take(value)
            # A definition covers earlier rows too (R085).
            self._stale = self._stale or self._closed >= 0
        elif key == "_rewind":
            self._stale = True

    def close(self, step: int) -> None:
        """Count the open row if its step is below this one."""
        if self._open is not None and self._open["_step"] < step:
            self._aggregate.add(self._open)
            self._closed, self._open = self._open["_step"], None

    def result(self, step: int) -> dict[str, Any]:
        """The summary of all rows with steps below this one."""
        self.fold()
        if self._stale:
            self._read_again(step)
        self.close(step)
        return summarise(self._aggregate, self._hand)

    def last_value(self, path: str, step: int) -> Any:
        """The latest value of a metric, None if there is none."""
        self.result(step)
        found = [dict(leaves(row)).get(path) for row in (self._open or {}, self._aggregate.plain)]
        return next((value for value in found if value is not None), None)

    def _read_again(self, step: int) -> None:
        """Fold the stream from its beginning: row by row, or as a whole if its steps go down."""
        self._reset(_definitions_in(self.path))
        for line in _good_lines(self.path):
            self._take(line, defined=True)
            if self._stale:
                self._read_whole(step)
                return

    def _read_whole(self, step: int) -> None:
        with open(self.path, "rb") as stream:
            history = read_history(stream)
        self._reset(history.definitions, history.hand)
        for row in history.rows:
            if row["_step"] >= step:
                self._open = row
                break
            self._aggregate.add(row)
            self._closed = row["_step"]


def _good_lines(stream: Path, containing: bytes = b"") -> Iterator[dict[str, Any]]:
    """The rows of a stream that a reader would take, of the lines that contain some bytes."""
    with open(stream, "rb") as file:
        for _, line in read_lines(file):
            if line and containing in line:
                with suppress(FormatError):
                    row = decode(line)[0]
                    if is_step(row.get("_step")):
                        yield row


def last_step(stream: Path) -> int:
    """The step after which a resumed run goes on, -1 if the stream has no row."""
    last = -1
    for row in _good_lines(stream):
        if "_rewind" in row:
            last = min(last, row["_rewind"])
        elif not any(key in row for key in CONTROL):
            last = max(last, int(row["_step"]))
    return last


def _definitions_in(stream: Path) -> Definitions:
    definitions = Definitions()
    for row in _good_lines(stream, b'"_define"'):
        definitions.take(row.get("_define"))
    return definitions


class Summary(MutableMapping[str, Any]):
    """``run.summary``: reads as a nested dict; what is set is in the stream when the statement returns."""

    def __init__(self, run: Run, keys: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_run", run)
        object.__setattr__(self, "_keys", keys)

    def _tree(self) -> dict[str, Any]:
        tree: Any = self._run._summary_tree()
        for key in self._keys:
            tree = tree.get(key) if isinstance(tree, dict) else None
        return tree if isinstance(tree, dict) else {}

    def _path(self, key: str) -> str:
        return ".".join(escape(part) for part in (*self._keys, key))

    def __getitem__(self, key: str) -> Any:
        value = self._tree()[key]
        nested = isinstance(value, dict) and "_type" not in value
        return Summary(self._run, (*self._keys, key)) if nested else value

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        value = self._tree()[key]
        self._run._say_summary({}, [path for path, _ in leaves({key: value}, self._prefix())])

    def _prefix(self) -> str:
        return "".join(escape(part) + "." for part in self._keys)

    def update(self, *others: Any, **values: Any) -> None:
        """Set several keys in one row of the stream."""
        tree, new = self._tree(), dict(*others, **values)
        plain = self._run._normalise(new)
        sets = dict(leaves(plain, self._prefix()))
        there = leaves({key: tree[key] for key in plain if key in tree}, self._prefix())
        self._run._say_summary(sets, [path for path, _ in there if path not in sets])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree())

    def __len__(self) -> int:
        return len(self._tree())

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"the summary has no {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        del self[key]

    def __repr__(self) -> str:
        return repr(self._tree())
