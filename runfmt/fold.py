"""A metrics stream folded: its summary and how many rows it has, and how both go on when it grows.

What is kept of it is small and plain JSON, so that who looks again reads only what is new.
Rows nearly always come in the order of their steps. What reaches back behind the rows that are
counted, a late row, a rewind, statistics that are asked for late, cannot be followed: the stream
is then read as a whole, and followed from there.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from runfmt.history import History, Reader, read_history, read_lines
from runfmt.layout import MAIN, METRICS, is_safe
from runfmt.rows import decode_document, encode_document
from runfmt.summary import Aggregate, Definitions, HandValues, summarise

__all__ = ["Fold", "decode_fold", "encode_fold", "fold"]

PIECE = 2**20
"""Bytes of rows that are held at a time."""
SEAM = 256
"""Bytes before the end that must still be there when it goes on."""


def fold(stream: BinaryIO, known: Fold | None = None) -> Fold:
    """Fold a stream, going on with what is known of it, which is used up. Raises ``OSError``."""
    folded = known or Fold(History())
    if folded.follow(stream):
        return folded
    stream.seek(0)
    folded = Fold(read_history(stream))
    folded.follow(stream)
    return folded


class Fold:
    """Counts the rows but the last, to which more may come; a mark stands before it for those that were."""

    def __init__(self, history: History, counted: int = 0, step: int = -1) -> None:
        self._counted, self._mark = counted, {"_step": step}
        self._reader = Reader(METRICS, MAIN, is_safe)
        self._reader.history = history
        self._reader.steps = {row["_step"]: row for row in [self._mark, *history.rows]}
        self._aggregate = Aggregate(history.definitions)
        self._operations = _operations(history.definitions)
        self._seam = b""

    @property
    def rows(self) -> int:
        """How many logical rows there are."""
        return self._counted + len(self._reader.steps) - 1

    @property
    def size(self) -> int:
        """How many bytes were read: up to the last LF."""
        return self._reader.history.size

    def summary(self) -> dict[str, Any]:
        """The summary (R080-R088)."""
        aggregate = self._aggregate.copy()
        for row in self._open:
            aggregate.add(row)
        return summarise(aggregate, self._reader.history.hand)

    @property
    def _open(self) -> list[dict[str, Any]]:
        """The last row, if there is one."""
        return [row for row in self._reader.steps.values() if row is not self._mark]

    def follow(self, stream: BinaryIO) -> bool:
        """Go on with what is new in the stream; False if that cannot be, and nothing here counts any more."""
        begin = self.size
        stream.seek(begin - len(self._seam))
        if stream.read(len(self._seam)) != self._seam:
            return False
        counted = 0
        for offset, line in read_lines(stream):
            self._reader.take(begin + offset, line)
            if offset - counted > PIECE:
                counted = offset
                if not self._count():
                    return False
        if not self._count():
            return False
        stream.seek(max(0, self.size - SEAM))
        self._seam = stream.read(min(self.size, SEAM))
        return True

    def _count(self) -> bool:
        """Count all rows but the last; False if something reached behind those that were counted."""
        history = self._reader.finish()
        is_later = bool(history.rows) and history.rows[0] is self._mark and len(self._mark) == 1
        operations = _operations(history.definitions)
        if not is_later or (self._counted and operations != self._operations):  # R085
            return False
        self._operations = operations
        rows = history.rows[1:-1]
        for row in rows:
            self._aggregate.add(row)
        if rows:
            self._counted += len(rows)
            self._mark = {"_step": rows[-1]["_step"]}
            history.hand.settle(rows[-1]["_step"])
            self._reader.steps = {row["_step"]: row for row in (self._mark, history.rows[-1])}
            self._reader.ascends = True
        return True


def _operations(definitions: Definitions) -> dict[str, tuple[str, ...]]:
    return {name: said.operations for name, said in definitions.by_name.items() if said.operations}


def encode_fold(folded: Fold) -> bytes:
    """What is to be kept of a fold. Raises ``FormatError`` (R025) if it cannot be, as rows nest too deep."""
    history = folded._reader.history
    return encode_document(
        {
            "size": folded.size,
            "seam": folded._seam.decode("latin-1"),
            "counted": folded._counted,
            "step": folded._mark["_step"],
            "open": folded._open,
            "definitions": [said.row() for said in history.definitions.by_name.values()],
            "hand": history.hand.to_json(),
            **folded._aggregate.to_json(),
        },
        compact=True,
    )


def decode_fold(data: bytes) -> Fold:
    """The inverse of :func:`encode_fold`."""
    said = decode_document(data)
    definitions = Definitions()
    for definition in said["definitions"]:
        definitions.take(definition)
    hand = HandValues.from_json(said["hand"])
    history = History(rows=said["open"], definitions=definitions, hand=hand, size=said["size"])
    folded = Fold(history, said["counted"], said["step"])
    folded._aggregate = Aggregate.from_json(definitions, said)
    folded._seam = said["seam"].encode("latin-1")
    return folded
