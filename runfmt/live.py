"""The summary of a run that is being written.

``LiveSummary`` follows the main stream line by line, and reads the stream again
where following is not enough: after a rewind, a late definition with statistics, a
value that changes statistics of the past. So it is at any time what a reader would
compute (R080-R088), and a counter that lags behind another costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from runfmt.errors import FormatError
from runfmt.history import is_step, read_history, read_lines
from runfmt.rows import CONTROL, decode, escape, leaves, merge, split_path
from runfmt.steps import put
from runfmt.summary import Aggregate, Definitions, HandValues, summarise

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["LiveSummary", "Summary", "last_step"]


class LiveSummary:
    """Not thread-safe but for :meth:`put`; the run holds its lock around the rest."""

    def __init__(self, stream: Path) -> None:
        self.path = stream
        self._lines: deque[bytes] = deque()
        self._since: list[bytes] | None = None
        """The lines that came while another reads the stream for us."""
        self._end: int | None = None
        self._reset(Definitions())

    def _reset(self, definitions: Definitions, hand: HandValues | None = None) -> None:
        self.definitions = definitions
        self._hand = hand or HandValues()
        self._aggregate = Aggregate(definitions)
        self._at: dict[str, int] = {}
        """The highest step that counts for each path."""
        self._open: dict[str, Any] | None = None
        self._closed = -1
        self._stale = False

    def put(self, line: bytes) -> None:
        """Note a line that was appended; it is folded later."""
        self._lines.append(line)
        if self._since is not None:
            self._since.append(line)

    def distrust(self) -> None:
        """Others have written to the stream: what was followed is not all of it."""
        self._stale = True

    def resume(self) -> None:
        """Take the definitions of an earlier process; its rows are read when somebody looks, or beside."""
        self._reset(_definitions_in(self.path, None))
        self._stale = True

    @property
    def is_stale(self) -> bool:
        """Whether the next look must read the stream again."""
        return self._stale

    def begin_reading(self) -> LiveSummary:
        """A summary that reads, without the lock, what is in the stream now; for :meth:`adopt`."""
        self.fold()
        other = LiveSummary(self.path)
        self._since, other._end = [], self.path.stat().st_size
        return other

    def adopt(self, other: LiveSummary) -> None:
        """Go on from what the other has read, unless the stream was read here meanwhile."""
        since, self._since = self._since, None
        if since is not None and self._stale:
            for name in ("definitions", "_hand", "_aggregate", "_at", "_open", "_closed", "_stale"):
                setattr(self, name, getattr(other, name))
            self._lines = deque(since)

    def recompute(self, step: int) -> dict[str, Any]:
        """The summary, from the stream itself; needs no lock on a summary of one's own."""
        self._read_again(step)
        return self.result(step)

    def fold(self, lines: int | None = None) -> bool:
        """Fold at most so many of the waiting lines, or all; says whether some still wait."""
        for _ in range(len(self._lines) if lines is None else min(lines, len(self._lines))):
            self._take(decode(self._lines.popleft())[0])
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
            self._stale = self._stale or not self._take_late(step, row)
        elif self._open is not None and step == opened:
            merge(self._open, row)
        else:
            self.close(step)
            self._open = row

    def _control(self, step: int, key: str, value: Any, defined: bool) -> None:
        if key == "_summary":
            self._hand.take(step, value)
        elif key == "_define" and not defined:
            before = {name: said.operations for name, said in self.definitions.by_name.items()}
            self.definitions.take(value)
            new = {name for name, said in self.definitions.by_name.items() if said.operations}
            # Statistics cover earlier rows too (R085).
            changed = any(self.definitions.by_name[name].operations != before.get(name) for name in new)
            self._stale = self._stale or (changed and bool(self._at))
        elif key == "_rewind":
            self._stale = True

    def _take_late(self, step: int, row: dict[str, Any]) -> bool:
        """Take a row of an earlier step if it only adds to what was counted; False if it does not."""
        found = [(path, value) for path, value in leaves(row) if path not in ("_step", "_timestamp")]
        above = {top for path in self._at for top in _tops(path)}
        for path, value in found:
            if path in above or not self._at.keys().isdisjoint(_tops(path)):
                return False  # a leaf and a subtree replace each other (R042)
            definition = self.definitions.match(path)
            has_statistics = definition is not None and bool(definition.operations)
            if step <= self._at.get(path, -1) and (has_statistics or value is None):
                return False
        for path, value in found:
            if value is not None and step >= self._at.get(path, -1):
                late: dict[str, Any] = {}
                put(late, split_path(path), value)
                self._aggregate.add(late)
                self._at[path] = step
        return True

    def close(self, step: int) -> None:
        """Count the open row if its step is below this one."""
        if self._open is not None and self._open["_step"] < step:
            self._count(self._open)
            self._open = None

    def _count(self, row: dict[str, Any]) -> None:
        """Count a logical row whose step is above all that were counted."""
        self._aggregate.add(row)
        self._closed = row["_step"]
        if any(value is None or type(value) is dict for value in row.values()):
            paths: Iterable[str] = [path for path, value in leaves(row) if value is not None]
        else:  # flat, as most rows are
            paths = map(escape, row)
        self._at.update(dict.fromkeys(paths, self._closed))

    def result(self, step: int) -> dict[str, Any]:
        """The summary of all rows with steps below this one."""
        self.fold()
        if self._stale:
            self._read_again(step)
        self.close(step)
        return summarise(self._aggregate, self._hand)

    def known_paths(self, tops: Collection[str]) -> list[str]:
        """The paths of the summary at or below some, as far as they are known without reading the stream."""
        self.fold()
        known = (path for path, _ in leaves(summarise(self._aggregate, self._hand)))
        return [path for path in known if any(path == top or path.startswith(f"{top}.") for top in tops)]

    def last_value(self, path: str, step: int) -> Any:
        """The latest value of a metric, None if there is none."""
        self.result(step)
        found = [dict(leaves(row)).get(path) for row in (self._open or {}, self._aggregate.plain)]
        return next((value for value in found if value is not None), None)

    def _read_again(self, step: int) -> None:
        """Fold the stream from its beginning: row by row, or as a whole if its steps go down."""
        self._since = None
        self._reset(_definitions_in(self.path, self._end))
        for line in _good_lines(self.path, self._end):
            self._take(line, defined=True)
            if self._stale:
                self._read_whole(step)
                return

    def _read_whole(self, step: int) -> None:
        with open(self.path, "rb") as stream:
            history = read_history(_beginning(stream, self._end))
        self._reset(history.definitions, history.hand)
        for row in history.rows:
            if row["_step"] >= step:
                self._open = row
                break
            self._count(row)


def _tops(path: str) -> list[str]:
    """The paths above a path."""
    keys = split_path(path) if "." in path else ()
    return [".".join(map(escape, keys[:end])) for end in range(1, len(keys))]


def _beginning(file: BinaryIO, end: int | None) -> BinaryIO:
    """The first so many bytes of a file, for who reads lines; without a number all of it."""
    return file if end is None else cast(BinaryIO, _Beginning(file, end))


class _Beginning:
    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def readline(self, size: int) -> bytes:
        line = self._file.readline(min(size, self._left))
        self._left -= len(line)
        return line


def _good_lines(stream: Path, end: int | None = None, containing: bytes = b"") -> Iterator[dict[str, Any]]:
    """The rows of a stream up to a byte that a reader would take, of the lines that contain some bytes."""
    with open(stream, "rb") as file:
        for _, line in read_lines(_beginning(file, end)):
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


def _definitions_in(stream: Path, end: int | None) -> Definitions:
    definitions = Definitions()
    for row in _good_lines(stream, end, b'"_define"'):
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
        plain = self._run._normalise(dict(*others, **values))
        sets = dict(leaves(plain, self._prefix()))
        there = self._run._known_paths([self._path(key) for key in plain])
        self._run._say_summary(sets, [path for path in there if path not in sets])

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
