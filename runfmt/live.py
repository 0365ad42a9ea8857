"""The summary of a run that is being written.

``LiveSummary`` takes the main stream piece by piece, from the disk, where ``log`` has brought it
and left it alone. It reads the stream again where going on is not enough: after a rewind, a late
definition with statistics, a value that changes statistics of the past. So it is at any time what
a reader would compute (R080-R088), and a counter that lags behind another costs nothing.
"""

from __future__ import annotations

import io
import operator
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from runfmt.errors import FormatError
from runfmt.history import is_step, read_history, read_lines
from runfmt.layout import MAX_STEP
from runfmt.rows import CONTROL, RESERVED, decode, decode_plain, escape, leaves, merge, split_path
from runfmt.steps import put
from runfmt.stream import Stream
from runfmt.summary import Aggregate, Definitions, HandValues, summarise

if TYPE_CHECKING:
    from runfmt.run import Run

__all__ = ["LiveSummary", "Summary", "last_step"]

PIECE = 16384
"""Bytes of lines that are taken in one go: about a tenth of a millisecond, which ``log`` may have to wait."""
LARGE = 2**20
"""The same where somebody waits for the whole."""
_NOT_FLAT = frozenset(RESERVED) - {"_step", "_timestamp"}
"""Keys of rows that say more than values."""
_STEP = operator.itemgetter("_step")
_PLAIN = frozenset({float, int, str, bool, type(None)})


class LiveSummary:
    """The summary of what is at a path, which a stream of this process may be writing."""

    def __init__(self, path: Path, stream: Stream | None = None) -> None:
        self.path = path
        self._stream = stream
        # Reentrant: a signal handler may end the run while somebody looks.
        self._lock = threading.RLock()
        self._reset(Definitions())

    def _reset(self, definitions: Definitions, hand: HandValues | None = None) -> None:
        self.definitions = definitions
        self._hand = hand or HandValues()
        self._aggregate = Aggregate(definitions)
        self._at: dict[str, int] = {}
        """The highest step that counts for each path."""
        self._open: dict[str, Any] | None = None
        self._closed = -1
        self._taken = 0
        """The bytes of the stream that were taken."""
        self._stale = self._distrusted = self._is_taking = False

    def distrust(self) -> None:
        """Others write to the stream, or ours goes on elsewhere: what was taken is not all of it."""
        # Without the lock, as a stream calls this under its own, which who holds ours may wait for.
        self._stream, self._distrusted = None, True

    def resume(self) -> None:
        """Take the definitions of an earlier process; its rows are read when somebody looks, or beside."""
        with self._lock:
            with open(self.path, "rb") as file:
                self._reset(_definitions_in(file, None))
            self._stale = True

    def abandon(self) -> None:
        """In a forked child: what a thread of the parent was doing, and its lock, are not here."""
        self._lock, self._stream = threading.RLock(), None

    @property
    def is_stale(self) -> bool:
        """Whether the next look must read the stream again."""
        # Who was interrupted while taking a piece has perhaps taken half of it.
        return self._stale or self._distrusted or self._is_taking

    def begin_reading(self) -> tuple[LiveSummary, int]:
        """Another that reads the stream, and up to which byte; for :meth:`recompute` and :meth:`adopt`."""
        with self._lock:
            self._distrusted, self._stale = False, True
            return LiveSummary(self.path), self.path.stat().st_size

    def adopt(self, other: LiveSummary) -> None:
        """Go on from what the other has read, unless the stream was read here meanwhile."""
        with self._lock:
            if self._stale:
                names = ("definitions", "_hand", "_aggregate", "_at", "_open", "_closed", "_taken", "_stale")
                for name in names:
                    setattr(self, name, getattr(other, name))
                self._is_taking = False

    def recompute(
        self, step: int, end: int | None = None, pause: Callable[[], object] = bool
    ) -> dict[str, Any]:
        """The summary of all rows with steps below this one, from the stream itself, as far as a byte.

        ``pause`` is called after each piece.
        """
        with self._lock:
            self._read_again(step, end, pause)
            self.close(step)
            return summarise(self._aggregate, self._hand)

    def fold(self) -> None:
        """Take all that is new in the stream, also what does not lie on the disk yet."""
        with self._lock:
            while self.fold_some(LARGE):
                pass
            if self._stream is not None:
                lines = self._stream.pending(self._taken)
                self._take_lines(lines, self._taken + len(lines))

    def fold_some(self, size: int = PIECE) -> bool:
        """Take about so many bytes of what is new on the disk; says whether there were any."""
        with self._lock:
            if self._stream is not None and (lines := self._stream.tail(self._taken, size)) is not None:
                end = self._taken + len(lines)
            else:
                with open(self.path, "rb") as file:
                    lines, end = next(_pieces(file, self._taken, None, size), (b"", self._taken))
            before = self._taken
            self._take_lines(lines, end)
            return end > before

    def _take_lines(self, lines: bytes, end: int, *, defined: bool = False) -> None:
        """Take whole lines up to a byte; ``defined`` says that all definitions in them are known already."""
        self._is_taking = True
        if not self._take_alike(decode_plain(lines)):
            for row in _good_rows(io.BytesIO(lines)):
                self._take(row, defined=defined)
        self._taken = end
        self._is_taking = False

    def _take_alike(self, rows: list[dict[str, Any]]) -> bool:
        """Take rows by columns if they have the same keys, plain values and growing steps; False if not."""
        names = tuple(rows[0]) if rows else ()
        if "_step" not in names or not _NOT_FLAT.isdisjoint(names):
            return False
        if not all(map(names.__eq__, map(tuple, rows))):
            return False
        goes_on = self._open is not None and tuple(self._open) == names
        before = self._open["_step"] if self._open is not None and not goes_on else self._closed
        together = [self._open, *rows] if self._open is not None and goes_on else rows
        if not _PLAIN.issuperset(map(type, chain.from_iterable(row.values() for row in together))):
            return False
        steps = [*map(_STEP, together)]
        if set(map(type, steps)) != {int} or steps[-1] > MAX_STEP or not _ascends([before, *steps]):
            return False
        for row in rows if self._hand.by_path else ():
            self._hand.logged(row["_step"], row)
        self.close(together[0]["_step"])
        *counted, self._open = together
        if counted:
            self._closed = counted[-1]["_step"]
            self._count_columns(dict(zip(names, zip(*map(dict.values, counted), strict=True), strict=True)))
        return True

    def _count_columns(self, columns: dict[str, tuple[Any, ...]]) -> None:
        """Count logical rows, whose steps are above all that were counted, by columns."""
        self._aggregate.add_columns(columns)
        for name, column in columns.items():
            if column[-1] is not None:
                self._at[escape(name)] = columns["_step"][-1]
                continue
            given = zip(reversed(columns["_step"]), reversed(column), strict=True)
            if (last := next((step for step, value in given if value is not None), None)) is not None:
                self._at[escape(name)] = last

    def _take(self, row: dict[str, Any], *, defined: bool) -> None:
        """Take a row."""
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
        with self._lock:
            self.fold()
            if self.is_stale:
                self._read_again(step)
                self.fold()
            self.close(step)
            return summarise(self._aggregate, self._hand)

    def so_far(self) -> dict[str, Any]:
        """The summary of the rows that were taken, but the last."""
        with self._lock:
            return summarise(self._aggregate, self._hand)

    def known_paths(self, tops: Collection[str]) -> list[str]:
        """The paths of the summary at or below some, as far as they are known without reading the stream."""
        with self._lock:
            self.fold()
            known = (path for path, _ in leaves(summarise(self._aggregate, self._hand)))
            return [path for path in known if any(path == top or path.startswith(f"{top}.") for top in tops)]

    def last_value(self, path: str, step: int) -> Any:
        """The latest value of a metric, None if there is none."""
        with self._lock:
            self.result(step)
            found = [dict(leaves(row)).get(path) for row in (self._open or {}, self._aggregate.plain)]
            return next((value for value in found if value is not None), None)

    def _read_again(self, step: int, end: int | None = None, pause: Callable[[], object] = bool) -> None:
        """Fold the stream from its beginning: piece by piece, or as a whole if its steps go down."""
        with _opened(self.path) as file:
            self._reset(_definitions_in(file, end))
            for lines, at in _pieces(file, 0, end):
                self._take_lines(lines, at, defined=True)
                if self._stale:
                    self._read_whole(file, step, end)
                    return
                pause()

    def _read_whole(self, file: BinaryIO, step: int, end: int | None) -> None:
        file.seek(0)
        history = read_history(_beginning(file, end))
        self._reset(history.definitions, history.hand)
        self._taken = history.size
        for row in history.rows:
            if row["_step"] >= step:
                self._open = row
                break
            self._count(row)


def _ascends(steps: Sequence[int]) -> bool:
    return all(map(operator.lt, steps, steps[1:]))


def _tops(path: str) -> list[str]:
    """The paths above a path."""
    keys = split_path(path) if "." in path else ()
    return [".".join(map(escape, keys[:end])) for end in range(1, len(keys))]


def _beginning(file: BinaryIO, end: int | None) -> BinaryIO:
    """The bytes of a file up to one, for who reads lines; without a number all of them."""
    return file if end is None else cast(BinaryIO, _Beginning(file, end - file.tell()))


class _Beginning:
    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def readline(self, size: int) -> bytes:
        line = self._file.readline(min(size, self._left))
        self._left -= len(line)
        return line


def _opened(path: Path) -> BinaryIO:
    """A stream, which is read twice; a short one from the disk but once."""
    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= LARGE:
            return io.BytesIO(file.read())
    return open(path, "rb")


def _pieces(file: BinaryIO, begin: int, end: int | None, size: int = PIECE) -> Iterator[tuple[bytes, int]]:
    """Whole lines from a byte on, to another or the end, about so many bytes at once, and where each ends."""
    file.seek(begin)
    rest = b""
    while block := file.read(size if end is None else min(size, end - begin - len(rest))):
        rest += block
        if length := rest.rfind(b"\n") + 1:
            lines, rest = rest[:length], rest[length:]
        else:  # the line is longer than that, or not whole
            file.seek(begin)
            found = next(read_lines(_beginning(file, end)), (0, b""))[1]
            if found == b"":
                return
            lines, rest, length = found or b"", b"", file.tell() - begin  # what is too long is passed over
        begin += length
        yield lines, begin


def _good_rows(lines: BinaryIO) -> Iterator[dict[str, Any]]:
    """The rows that a reader would take."""
    for _, line in read_lines(lines):
        if line:
            with suppress(FormatError):
                row = decode(line)[0]
                if is_step(row.get("_step")):
                    yield row


def last_step(stream: Path) -> int:
    """The step after which a resumed run goes on, -1 if the stream has no row or is not there yet."""
    last = -1
    with suppress(FileNotFoundError), open(stream, "rb") as file:  # killed right after run.json was written
        for row in _good_rows(file):
            if "_rewind" in row:
                last = min(last, row["_rewind"])
            elif not any(key in row for key in CONTROL):
                last = max(last, int(row["_step"]))
    return last


def _definitions_in(file: BinaryIO, end: int | None) -> Definitions:
    definitions = Definitions()
    for lines, _ in _pieces(file, 0, end):
        if b"_define" in lines:
            for row in _good_rows(io.BytesIO(lines)):
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
