"""What there is to be told of a run: rows of its events, and that it fell silent. Nothing here writes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from runfmt.errors import FormatError
from runfmt.history import is_time, read_lines
from runfmt.layout import EDITS, MAIN, RUN, is_private, stream_name, writer_of
from runfmt.reading import CRASHED_AFTER, StoredRun, has_crashed
from runfmt.rows import decode

__all__ = ["Notice", "Seen", "look_at"]

MAX_TITLE, MAX_TEXT = 200, 1500
"""Characters of what a trainer wrote; the smallest of the well-known services takes 2,000 in all."""
AT_ONCE = 1000
"""Notices of a run at one look."""
TAIL = 256
"""Bytes before a place in a stream by which it is known again."""
CALLS = re.compile(r"@(?=everyone|here|channel)|<(?=[!@#&])", re.IGNORECASE)
"""What calls all of a channel in one service or another."""
URGENCY = {"INFO": "info", "WARN": "warning", "ERROR": "failure"}
MAIN_EVENTS = stream_name("events")


@dataclass(frozen=True)
class Notice:
    """One thing to be told.

    ``key`` is the same whoever finds it, and another for anything else; ``time`` is in Unix seconds;
    ``urgency`` is ``info``, ``success``, ``warning`` or ``failure``; ``project`` is the run's.
    """

    key: str
    kind: str
    time: float
    urgency: str
    title: str
    body: str
    project: str


@dataclass(frozen=True)
class Seen:
    """How a run was when it was last looked at.

    ``look``: size, time and inode of what counts, by name; ``ends``: how far each stream of events was
    read, and the digest of what stood before; ``begun``: where the main writer last started or resumed;
    ``newest``: the time of the newest line of a run that may still fall silent, else None.
    """

    look: Mapping[str, list[int]] = field(default_factory=dict)
    ends: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    begun: int = 0
    newest: float | None = None


def look_at(folder: Path, before: Seen, since: float) -> tuple[Seen, list[Notice]]:
    """How a run is now, and what happened from a time on that is to be told; some may have been told before.

    Raises ``OSError``. Of a run that is damaged or must be refused nothing is told.
    """
    look = _look(folder)
    if look == before.look and (before.newest is None or not has_crashed(before.newest)):
        return before, []
    try:
        run = StoredRun(folder)
    except FormatError:
        return Seen(look), []
    if run.is_damaged:
        return Seen(look), []
    reading = _Reading(run, before, since)
    for path in (name for name in look if writer_of(name, "events")):
        reading.read(path)
    state = run.state()
    if state == "crashed":
        reading.keep(_silence(run, reading.begun))
    newest = run.newest_line if state == "running" else None
    return Seen({} if reading.is_full else look, reading.ends, reading.begun, newest), reading.found


class _Reading:
    """Reads the events of a run from where it was read to, for a while."""

    def __init__(self, run: StoredRun, before: Seen, since: float) -> None:
        self._run, self._since = run, since
        self.ends, self.begun = dict(before.ends), before.begun
        self.found: list[Notice] = []

    @property
    def is_full(self) -> bool:
        """Whether there may be more, for the next look."""
        return len(self.found) >= AT_ONCE

    def keep(self, *notices: Notice) -> None:
        """Keep what is not old."""
        self.found += [notice for notice in notices if notice.time >= self._since]

    def read(self, path: str) -> None:
        """Read a stream on."""
        with open(self._run.path / path, "rb") as stream:
            start = end = _start(stream, self.ends.get(path))
            for offset, line in read_lines(stream):
                end = start + offset
                if line == b"" or self.is_full:  # what is uncommitted is read when it is whole
                    break
                end = stream.tell()
                if line is not None:
                    self._take(path, start + offset, line)
            self.ends[path] = end, _digest_before(stream, end)

    def _take(self, path: str, offset: int, line: bytes) -> None:
        row = _decode(line)
        if path == MAIN_EVENTS and row.get("event") in ("start", "resume"):
            self.begun = offset
        self.keep(*_told(self._run, path, offset, line, row))


def _look(folder: Path) -> dict[str, list[int]]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in (RUN, EDITS) or (entry.name.endswith(".jsonl") and not is_private(entry.name)):
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.name] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return dict(sorted(found.items()))


def _start(stream: BinaryIO, known: tuple[int, str] | None) -> int:
    """Go to where reading ended, if what stood before that is still there: a power cut may have taken it."""
    end = known[0] if known and known[1] == _digest_before(stream, known[0]) else 0
    return stream.seek(end)


def _digest_before(stream: BinaryIO, end: int) -> str:
    stream.seek(max(0, end - TAIL))
    return hashlib.sha256(stream.read(min(TAIL, end))).hexdigest()


def _decode(line: bytes) -> Mapping[str, Any]:
    with suppress(FormatError):
        return decode(line)[0]
    return {}


def _told(run: StoredRun, path: str, offset: int, line: bytes, row: Mapping[str, Any]) -> Iterator[Notice]:
    """What a row of events says that is to be told: an alert of any writer, the end of the main one."""
    time, event = row.get("_timestamp"), row.get("event")
    if not is_time(time):
        return  # nobody could say whether it is old
    key = _key(run, path, offset, line)
    if event == "alert":
        said = str(row.get("level"))
        level = said if said in URGENCY else "INFO"
        title = _one_line(str(row.get("title", "")))
        writer = writer_of(path, "events")
        about = [level] if writer == MAIN else [level, f"writer {writer}"]
        yield _notice(run, key, "alert", time, URGENCY[level], title, str(row.get("text", "")), about)
    elif event == "finish" and path == MAIN_EVENTS:
        state = row.get("state")
        is_good = state == "finished"
        words = {"finished": "finished", "killed": "was killed", "preempted": "was preempted"}.get(
            str(state), "failed"
        )
        code = "" if is_good else f"exit code {row.get('exit_code')}"
        kind, urgency = ("finish", "success") if is_good else ("failure", "failure")
        yield _notice(run, key, kind, time, urgency, words, code, [])


def _silence(run: StoredRun, begun: int) -> Notice:
    """That a run fell silent; of what began at one place this is told once."""
    minutes = f"{CRASHED_AFTER / 60:.0f} minutes"
    text = f"Nothing was written for {minutes}, and it had not ended."
    key = _key(run, MAIN_EVENTS, begun, b"crash")
    return _notice(run, key, "crash", run.newest_line + CRASHED_AFTER, "failure", "crashed", text, [])


def _key(run: StoredRun, path: str, offset: int, line: bytes) -> str:
    """Another row at the same place, after a power cut, is another."""
    return hashlib.sha256(f"{run.uid}\0{path}\0{offset}\0".encode() + line).hexdigest()[:32]


def _notice(
    run: StoredRun, key: str, kind: str, time: float, urgency: str, words: str, text: str, about: list[str]
) -> Notice:
    attributes = run.attributes
    name, project = _one_line(attributes["name"] or run.id), attributes["project"]
    when = datetime.fromtimestamp(min(max(time, 0), 2**35), timezone.utc)
    says = [
        f"project {_one_line(project)}",
        f"run {run.id}",
        *about,
        f"{when:%Y-%m-%d %H:%M:%S} UTC",
        f"id {key}",
    ]
    body = "\n\n".join(filter(None, [_cut(_plain(text, "\n\t"), MAX_TEXT).strip(), " · ".join(says)]))
    colon = ":" if kind == "alert" else ""
    return Notice(key, kind, float(time), urgency, f"{name}{colon} {words}".strip(), body, project)


def _one_line(text: str) -> str:
    return _cut(" ".join(_plain(text, "\n\t").split()), MAX_TITLE)


def _plain(text: str, kept: str = "") -> str:
    """A text that steers nothing and calls nobody: whoever writes a run need not be a friend."""
    text = "".join(c if c.isprintable() or c in kept else " " if c.isspace() else "�" for c in text)
    return CALLS.sub(lambda call: call[0] + "\u200b", text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
