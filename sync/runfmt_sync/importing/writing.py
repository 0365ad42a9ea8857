"""Makes the directory of a run of elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runfmt.documents import lock, make_folder, replace, replace_document
from runfmt.errors import FormatError, UsageError
from runfmt.layout import CONFIG, FILES, MAX_STEP, METRICS, PRIVATE_LOCK, RUN, SUMMARY, is_safe, stream_name
from runfmt.media import DirectorySink
from runfmt.reading import StoredRun
from runfmt.rows import RESERVED, encode, leaves
from runfmt.values import normalise_config, normalise_row
from runfmt_sync.importing.old import Control, OldRun, Shown, spelled

__all__ = ["workshop", "write_run"]

PRIVATE = ".importing"
"""In the folder that runs are imported to: where they are made."""


@contextmanager
def workshop(output: Path) -> Iterator[Path]:
    """An empty folder beside the runs, of one import at a time; what a killed one left is removed."""
    output.mkdir(parents=True, exist_ok=True)
    held = lock(output / f"{PRIVATE}{PRIVATE_LOCK}")
    if held is None:
        raise UsageError(f"another import writes to {output}: wait for its end")
    try:
        place = output / PRIVATE
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        yield place
        shutil.rmtree(place)
    finally:
        os.close(held)


def write_run(old: OldRun, place: Path) -> Path:
    """Write a run into a folder; gives its directory.

    The same run gives the same bytes. Raises ``FormatError`` for a source that cannot be read, ``OSError``.
    """
    folder = place / old.safe_id
    folder.mkdir()
    newest = _write_metrics(old, folder)
    replace_document(folder / SUMMARY, StoredRun(folder).recorded_summary())
    _write_streams(old, folder)
    for path, source in old.files.items():
        if is_safe(path):
            _put(source, folder, path)
        else:
            old.losses.append(f"the file {path!r}, whose name no run may have")
    replace_document(folder / CONFIG, {key: normalise_config(v, key) for key, v in old.config.items()})
    replace_document(folder / RUN, _document(old, newest))
    return folder


def _write_metrics(old: OldRun, folder: Path) -> tuple[int, float]:
    """Write the history; gives the last step and the latest time."""
    sink = DirectorySink(folder, strict=True)
    last, latest = 0, old.started or 0.0
    with (folder / METRICS).open("xb") as stream:
        for step, time, values in old.rows:
            if not 0 <= step <= MAX_STEP:
                old.losses.append(f"a row of step {step}: steps are 0 to 2^53-1")
                continue
            if isinstance(values, Shown):
                stream.flush()
                values = _by_hand(values, folder, old.losses)  # noqa: PLW2901
            if isinstance(values, Control):
                if values:
                    stream.write(_line(step, time, values))
                continue
            try:
                named = {_free(key): _checked(key, value, old.losses) for key, value in values.items()}
                stream.write(_line(step, time, normalise_row(named, sink)))
            except (FormatError, UsageError, TypeError) as error:
                old.losses.append(f"the row of step {step}: {error}")
                continue
            last, latest = max(last, step), max(latest, time)
    return last, latest


def _line(step: int, time: float, values: Mapping[str, Any]) -> bytes:
    return encode({"_step": step, "_timestamp": round(time, 6), **values}, normal=True)


def _free(key: str) -> str:
    """A key that a user may have."""
    return f"{key}_" if key in RESERVED else key


def _checked(key: str, value: Any, losses: list[str]) -> Any:
    """A value, but for one that claims to name a file of ours."""
    if isinstance(value, dict):
        if isinstance(value.get("_type"), str) and "path" in value:
            losses.append(f"{key!r}, which names a file that is not known")
            return None
        return {name: _checked(f"{key}.{name}", inner, losses) for name, inner in value.items()}
    return value


def _by_hand(shown: Shown, folder: Path, losses: list[str]) -> Control:
    """What of a summary does not come of the rows so far, as a control row; empty if all of it does."""
    computed = dict(leaves(StoredRun(folder).recorded_summary()))
    plain = dict(leaves(normalise_row(shown.summary, DirectorySink(folder))))
    by_hand = {
        path: value
        for path, value in plain.items()
        if not isinstance(value, dict) and not _same(computed.get(path), value)
    }
    gone = [path for path in shown.removed if path in computed and path not in plain]
    said = {name: some for name, some in (("set", by_hand), ("del", gone)) if some}
    if said and not shown.has_ended:
        losses.append(f"of the summary {', '.join([*by_hand, *gone])}, as the run has not ended")
    return Control(_summary=said) if said and shown.has_ended else Control()


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _write_streams(old: OldRun, folder: Path) -> None:
    for kind, rows in (("events", old.events), ("system", old.system)):
        if rows:
            sink = DirectorySink(folder, strict=True)
            lines = (encode(normalise_row(row, sink), normal=True) for row in rows)
            (folder / stream_name(kind)).write_bytes(b"".join(lines))
    if old.console:
        texts = (path.read_bytes() for path in old.console)
        text = b"".join(text if text.endswith(b"\n") or not text else text + b"\n" for text in texts)
        if old.state == "running" and not old.console[-1].read_bytes().endswith(b"\n"):
            text = text[: text[:-1].rfind(b"\n") + 1]  # its last line may go on
        (folder / stream_name("console")).write_bytes(text)


def _put(source: Path | bytes, folder: Path, path: str) -> None:
    """Put a file in its place; one on the same disk is copied only when it moves on."""
    target = folder / FILES / path
    make_folder(target.parent, folder)
    if isinstance(source, bytes):
        replace(target, source)
        return
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _document(old: OldRun, newest: tuple[int, float]) -> dict[str, Any]:
    ended = None if old.state == "running" else old.ended or newest[1] or old.started or 0.0
    document = {
        "runfmt": 1, "requires": [], "uid": old.uid, "id": old.safe_id, "project": "", "entity": "",
        "name": old.id, "notes": "", "tags": [], "group": "", "job_type": "",
        "created_at": spelled(old.started or newest[1]), "state": old.state,
        "exit_code": old.exit_code if ended is not None else None,
        "finished_at": None if ended is None else spelled(ended),
        "environment": {**old.environment, "imported_from": old.origin},
    }  # fmt: skip
    return document | {key: value for key, value in old.about.items() if value}
