"""Makes a run whole again that a crash left, from what is here and from a remote.

Never touches a committed byte: cuts unterminated tails, adds what a remote has
beyond ours, and replaces documents as a whole. Refuses a run that is alive.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from runfmt import layout
from runfmt.documents import (
    keep_aside,
    read_document,
    replace,
    replace_document,
    sync,
    temporary_beside,
)
from runfmt.errors import FormatError, RunNotFound, UsageError
from runfmt.history import read_lines
from runfmt.layout import CONFIG, EDITS, RUN, SUMMARY, is_stream, is_uid, phase
from runfmt.reading import STATES, StoredRun
from runfmt.rows import decode, encode_document
from runfmt.stream import Stream
from runfmt.writers import unwritten
from runfmt_sync.applying import append
from runfmt_sync.digests import CHUNK
from runfmt_sync.extents import Span, cut
from runfmt_sync.inventory import Entry, committed_size, scan
from runfmt_sync.plan import Ask, Held
from runfmt_sync.remotes import Remote

__all__ = ["recover"]

KILLED = 143
"""``exit_code`` of a run that was killed; what the signal was nobody knows."""


def recover(folder: Path, *, remote: Remote | None = None, new_uid: bool = False) -> list[str]:
    """Mend a run; gives what was done, nothing if it was whole.

    Raises ``UsageError`` for a run that is alive, ``FormatError`` for one of
    another format, ``RunNotFound`` if the remote does not have it.
    """
    run = StoredRun(folder)
    with unwritten(run):
        done = _restore(run, remote) if remote else []
        done += _cut_tails(folder)
        done += _put_aside(folder)
        done += _mend_run_document(StoredRun(folder), new_uid)
        return done + _mend_summary(StoredRun(folder))


# What a remote has beyond ours


def _restore(run: StoredRun, remote: Remote) -> list[str]:
    uid = _uid_at(remote, run)
    ours, _ = scan(run.path, {})
    streams = {path: entry.length for path, entry in ours.items() if is_stream(path)}
    have = remote.have([Ask(uid, "", streams)]).get(uid)
    if have is None or not have.entries:
        raise RunNotFound(f"the remote {remote.url} has no run {run.id} ({uid})")
    if have.refused:
        raise FormatError("R012", have.refused, remote.url)
    for path, theirs in have.entries.items():
        if is_stream(path):
            _check_prefix(run.path, path, ours.get(path), theirs)
    done = []
    for path, theirs in sorted(have.entries.items(), key=lambda item: (phase(item[0]), item[0])):
        if is_stream(path):
            size = _restore_stream(run.path, remote, uid, path, theirs)
            broken = _broken_lines(run.path / path, theirs.length - size) if size else 0
            more = f", of which {broken:,} lines cannot be read" if broken else ""
            done += [f"{path}: {size:,} bytes restored{more}"] if size else []
        elif _is_wanted(run, path):
            _restore_file(run.path, remote, uid, path, theirs)
            done.append(f"{path} restored")
    return done


def _uid_at(remote: Remote, run: StoredRun) -> str:
    """The uid of a run; where ``run.json`` is lost, that of the only run with its id."""
    if isinstance(known := run.document.get("uid"), str) and is_uid(known):
        return known
    names = (run.id, run.path.absolute().name)
    found = [uid for uid, run_id in remote.ids().items() if run_id in names]
    if len(found) != 1:
        raise RunNotFound(f"the remote {remote.url} has {len(found) or 'no'} runs with the id {run.id}")
    return found[0]


def _is_wanted(run: StoredRun, path: str) -> bool:
    """Whether the remote's file is better than ours: ours is missing, broken, or says less."""
    here = run.path / path
    if not here.exists() or (path == RUN and (run.is_damaged or run.document["state"] == "running")):
        return True
    if path in (CONFIG, SUMMARY, EDITS):
        try:
            read_document(here)
        except FormatError:
            return True
    return False


def _check_prefix(folder: Path, path: str, ours: Entry | None, theirs: Held) -> None:
    if ours and ours.length <= theirs.length and ours.proof != theirs.proof:
        raise UsageError(
            f"{path} has diverged from the remote: `runfmt recover {folder} --new-uid` "
            "makes it a run of its own"
        )


def _restore_stream(folder: Path, remote: Remote, uid: str, path: str, theirs: Held) -> int:
    """Append what the remote has beyond ours, by the rule of the store; gives the bytes."""
    descriptor = os.open(folder / path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+b", buffering=0) as file:
        size = committed_size(file)
        if theirs.length <= size:
            return 0
        with remote.read(uid, path) as source:
            for extent, body in cut(uid, Span(path, size, theirs.length), source):
                append(file, extent, body)
        os.fsync(file.fileno())
        return theirs.length - size


def _broken_lines(path: Path, offset: int) -> int:
    """How many lines behind an offset are no rows (R023): a remote may be damaged too."""
    if path.suffix != ".jsonl":
        return 0
    with open(path, "rb") as file:
        file.seek(offset)
        return sum(not _is_row(line) for _, line in read_lines(file))


def _is_row(line: bytes | None) -> bool:
    try:
        return line is not None and bool(decode(line))
    except FormatError:
        return False


def _restore_file(folder: Path, remote: Remote, uid: str, path: str, theirs: Held) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(target)
    try:
        with remote.read(uid, path) as source, open(temporary, "xb") as file:
            if _copy(source, file) != theirs.proof.digest:
                raise FormatError("R004", "the remote's file changed while it was read; try again", path)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


# What is here


def _cut_tails(folder: Path) -> list[str]:
    done = []
    for name in StoredRun(folder).stream_names:
        with open(folder / name, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            tail = size - committed_size(file)
        if tail:
            Stream(folder / name).close()  # R021
            done.append(f"{name}: an unfinished last line of {tail:,} bytes cut")
    return done


def _put_aside(folder: Path) -> list[str]:
    """Documents that nobody can read lie beside, where somebody may mend them by hand."""
    done = []
    for name in (CONFIG, SUMMARY, EDITS):
        try:
            read_document(folder / name)
        except FormatError:
            keep_aside(folder / name)
            (folder / name).unlink()
            done.append(f"{name}: could not be read, and was put aside")
    return done


def _mend_run_document(run: StoredRun, new_uid: bool) -> list[str]:
    document, done = dict(run.document), []
    if run.is_damaged:
        with suppress(FileNotFoundError):
            keep_aside(run.path / RUN)
        document, done = _rebuilt(run), [f"{RUN} made anew from what is known"]
    elif document["state"] == "running":
        document |= {"state": "killed", "exit_code": KILLED, "finished_at": _time_text(run.newest_line)}
        done = [f"{RUN}: the run was killed at {document['finished_at']}"]
    if new_uid:
        document |= {"uid": layout.new_uid(), "id": run.path.absolute().name}
        done.append(f"{RUN}: the run is now {document['uid']}")
    if done:
        replace_document(run.path / RUN, document)
    return done


def _rebuilt(run: StoredRun) -> dict[str, Any]:
    """``run.json`` from what of it is readable, and from the streams."""
    lost = run.document
    events = [*run.events(), *run.events("system")]
    times = [row["_timestamp"] for row in events if isinstance(row.get("_timestamp"), (int, float))]
    times += [row["_timestamp"] for row in run.history().rows[:1] if "_timestamp" in row]
    finish: dict[str, Any] = next((row for row in reversed(run.events()) if row.get("event") == "finish"), {})
    state = finish.get("state") if finish.get("state") in STATES else "killed"
    uid = lost.get("uid")
    known: dict[str, Any] = {
        "runfmt": 1,
        "requires": [],
        "uid": uid if is_uid(uid) else layout.new_uid(),
        "id": run.path.absolute().name,
        "project": "",
        "entity": "",
        "name": "",
        "notes": "",
        "tags": [],
        "group": "",
        "job_type": "",
        "created_at": _time_text(min(times, default=run.newest_line)),
        "environment": {},
    }
    ended = {
        "state": state,
        "exit_code": finish.get("exit_code", KILLED),
        "finished_at": _time_text(run.newest_line),
    }
    readable = {
        key: value for key, value in lost.items() if key not in known or type(value) is type(known[key])
    }
    fixed = {key: known[key] for key in ("runfmt", "requires", "uid", "id")}
    return {**known, **readable, **fixed, **ended}


def _mend_summary(run: StoredRun) -> list[str]:
    """Write what the stream says, without the edits, which lie over it."""
    data = encode_document(run.recorded_summary())
    path = run.path / SUMMARY
    if path.exists() and path.read_bytes() == data:
        return []
    replace(path, data)
    return [f"{SUMMARY} computed from the stream"]


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
