"""Runs, and what a receipt says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from vocabulary import Link, Named, as_bytes, line, row, run

BLOCK = 4 * 2**20


@dataclass
class Receipt(Named):
    """A run, and its entries; ``made`` are streams of one line, so many times, that lie nowhere.

    ``committed`` is how much of a file is there, where that is not all.
    """

    files: dict[str, Any]
    made: dict[str, tuple[str, int]] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def contents(self) -> dict[str, Any]:
        files = {
            path: item if isinstance(item, Link) else as_bytes(item) for path, item in self.files.items()
        }
        below = {f"run/{path}": data for path, data in files.items()}
        if self.made:
            said = {path: {"line": text, "times": times} for path, (text, times) in self.made.items()}
            below["made.json"] = as_bytes(said)
        files |= {path: (text + "\n").encode() * times for path, (text, times) in self.made.items()}
        known = {
            path: data[: self.committed.get(path)]
            for path, data in files.items()
            if path not in self.left_out
        }
        return {**below, "expected.json": as_bytes(expected(known))}


def expected(files: dict[str, bytes]) -> dict[str, Any]:
    """The entries and the digest of a run, by the words of B030 to B033."""
    entries, lines = {}, []
    for path, data in files.items():
        step = BLOCK if "/" not in path and path.endswith((".jsonl", ".log")) else len(data) + 1
        *blocks, tail = [digest(data[at : at + step]) for at in range(0, len(data) + 1, step)]
        entries[path] = {"length": len(data), "size": len(data), "blocks": blocks, "tail": tail}
        proof = digest("".join([*blocks, tail]).encode()) if blocks else tail
        lines.append(b"%s\0%d\0%s\n" % (path.encode(), len(data), proof.encode()))
    return {"entries": entries, "digest": digest(b"".join(sorted(lines)))}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


ROWS = [row(0, a=1), row(1, a=2)]
TORN = b"".join(map(line, ROWS)) + b'{"_step":2,'
LINE = "x" * 63

VECTORS = [
    Receipt(
        "files-and-streams",
        "B030 B031 B032 B033",
        "A run with files, streams and documents.",
        {
            "run.json": run(),
            "config.json": {"lr": 0.1},
            "metrics.jsonl": ROWS,
            "console.log": b"hello\n",
            "files/a.log": b"a file, as it lies in a folder",
            "files/empty": b"",
        },
    ),
    Receipt(
        "order-of-lines",
        "B033",
        "The lines of the digest are sorted by their bytes, not by folders: a-b before a/x before a0.",
        {
            "run.json": run(),
            "files/a0": b"1",
            "files/a/x": b"2",
            "files/a-b": b"3",
            "files/é": b"4",
            "files/Z": b"5",
            "files/y": b"6",
        },
    ),
    Receipt(
        "unterminated-line",
        "B030",
        "What follows the last LF is not there.",
        {"run.json": run(), "metrics.jsonl": TORN, "console.log": b"no line"},
        committed={"metrics.jsonl": TORN.rfind(b"\n") + 1, "console.log": 0},
    ),
    Receipt(
        "private-names-and-links",
        "B030 B033",
        "What is no part of a run is in no receipt.",
        {
            "run.json": run(),
            "metrics.jsonl": ROWS,
            ".lock": b"x",
            "files/.x": b"x",
            "files/link": Link("../run.json"),
        },
        left_out=(".lock", "files/.x", "files/link"),
    ),
    Receipt(
        "blocks",
        "B030 B032 B033",
        "Streams longer than a block, of a block exactly, and a byte shorter; and a file that is longer.",
        {"run.json": run()},
        {
            "metrics.jsonl": ('{"_step":0,"_timestamp":1732417554.0,"loss":0.5}', 2**18),
            "events.jsonl": (LINE, 2**16),
            "console.log": ("xx", (BLOCK - 1) // 3),
            "files/weights.txt": (LINE, 2**17),
        },
    ),
]
