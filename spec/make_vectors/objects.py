"""Runs as they lie in an object store, and the directories that readers put together of them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from vocabulary import UID, Named, as_bytes, line, row, run

AT = f"runs/{UID}"
STORE = {".runfmt/store.json": {"id": "5e9b7a52-0f0e-4a52-9a3c-1f6f0d1b9e77"}}


@dataclass
class Objects(Named):
    """What lies at a place, by name, and the files of the run that readers see; none if they see none."""

    lies: dict[str, Any]
    files: dict[str, Any]

    def contents(self) -> dict[str, Any]:
        below = {f"store/{name}": as_bytes(item) for name, item in {**STORE, **self.lies}.items()}
        return {**below, **{f"expected/run/{path}": as_bytes(item) for path, item in self.files.items()}}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def span(data: bytes, start: int) -> str:
    """The name of a segment or a piece."""
    return f"{start:020}-{start + len(data):020}-{digest(data)[:16]}"


def segments(name: str, *spans: tuple[int, bytes]) -> dict[str, bytes]:
    """Objects of a stream, each from an offset."""
    return {f"{AT}/{name}/{span(data, start)}": data for start, data in spans}


def below(**files: Any) -> dict[str, Any]:
    return {f"{AT}/{name}": item for name, item in files.items()}


def names(*spans: tuple[int, bytes]) -> str:
    """What digests the names of segments."""
    return digest(" ".join(sorted(span(data, start) for start, data in spans)).encode())


RUN = {"run.json": run()}
SHOWN = below(**RUN)
ROWS = b"".join(line(row(step, a=step)) for step in range(6))
CUT = [0, *(at + 1 for at, byte in enumerate(ROWS) if byte == 10)]
"""Where the rows begin and end."""
EVENTS = b'{"_timestamp":1732417554.0,"event":"start"}\n'
BIG = bytes(range(256)) * 16
WHOLE = {"size": len(BIG), "sha256": digest(BIG)}


def part(first: int, last: int) -> tuple[int, bytes]:
    """Some of the rows, as a segment."""
    return CUT[first], ROWS[CUT[first] : CUT[last]]


def other(first: int, last: int) -> tuple[int, bytes]:
    """As many bytes, and others: what another writer put at the same moment."""
    start, data = part(first, last)
    return start, data.replace(b'"a":', b'"b":')


def pieces(*cuts: tuple[int, int]) -> dict[str, bytes]:
    """Some pieces of the large file."""
    parts = [(start, BIG[start:end]) for start, end in cuts]
    return {f"{AT}/.pieces/{WHOLE['sha256']}/{span(data, start)}": data for start, data in parts}


STREAMS = [
    Objects(
        name,
        rules,
        what,
        {**segments("metrics.jsonl", *lies), **SHOWN},
        {"metrics.jsonl": there, **RUN},
    )
    for name, rules, what, lies, there in [
        ("one-segment", "O010 O011", "A stream in one segment.", [part(0, 6)], ROWS),
        ("segments", "O010 O011 O012", "A stream in three.", [part(0, 1), part(1, 4), part(4, 6)], ROWS),
        ("empty-stream", "O011", "A segment of no bytes.", [(0, b"")], b""),
        (
            "overlapping-segments",
            "O012",
            "Two writers put the same rows in other segments.",
            [part(0, 2), part(1, 4), part(2, 3), part(3, 6)],
            ROWS,
        ),
        (
            "larger-segment-beside-small-ones",
            "O012",
            "Small segments were merged, and are still there.",
            [part(0, 1), part(1, 2), part(2, 3), part(0, 3), part(3, 6)],
            ROWS,
        ),
        (
            "longest-segment-first",
            "O012",
            "Of equal starts the longest counts, whatever the others hold.",
            [other(0, 2), part(0, 3), other(0, 1)],
            ROWS[: CUT[3]],
        ),
        (
            "equal-segments-of-other-bytes",
            "O012",
            "Of equal starts and ends the first by name counts.",
            [part(0, 2), other(0, 2)],
            min([part(0, 2), other(0, 2)], key=lambda one: span(one[1], one[0]))[1],
        ),
        (
            "segment-of-other-bytes",
            "O012",
            "Of a segment whose bytes before are others nothing is taken; the stream goes on with the next.",
            [part(0, 3), other(2, 5), part(3, 4)],
            ROWS[: CUT[4]],
        ),
        (
            "segment-of-other-bytes-at-the-end",
            "O012",
            "Two writers went on at the same moment: no mixture comes of it.",
            [part(0, 3), other(2, 6)],
            ROWS[: CUT[3]],
        ),
        ("gap", "O012", "Readers end where bytes are missing.", [part(0, 2), part(3, 6)], ROWS[: CUT[2]]),
    ]
]  # fmt: skip

FILES = [
    Objects(
        "plain",
        "O001 O003 O010 O020",
        "A run with files, streams and documents.",
        {
            **segments("metrics.jsonl", part(0, 6)),
            **segments("events.jsonl", (0, EVENTS)),
            **below(
                **{"config.json": {"lr": 0.1}, "files/a/x.txt": b"x", "media/image/x.png": b"\x89PNG"}, **RUN
            ),
        },
        {
            "metrics.jsonl": ROWS,
            "events.jsonl": EVENTS,
            "config.json": {"lr": 0.1},
            "files/a/x.txt": b"x",
            "media/image/x.png": b"\x89PNG",
            **RUN,
        },
    ),
    Objects(
        "escaped-names",
        "O001",
        "What is no letter or digit of ASCII, and none of -._~=+@, is escaped, byte by byte.",
        {
            **segments("my%20%C3%BC.log", (0, b"hello\n")),
            **below(
                **{
                    "files/-._~=+@,": b"as it is",
                    "files/100%25%20%26%20%23.txt": b"signs",
                    "files/%25C3": b"a percent sign",
                    "files/%E2%82%AC/%F0%9F%99%82.txt": b"beyond ASCII",
                    "files/%28a%29%21%27%24%3B": b"what some clients leave",
                },
                **RUN,
            ),
        },
        {
            "my ü.log": b"hello\n",
            "files/-._~=+@,": b"as it is",
            "files/100% & #.txt": b"signs",
            "files/%C3": b"a percent sign",
            "files/€/🙂.txt": b"beyond ASCII",
            "files/(a)!'$;": b"what some clients leave",
            **RUN,
        },
    ),
    Objects(
        "names-like-segments",
        "O001 O010",
        "A file whose name ends as a segment's, in a folder whose name ends as a stream's.",
        {**below(**{f"files/x.jsonl/{span(b'x', 0)}": b"x", "files/x.log": b"y"}), **SHOWN},
        {f"files/x.jsonl/{span(b'x', 0)}": b"x", "files/x.log": b"y", **RUN},
    ),
    Objects(
        "pieces",
        "O021",
        "A large file in three pieces, in two places of the run.",
        {
            **pieces((0, 1000), (1000, 3000), (3000, 4096)),
            **below(**{".large/files/x.bin": WHOLE, ".large/files/y%20z.bin": WHOLE}, **RUN),
        },
        {"files/x.bin": BIG, "files/y z.bin": BIG, **RUN},
    ),
    Objects(
        "pieces-of-two-writers",
        "O021",
        "Two writers cut a file otherwise: pieces are taken as segments are.",
        {
            **pieces((0, 1000), (1000, 3000), (3000, 4096), (0, 2000), (2000, 4096)),
            **below(**{".large/files/x.bin": WHOLE}, **RUN),
        },
        {"files/x.bin": BIG, **RUN},
    ),
    Objects(
        "pieces-without-a-large",
        "O021",
        "Pieces that nothing names are no file.",
        {**pieces((0, 1000), (1000, 4096)), **SHOWN},
        RUN,
    ),
    Objects(
        "plain-object-beside-a-large",
        "O021",
        "An object of the path itself is the file.",
        {
            **pieces((0, 4096)),
            **below(**{".large/files/x.bin": WHOLE, "files/x.bin": b"small now"}, **RUN),
        },
        {"files/x.bin": b"small now", **RUN},
    ),
]


def noted(name: str, what: str, note: Any) -> Objects:
    """A run beside which a note lies that is not to be believed."""
    lies = {**segments("metrics.jsonl", part(0, 3), part(3, 6)), **pieces((0, 1000), (1000, 4096))}
    files = {"config.json": {"lr": 0.1}, **RUN}
    shown = {"metrics.jsonl": ROWS, "files/x.bin": BIG, **files}
    lies |= below(**{".note.json": note, ".large/files/x.bin": WHOLE}, **files)
    return Objects(name, "O030 O031", what, lies, shown)


def note(names_of_segments: str, length: int) -> dict[str, Any]:
    lie = digest(b"a lie")
    return {
        "runfmt": 1,
        "files": {
            "run.json": [3, "0" * 32, lie],
            "config.json": [15, "0" * 32, lie],
            "files/gone": [1, "x", lie],
        },
        "large": {"files/x.bin": ["0" * 32, 7, lie, lie]},
        "streams": {"metrics.jsonl": [length, names_of_segments, [], lie], "gone.log": [1, lie, [], lie]},
    }


NOTES = [
    noted("old-note", "The ETags and the names are others by now.", note(names(part(0, 3)), CUT[3])),
    noted("note-of-another-form", "A note of a later version.", {"runfmt": 2, "files": []}),
    noted("note-that-is-no-json", "A note that nobody can read.", b"{torn"),
]

UNSEEN = [
    Objects(
        "without-run-json",
        "O003",
        "A run on its way: readers see none.",
        {**segments("metrics.jsonl", part(0, 6)), **below(**{"config.json": {}, "files/x": b"x"})},
        {},
    ),
    Objects(
        "deleted",
        "O003 O005",
        "A run that was deleted, of which some objects are left: writers do not bring it again.",
        {
            f".runfmt/deleted/{UID}.json": {"time": "2026-11-26T12:00:00.000000Z", "by": "ann"},
            **segments("metrics.jsonl", part(0, 6)),
        },
        {},
    ),
]

VECTORS = [*STREAMS, *FILES, *NOTES, *UNSEEN]
