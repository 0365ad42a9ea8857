"""Bundles, and what comes of applying them: runs, or the rule by which they are refused."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from vocabulary import T0, UID, Named, as_bytes, line, row, run, text

OTHER = "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e78"
MADE = "2026-11-24T03:07:10.000001Z"
Item = tuple[dict[str, Any], bytes]
"""An extent and its bytes."""
Part = tuple[tarfile.TarInfo, bytes]
"""A member of an archive."""


@dataclass
class Bundle(Named):
    """An archive, the folder of runs ``before`` it is applied, and ``after`` that.

    ``refused`` is the rule by which all of it is refused, or a map from the runs that are to the rule.
    """

    tar: bytes
    after: dict[str, bytes] = field(default_factory=dict)
    before: dict[str, bytes] = field(default_factory=dict)
    refused: Any = None

    def contents(self) -> dict[str, Any]:
        below = {f"before/{path}": data for path, data in self.before.items()}
        below |= {f"expected/{path}": data for path, data in self.after.items()}
        if self.refused:
            key = "refused" if isinstance(self.refused, str) else "runs"
            below["expected.json"] = as_bytes({key: self.refused})
        return {"bundle.tar": self.tar, **below}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def extent(path: str, data: bytes, offset: int = 0, uid: str = UID, **more: Any) -> Item:
    """An extent of a stream, or a whole file; ``more`` says other things of it."""
    said = {"uid": uid, "path": path, "offset": offset, "length": len(data), "sha256": digest(data)}
    if "/" in path or not path.endswith((".jsonl", ".log")):
        said["whole"] = {"size": len(data), "sha256": digest(data)}
    return {**said, **more}, data


def piece(path: str, whole: bytes, start: int, end: int) -> Item:
    """A piece of a file."""
    return extent(path, whole[start:end], start, whole={"size": len(whole), "sha256": digest(whole)})


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> Part:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(data), 0o644, kind, target
    return info, data


def members(*groups: list[Item], manifest: dict[str, Any] | None = None, **end: Any) -> list[Part]:
    """The members of a bundle; ``manifest`` and ``end`` say other things in its first and its last."""
    said = {"bundle": 1, "channel": "lab", "number": 1, "edition": 0, "volume": 1, "created_at": MADE}
    made = [member("manifest.json", text({**said, **(manifest or {})}).encode())]
    listings = [text([about for about, _ in group]).encode() for group in groups]
    for number, (listing, group) in enumerate(zip(listings, groups, strict=True)):
        made += [member(f"{number}.json", listing), member(f"{number}.bin", b"".join(d for _, d in group))]
    said = {"groups": len(groups), "sha256": digest(b"".join(listings)), "last": True, **end}
    return [*made, member("end.json", text(said).encode())]


def tar(parts: list[Part]) -> bytes:
    """An archive of members as they are, with no more zeros behind them than it needs."""
    made = io.BytesIO()
    for info, data in parts:
        made.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE))
    return made.getvalue() + bytes(2 * tarfile.BLOCKSIZE)


def bundle(*groups: list[Item], **said: Any) -> bytes:
    return tar(members(*groups, **said))


def rows(first: int, count: int, **keys: Any) -> bytes:
    return b"".join(line(row(step, keys or {"a": step})) for step in range(first, first + count))


def document(**about: Any) -> bytes:
    return as_bytes(run(**about))


ROWS, MORE, RUN = rows(0, 2), rows(2, 2), document()
NEXT = document(uid=OTHER, id="other")
FILE = bytes(range(256)) * 2
ALL = [extent("metrics.jsonl", ROWS), extent("run.json", RUN)]
GOOD = [extent("metrics.jsonl", MORE, uid=OTHER), extent("run.json", NEXT, uid=OTHER)]
HERE = {"run/metrics.jsonl": ROWS, "run/run.json": RUN}
THERE = {"other/metrics.jsonl": MORE, "other/run.json": NEXT}


def edits(**entries: tuple[Any, float]) -> bytes:
    """An ``edits.json`` of values and their times."""
    said = {
        f"/{name}": {"value": value, "time": time, "author": "ann"} for name, (value, time) in entries.items()
    }
    return as_bytes(said)


OURS, THEIRS = edits(name=("a", T0 + 1), notes=("n", T0)), edits(name=("b", T0), tags=(["t"], T0))
BOTH = edits(name=("a", T0 + 1), notes=("n", T0), tags=(["t"], T0))

VALID = [
    Bundle(
        "one-run",
        "B001 B002 B003 B004 B005 B010 B012 B013",
        "A run: files, streams, documents, and run.json last.",
        bundle(
            [
                extent("files/x.bin", FILE),
                extent("media/image/x.txt", b""),
                extent("console.log", b"hello\n"),
                extent("metrics.jsonl", ROWS),
                extent("config.json", b'{"lr":0.1}\n'),
                extent("summary.json", b'{"a":1}\n'),
                extent("run.json", RUN),
            ]
        ),
        {
            "run/files/x.bin": FILE,
            "run/media/image/x.txt": b"",
            "run/console.log": b"hello\n",
            "run/config.json": b'{"lr":0.1}\n',
            "run/summary.json": b'{"a":1}\n',
            **HERE,
        },
    ),
    Bundle(
        "two-groups",
        "B003 B004",
        "A run in each of two groups.",
        bundle(ALL, GOOD),
        {**HERE, **THERE},
    ),
    Bundle(
        "run-over-two-groups",
        "B011 B012 B016",
        "Two extents of a stream, two pieces of a file, and a group between them; run.json in the second.",
        bundle(
            [piece("files/x.bin", FILE, 0, 200), extent("metrics.jsonl", ROWS)],
            [
                piece("files/x.bin", FILE, 200, 512),
                extent("metrics.jsonl", MORE, len(ROWS)),
                extent("run.json", RUN),
            ],
        ),
        {"run/files/x.bin": FILE, "run/metrics.jsonl": ROWS + MORE, "run/run.json": RUN},
    ),
    Bundle(
        "no-group",
        "B004",
        "A bundle of nothing.",
        bundle(),
        HERE,
        HERE,
    ),
    Bundle(
        "run-without-run-json",
        "B016",
        "A run of which run.json has not come is not seen.",
        bundle([extent("metrics.jsonl", ROWS)]),
    ),
    Bundle(
        "unknown-keys",
        "B007",
        "Keys that are not known yet, wherever a reader looks.",
        bundle(
            [(about | {"colour": "blue", "whole2": {}}, data) for about, data in ALL],
            manifest={"colour": "blue"},
            colour=["blue"],
        ),
        HERE,
    ),
    Bundle(
        "zeros-behind-the-end",
        "B008",
        "As many zeros as may be behind end.json.",
        bundle(ALL) + bytes(20_480 - 1_024),
        HERE,
    ),
    Bundle(
        "overlap",
        "B011 B018",
        "Of a stream what is missing is appended; an extent that comes twice changes nothing.",
        bundle([extent("metrics.jsonl", ROWS + MORE), extent("metrics.jsonl", MORE, len(ROWS))]),
        {"run/metrics.jsonl": ROWS + MORE, "run/run.json": RUN},
        HERE,
    ),
    Bundle(
        "less-than-is-there",
        "B018",
        "What is there already changes nothing.",
        bundle([extent("metrics.jsonl", ROWS), extent("metrics.jsonl", b"")]),
        {"run/metrics.jsonl": ROWS + MORE, "run/run.json": RUN},
        {"run/metrics.jsonl": ROWS + MORE, "run/run.json": RUN},
    ),
    Bundle(
        "unterminated-line",
        "B014 B018",
        "What follows the last LF is cut before bytes are appended.",
        bundle([extent("metrics.jsonl", MORE, len(ROWS))]),
        {"run/metrics.jsonl": ROWS + MORE, "run/run.json": RUN},
        {"run/metrics.jsonl": ROWS + b'{"_step":9,', "run/run.json": RUN},
    ),
    Bundle(
        "replaced-files",
        "B012 B018",
        "A file is replaced whatever is there, also by a shorter one.",
        bundle([extent("files/x.bin", b"new"), extent("config.json", b"{}\n")]),
        {"run/files/x.bin": b"new", "run/config.json": b"{}\n", **HERE},
        {"run/files/x.bin": FILE, "run/config.json": b'{"lr":0.1}\n', **HERE},
    ),
    Bundle(
        "edits-that-say-more",
        "B018",
        "Edits that say all that is there come with their bytes.",
        bundle([extent("edits.json", BOTH)]),
        {"run/edits.json": BOTH, **HERE},
        {"run/edits.json": THEIRS, **HERE},
    ),
    Bundle(
        "edits-merged",
        "B018",
        "Of edits of which neither says all comes what R096 makes of both; or the run is refused (H062).",
        bundle([extent("edits.json", THEIRS)]),
        {"run/edits.json": BOTH, **HERE},
        {"run/edits.json": OURS, **HERE},
    ),
]


def refused(name: str, rule: str, what: str, made: bytes, before: dict[str, bytes] | None = None) -> Bundle:
    """A bundle of which nothing is applied."""
    return Bundle(name, f"B001 {rule}", what, made, before or {}, before or {}, rule.partition(" ")[0])


def replaced(place: int, part: Part) -> bytes:
    """The bundle of a run with another member at a place."""
    parts = members(ALL)
    return tar([*parts[:place], part, *parts[place + 1 :]])


def wrong(item: Item) -> Item:
    """An extent whose bytes have another digest."""
    about, data = item
    return {**about, "sha256": digest(data + b"x")}, data


PARTS = members(ALL)
REFUSED = [
    refused("version-2", "B002", "Another major version.", bundle(ALL, manifest={"bundle": 2})),
    refused("version-in-text", "B002", "The version is text.", bundle(ALL, manifest={"bundle": "1"})),
    refused("version-true", "B002", "The version is a truth value.", bundle(ALL, manifest={"bundle": True})),
    refused("no-version", "B002", "No version.", bundle(ALL, manifest={"bundle": None})),
    refused(
        "wrong-digest-of-an-extent",
        "B005",
        "The last extent of a second run has other bytes: nothing of the first is applied either.",
        bundle([*ALL, GOOD[0], wrong(GOOD[1])]),
    ),
    refused(
        "wrong-digest-in-the-second-group",
        "B005",
        "Nothing of the first group is applied.",
        bundle(ALL, [wrong(GOOD[0]), GOOD[1]]),
    ),
    refused(
        "wrong-digest-at-the-end",
        "B004",
        "The listings have another digest.",
        bundle(ALL, sha256=digest(b"")),
    ),
    refused("wrong-count-at-the-end", "B004", "There are fewer groups than it says.", bundle(ALL, groups=2)),
    refused(
        "cut", "B001", "It ends within a group, as a file that was not copied whole.", tar(PARTS)[:2_048]
    ),
    refused("no-end", "B001", "A tar archive that is whole, without end.json.", tar(PARTS[:-1])),
    refused(
        "symbolic-link",
        "B003",
        "A member is a symbolic link.",
        replaced(2, member("0.bin", kind=tarfile.SYMTYPE, target="/etc/hostname")),
    ),
    refused(
        "hard-link",
        "B003",
        "A member is a link to another.",
        replaced(2, member("0.bin", kind=tarfile.LNKTYPE, target="manifest.json")),
    ),
    refused("wrong-name", "B003", "A member with another name.", replaced(1, member("00.json", PARTS[1][1]))),
    refused(
        "name-that-leads-out",
        "B003",
        "A member whose name leads elsewhere.",
        replaced(0, member("../manifest.json", PARTS[0][1])),
    ),
    refused(
        "wrong-order",
        "B003",
        "The bytes stand before their list.",
        tar([PARTS[0], PARTS[2], PARTS[1], PARTS[3]]),
    ),
    refused(
        "additional-member",
        "B003",
        "A member that nobody asked for.",
        tar([*PARTS[:3], member("x.json"), PARTS[3]]),
    ),
    refused(
        "bytes-without-extents",
        "B003",
        "More bytes than the extents have.",
        replaced(2, member("0.bin", PARTS[2][1] + b"x")),
    ),
    refused("bytes-behind-the-end", "B008", "Bytes stand behind the zeros.", bundle(ALL) + b"x"),
    refused("bundle-behind-the-end", "B008", "Another bundle stands behind it.", bundle(ALL) + bundle(GOOD)),
    refused(
        "too-many-zeros-behind-the-end",
        "B008",
        "A block of zeros too many.",
        bundle(ALL) + bytes(20_480 - 1_024 + 512),
    ),
    refused(
        "wrong-digest-where-a-run-is",
        "B005 B015",
        "What is there stays as it was.",
        bundle([extent("files/x.bin", FILE), wrong(extent("metrics.jsonl", MORE, len(ROWS)))]),
        HERE,
    ),
]


def half(name: str, rules: str, what: str, *items: Item, before: dict[str, bytes] | None = None) -> Bundle:
    """A bundle of two runs, of which the first is refused."""
    before = before or {}
    return Bundle(name, rules, what, bundle([*items, *GOOD]), {**before, **THERE}, before, {UID: rules})


def forbidden(name: str, rule: str, what: str, item: Item) -> Bundle:
    """A bundle of one run that is refused, or the bundle with it."""
    return Bundle(name, rule, what, bundle([item, extent("run.json", RUN)]), refused={UID: rule})


HALF = [
    half(
        "gap",
        "B018",
        "Bytes are missing before an extent: its run waits, the other is applied.",
        extent("metrics.jsonl", MORE, 500),
        extent("run.json", RUN),
    ),
    half(
        "gap-where-a-run-is",
        "B018",
        "Bytes are missing between what is there and an extent.",
        extent("metrics.jsonl", MORE, len(ROWS) + 1),
        extent("run.json", document(state="failed")),
        before=HERE,
    ),
    half(
        "diverged",
        "B018",
        "Other bytes are there: the run stays as it is, and the other is applied.",
        extent("metrics.jsonl", rows(0, 3, b=1)),
        extent("run.json", document(state="failed")),
        before=HERE,
    ),
    half(
        "diverged-at-the-end",
        "B018",
        "The last byte of what overlaps differs.",
        extent("metrics.jsonl", ROWS[:-2] + b" \n" + MORE),
        before=HERE,
    ),
    forbidden(
        "half-a-line",
        "B011",
        "An extent of a stream that is no whole lines.",
        extent("metrics.jsonl", b'{"_step":0'),
    ),
    Bundle(
        "run-json-of-another-run",
        "B010",
        "run.json has another uid (R016).",
        bundle([extent("run.json", document(uid=OTHER))]),
        HERE,
        HERE,
        {UID: "B010"},
    ),
    *[
        forbidden(name, "B010", what, extent(path, b"x\n"))
        for name, what, path in [
            ("path-that-leads-out", "A path that leads out of the run.", "../x"),
            ("path-that-leads-out-and-in", "A path that leads out below the run.", "files/../../x"),
            ("absolute-path", "A path from the root.", "/etc/x"),
            ("path-with-a-drive", "A path with a drive.", "C:/x"),
            ("path-with-a-backslash", "A path that leads out on Windows.", "files\\..\\..\\x"),
            ("private-path", "A private name.", ".lock"),
            ("private-path-below", "A private name in a folder.", "files/.git/config"),
            ("empty-path", "No path.", ""),
            ("path-with-an-empty-part", "A path with an empty part.", "files//x"),
            ("path-with-a-control-character", "A path with a line feed.", "files/a\nb"),
        ]
    ],
    forbidden(
        "stream-as-a-file", "B012", "A stream never comes whole.",
        extent("metrics.jsonl", ROWS, whole={"size": len(ROWS), "sha256": digest(ROWS)}),
    ),
    forbidden(
        "file-as-a-stream", "B012", "A file never comes without saying what it is.",
        ({key: value for key, value in extent("config.json", b"{}\n")[0].items() if key != "whole"}, b"{}\n"),
    ),
    forbidden(
        "wrong-digest-of-a-file", "B012", "A file is another than was announced.",
        extent("files/x.bin", FILE, whole={"size": len(FILE), "sha256": digest(b"")}),
    ),
    Bundle(
        "pieces-of-another-file",
        "B012",
        "Pieces that make another file than was announced.",
        bundle(
            [
                extent("files/x.bin", FILE[:200], whole={"size": 512, "sha256": digest(b"")}),
                extent("files/x.bin", FILE[200:], 200, whole={"size": 512, "sha256": digest(b"")}),
                extent("run.json", RUN),
            ]
        ),
        refused={UID: "B012"},
    ),
]  # fmt: skip

VECTORS = [*VALID, *REFUSED, *HALF]
